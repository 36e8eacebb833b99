"""The command ``cpm``: what it runs, what it prints, and its exit codes."""

import json
import re

import pytest

from cpm_plugin.apps import cli
from cpm_plugin.core import list_models

Image = pytest.importorskip('PIL.Image')


def test_help_and_a_mistake_name_every_command(capsys):
    assert cli.main(['--help']) == 0
    shown = capsys.readouterr().out
    assert all(f'cpm {name} ' in shown for name in ('predict', 'models', *cli.PROGRAMS))
    assert cli.main([]) == 2
    assert cli.main(['expot']) == 2
    assert "no command 'expot'; there are: predict, models, demo" in capsys.readouterr().err


def test_every_program_is_there_and_gets_its_arguments(repo, monkeypatch):
    ran = []
    monkeypatch.setattr(cli.runpy, 'run_path', lambda path, run_name: ran.append(cli.sys.argv))
    for name, (script, _) in cli.PROGRAMS.items():
        assert cli.main([name, '--help', 'x']) == 0
        assert ran[-1] == [str(repo / 'tools' / script), '--help', 'x']


@pytest.mark.parametrize(('code', 'expected'), [(3, 3), (None, 0), ('a message', 1)])
def test_exit_codes_are_those_of_the_program(code, expected, monkeypatch, capsys):
    def stop(path, run_name):
        raise SystemExit(code)

    monkeypatch.setattr(cli.runpy, 'run_path', stop)
    assert cli.main(['check', 'x']) == expected
    assert ('a message' in capsys.readouterr().err) == (expected == 1)


def test_models_are_listed_with_the_license_of_their_weights(capsys):
    assert cli.main(['models']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_models()
    assert [line.split()[0] for line in lines if 'academic use' in line] == list_models(
        pretrained=True
    )


@pytest.fixture
def image(tmp_path):
    Image.new('RGB', (60, 80), (90, 120, 150)).save(tmp_path / 'a.png')
    return tmp_path / 'a.png'


def test_predict_draws_and_writes(image, tmp_path, capsys):
    boxes = tmp_path / 'boxes.json'
    boxes.write_text('{"a.png": [[5, 5, 50, 70], [1, 1, 40, 40]]}')
    out = tmp_path / 'new' / 'poses'
    arguments = [str(image), '--model', 'cpm_slim_3s', '--out-dir', str(out)]
    assert cli.main(['predict', *arguments, '--boxes', str(boxes)]) == 0
    assert re.search(r'a\.png: 2 people, \d+ of 28 joints above 0\.2', capsys.readouterr().out)
    content = json.loads((out / 'a.json').read_text())
    assert len(content['people']) == 2 and content['joints'][0] == 'right_ankle'
    assert Image.open(out / 'a.png').size == (60, 80)


def test_predict_goes_on_after_a_broken_image(image, tmp_path, capsys):
    (tmp_path / 'b.jpg').write_bytes(b'no image')
    arguments = [str(tmp_path / 'b.jpg'), str(image), '--model', 'cpm_slim_3s']
    assert cli.main(['predict', *arguments, '--out-dir', str(tmp_path / 'out')]) == 1
    assert 'b.jpg cannot be read as an image' in capsys.readouterr().err
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'a.png', 'a.json'}


def test_predict_refuses_before_it_begins(image, tmp_path, capsys):
    (tmp_path / 'boxes.json').write_text('{"b.png": []}')
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / 'a.jpg').touch()
    (tmp_path / 'c.png').touch()
    (tmp_path / 'b' / 'v.mp4').touch()
    before = image.read_bytes()
    for arguments, message in (
        ([str(image), str(tmp_path / 'b' / 'a.jpg')], 'a.png and a.jpg would write the same files'),
        ([str(image), '--boxes', str(tmp_path / 'boxes.json')], 'b.png, which is not among'),
        ([str(image), '--boxes', 'none.json'], 'none.json is no file of boxes'),
        ([str(image), '--boxes', '5,0,1,9'], 'x2 must be larger than x1'),
        ([str(image), str(tmp_path / 'c.png'), '--boxes', '1,1,9,9'], 'and there are 2: a.png, c'),
        ([str(tmp_path / 'b')], 'v.mp4 is a video; cpm demo'),
        ([str(tmp_path / '*.gif')], 'no such file or folder'),
        ([str(image), '--out-dir', str(tmp_path)], 'is an input and would be written over'),
        ([str(image), '--model', 'cpm_6s'], "invalid choice: 'cpm_6s'"),
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(['predict', *arguments])
        assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert image.read_bytes() == before


def test_predict_says_that_the_whole_image_is_the_box_and_takes_folders(image, tmp_path, capsys):
    out = tmp_path / 'out'
    arguments = ['--model', 'cpm_slim_3s', '--out-dir', str(out)]
    assert cli.main(['predict', str(tmp_path), *arguments]) == 0
    assert 'a.png: 1 person (no --boxes: the whole image taken as one), ' in capsys.readouterr().out
    (tmp_path / 'boxes.json').write_text('{"a.png": []}')
    boxes = ['--boxes', str(tmp_path / 'boxes.json')]
    (out / 'a.png').write_bytes(b'before')
    assert cli.main(['predict', str(image), *arguments, *boxes]) == 1
    assert '--boxes has no box for a.png' in capsys.readouterr().err
    assert (out / 'a.png').read_bytes() == b'before'
    assert cli.main(['predict', str(image), *arguments, '--boxes', '1,1,50,70', '5,5,9,9']) == 0
    assert 'a.png: 2 people, ' in capsys.readouterr().out
