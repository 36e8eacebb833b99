"""Public docstrings: there, in Google's style, their examples true."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest
from mmengine.registry import OPTIM_WRAPPERS

import cpm_plugin.apps
import cpm_plugin.core
import cpm_plugin.mmpose as mmpose_components

from mmpose.registry import DATASETS, HOOKS, KEYPOINT_CODECS, METRICS, MODELS, TRANSFORMS

FOLDERS = (
    'maps', 'conv', 'weights', 'models', 'evaluation', 'structure', 'conversion', 'prediction',
)  # fmt: skip
PUBLIC = [
    pytest.param(getattr(package, name), id=f'{folder}.{name}')
    for folder in FOLDERS
    for package in [importlib.import_module(f'cpm_plugin.core.{folder}')]
    for name in package.__all__
    if callable(getattr(package, name))
]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(cpm_plugin.core.__path__, 'cpm_plugin.core.')
    if not module.ispkg
]


@pytest.mark.parametrize('thing', PUBLIC)
def test_public_names_are_documented_with_their_arguments(thing):
    text = inspect.getdoc(thing) or ''
    assert text, 'no docstring'
    parameters = inspect.signature(thing).parameters.values()
    names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    documented = re.findall(r'^    ([\w, ]+):', text, re.MULTILINE)
    described = {name.strip() for line in documented for name in line.split(',')}
    assert [name for name in names if name not in described] == []
    if inspect.isfunction(thing):
        assert '>>> ' in text, 'no example'


@pytest.mark.parametrize('name', MODULES)
def test_examples_are_true(name):
    if name.endswith('.timm_encoder'):
        pytest.importorskip('timm', reason='needs the extra [timm]')
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_some_examples_were_found():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    assert sum(bool(test.examples) for test in found) >= 20


def functions_of(module):
    """Public functions and methods, not properties, that a module defines itself."""
    for name, thing in vars(module).items():
        if name.startswith('_') or getattr(thing, '__module__', None) != module.__name__:
            continue
        members = vars(thing).items() if inspect.isclass(thing) else [('', thing)]
        for member, function in members:
            function = inspect.unwrap(getattr(function, '__func__', function))
            if inspect.isfunction(function) and not member.startswith('_'):
                yield f'{name}.{member}'.rstrip('.'), function


FUNCTIONS = {
    f'{module.name.removeprefix("cpm_plugin.")}.{name}': function
    for package in (cpm_plugin.core, mmpose_components, cpm_plugin.apps)
    for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.')
    for name, function in functions_of(importlib.import_module(module.name))
}
# Without sections, a summary is enough if it says what is returned.
RETURNS = re.compile(r'(Return|Tell whether|Build) |.* -> |.*; see the class\.$')


def raises(function):
    """Whether it has a ``raise`` of its own."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    parts = list(tree.body)
    for part in parts:
        if isinstance(part, ast.Raise) and part.exc is not None:
            return True
        if not isinstance(part, ast.FunctionDef | ast.ClassDef):
            parts.extend(ast.iter_child_nodes(part))
    return False


@pytest.mark.parametrize('function', FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_say_what_they_do_return_and_raise(function):
    text = inspect.getdoc(function) or ''
    sections = set(re.findall(r'^(\w+):$', text, re.MULTILINE))
    assert re.match(r'[A-Z]\w+', text), 'no summary'
    assert not re.match(r'(An?|The|This|What|Whether|Which|\w+s)\b', text), 'begins with no verb'
    says_it = not sections and RETURNS.match(text.partition('\n')[0])
    if function.__annotations__['return'] not in ('None', 'Iterator[None]') and not says_it:
        assert sections & {'Returns', 'Yields'}
    if raises(function) and not text.endswith('see the class.'):
        assert 'Raises' in sections


LOSSES = ('AffinityLoss', 'IntermediateSupervisionLoss')  # of the core
COMPONENTS = [name for name in mmpose_components.__all__ if name not in LOSSES]
# What is built of a config by its "type".
REGISTRIES = (MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS, KEYPOINT_CODECS, OPTIM_WRAPPERS)


def configs_in(value):
    """Config dicts in a value, at any depth."""
    if isinstance(value, dict):
        if 'type' in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from configs_in(one)


@pytest.mark.parametrize('name', COMPONENTS)
def test_the_example_of_a_component_is_a_config_that_it_takes(name):
    component = getattr(mmpose_components, name)
    seen: dict = {}
    for example in doctest.DocTestParser().get_examples(component.__doc__):
        exec(example.source, seen)
    seen.pop('__builtins__', None)
    found = [config for value in seen.values() for config in configs_in(value)]
    assert name in [config['type'] for config in found]
    for config in found:
        if config['type'] in COMPONENTS:
            arguments = {key: value for key, value in config.items() if key != 'type'}
            inspect.signature(getattr(mmpose_components, config['type'])).bind(**arguments)
            assert any(registry.get(config['type']) for registry in REGISTRIES)
