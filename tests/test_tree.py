"""Tests lie where their modules do, in files that can be read at a sitting."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / 'cpm_plugin'


def has_public_names(path):
    kinds = (ast.FunctionDef, ast.ClassDef)
    parts = ast.parse(path.read_text(encoding='utf-8')).body
    return any(isinstance(part, kinds) and not part.name.startswith('_') for part in parts)


MODULES = [
    path.relative_to(PACKAGE)
    for path in sorted(PACKAGE.rglob('*.py'))
    if path.name != '__init__.py' and has_public_names(path)
]


@pytest.mark.parametrize('module', MODULES, ids=Path.as_posix)
def test_a_module_has_a_test_file_of_its_name(module):
    assert (TESTS / module.parent / f'test_{module.stem.strip("_")}.py').is_file()


def test_no_test_file_is_long():
    lengths = {path: len(path.read_text().splitlines()) for path in TESTS.rglob('*.py')}
    assert {path: length for path, length in lengths.items() if length > 500} == {}
