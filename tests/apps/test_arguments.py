"""Arguments that are right, wrong, or need what is not installed."""

import argparse
import json
from pathlib import Path

import pytest

from cpm_plugin.apps import arguments
from cpm_plugin.apps.arguments import (
    OptionsAction,
    camera_number,
    check_packaged,
    check_there,
    expand,
    packaged_models,
    require_packages,
)


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser(prog='tool.py')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, default={})
    return lambda *words: parser.parse_args(words).cfg_options


def test_options_are_those_of_mmengine(parse):
    assert parse() == {}
    words = ('a.b=1', 'c=[(1,2),x]', 'd=e=f', '--cfg-options', 'g=1.5', 'a.b=None')
    assert parse('--cfg-options', *words) == {
        'a.b': None, 'c': [(1, 2), 'x'], 'd': 'e=f', 'g': 1.5,
    }  # fmt: skip
    assert parse() == {}  # the default is not filled


@pytest.mark.parametrize('word', ['a', 'a=[1,(2'])
def test_what_is_no_option_is_named(word, parse, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse('--cfg-options', 'b=1', word)
    assert stopped.value.code == 2
    assert f'tool.py: error: --cfg-options {word}: give KEY=VALUE' in capsys.readouterr().err


def test_missing_packages_are_named_and_no_others(capsys):
    require_packages('tool.py')
    require_packages('tool.py', ['numpy'])
    with pytest.raises(SystemExit) as stopped:
        require_packages('tool.py', ['numpy', 'no_package_1', 'no_package_2'])
    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith('tool.py: error: there is no no_package_1, no_package_2: ')
    assert shown.count('\n') == 1


def test_a_missing_file_is_named(tmp_path):
    check_there()
    check_there(tmp_path, __file__)
    for path in (tmp_path / 'none', tmp_path / ('a' * 300)):
        with pytest.raises(ValueError) as error:
            check_there(__file__, path)
        assert str(error.value) == f'{path}: no such file'


def test_patterns_are_replaced_and_what_is_not_there_is_named(tmp_path):
    for name in ('b.jpg', 'a.jpg', 'a[1].png', 'notes.txt'):
        (tmp_path / name).touch()
    given = [tmp_path / '*.jpg', tmp_path / 'a[1].png', Path('webcam:1')]
    assert expand(given) == [tmp_path / 'a.jpg', tmp_path / 'b.jpg', *given[1:]]
    with pytest.raises(ValueError, match=r'x\*\.jpg: no such file or folder'):
        expand([tmp_path / 'x*.jpg'])


def test_models_for_one_person_and_for_several_are_told_apart_by_their_configs(
    tmp_path, monkeypatch
):
    configs = 'configs/body_2d_keypoint'
    entries = {
        'c': {'config': f'{configs}/topdown_heatmap/lspet/c.py'},
        'b': {'config': f'{configs}/part_affinity_fields/lspet/b.py'},
        'a': {'config': f'{configs}/topdown_heatmap/lspet/a.py'},
    }
    monkeypatch.setattr(arguments, '_INDEX', tmp_path / 'index.json')
    (tmp_path / 'index.json').write_text(json.dumps(entries))
    assert packaged_models() == ['a', 'c'] and packaged_models(several_people=True) == ['b']
    check_packaged('c')
    with pytest.raises(ValueError, match=r"'b' finds several people .*one person in a box: a, c"):
        check_packaged('b')
    with pytest.raises(ValueError, match="no trained weights of 'd'; there are: a, c"):
        check_packaged('d')


def test_cameras_are_told_from_files_of_such_names(tmp_path, monkeypatch):
    names = ('webcam', 'webcam:12', 'webcam.png', 'webcam:x')
    assert [camera_number(Path(name)) for name in names] == [0, 12, None, None]
    (tmp_path / 'webcam_1.png').touch()
    monkeypatch.chdir(tmp_path)
    assert expand([Path('webcam*.png')]) == [Path('webcam_1.png')]
    with pytest.raises(ValueError, match='webcam:x: no such file'):
        expand([Path('webcam:x')])
