"""Public docstrings: there, in Google's style, their examples true."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest
from mmengine.registry import OPTIM_WRAPPERS

import cpm_plugin.core
import cpm_plugin.mmpose as mmpose_components

from mmpose.registry import DATASETS, HOOKS, KEYPOINT_CODECS, METRICS, MODELS, TRANSFORMS

FOLDERS = ('maps', 'conv', 'weights', 'models', 'evaluation', 'conversion', 'prediction')
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
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0


def test_some_examples_were_found():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    assert sum(bool(test.examples) for test in found) >= 20


COMPONENTS = [name for name in mmpose_components.__all__ if name != 'IntermediateSupervisionLoss']
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
