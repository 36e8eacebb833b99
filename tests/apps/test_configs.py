"""Configs of users: read with a scope, changed by options, and named in every error."""

import argparse

import pytest

from cpm_plugin.apps.arguments import OptionsAction
from cpm_plugin.apps.configs import build_model, named, read_config


def test_a_config_without_a_scope_is_mmposes_and_options_are_merged(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('model = dict(depth=50)\n')
    config = read_config(path, {'model.depth': 18}, needs=('model',))
    assert (config.default_scope, config.model.depth) == ('mmpose', 18)


@pytest.mark.parametrize(
    ('text', 'needs', 'message'),
    [
        (None, (), r'config\.py: no such file'),
        ('model = dict(\n', (), r'config\.py: .*(SyntaxError|never closed)'),
        ('a = 1\n', ('model',), r'config\.py.*model'),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, needs, message):
    path = tmp_path / 'config.py'
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(path, needs=needs)


def test_a_missing_checkpoint_is_named_before_anything_is_built(tmp_path):
    with pytest.raises(ValueError, match=r'no\.pth: no such file'):
        build_model(None, tmp_path / 'no.pth', 'cpu')


def test_every_error_gets_the_name_of_the_config():
    with pytest.raises(ValueError, match=r'^a\.py: KeyError: type$'), named('a.py'):
        raise KeyError('type')


def test_options_are_key_value(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    options = parser.parse_args(['--cfg-options', 'a.b=1', 'c=[1,2]']).cfg_options
    assert options == {'a.b': 1, 'c': [1, 2]}
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'a.b'])
    assert 'a.b: give KEY=VALUE' in capsys.readouterr().err
