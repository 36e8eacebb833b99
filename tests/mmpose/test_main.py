"""Stock scripts run with the components registered."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from cpm_plugin.mmpose.__main__ import find_script, main, run_script

import mmpose

REPO = Path(__file__).resolve().parents[2]
PACKAGE = Path(mmpose.__file__).parent


def python(*arguments):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', *arguments],
        cwd=REPO,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(REPO), *sys.path])},
        capture_output=True,
        text=True,
    )


def pretend_mmpose_in(monkeypatch, package):
    monkeypatch.setattr(mmpose, '__file__', str(package / '__init__.py'))


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('')
    return path


# -- find_script


@pytest.mark.parametrize('name', ['tools/train.py', 'tools/test.py', 'demo/image_demo.py'])
def test_installed_mmpose_has_the_scripts(name):
    assert find_script(name).samefile(PACKAGE / '.mim' / name)


def test_mmposes_script_comes_before_one_of_the_same_name_here(tmp_path, monkeypatch):
    touch(tmp_path / 'here' / 'tools' / 'train.py')
    monkeypatch.chdir(tmp_path / 'here')
    inside = touch(tmp_path / 'site' / 'mmpose' / '.mim' / 'tools' / 'train.py')
    pretend_mmpose_in(monkeypatch, tmp_path / 'site' / 'mmpose')
    assert find_script('tools/train.py') == inside


def test_scripts_beside_an_editable_mmpose(tmp_path, monkeypatch):
    beside = touch(tmp_path / 'repository' / 'demo' / 'image_demo.py')
    pretend_mmpose_in(monkeypatch, tmp_path / 'repository' / 'mmpose')
    assert find_script('demo/image_demo.py') == beside


def test_our_own_programs_of_a_wheel(tmp_path, monkeypatch):
    own = touch(tmp_path / 'cpm_plugin' / '.mim' / 'tools' / 'demo.py')
    module = sys.modules[find_script.__module__]
    monkeypatch.setattr(module, '__file__', str(tmp_path / 'cpm_plugin' / 'mmpose' / 'm.py'))
    assert find_script('tools/demo.py') == own
    assert find_script('tools/train.py').samefile(PACKAGE / '.mim' / 'tools' / 'train.py')


def test_script_of_the_user(tmp_path):
    own = touch(tmp_path / 'own.py')
    assert find_script(str(own)) == own


def test_unknown_script_names_the_places(tmp_path, monkeypatch):
    pretend_mmpose_in(monkeypatch, tmp_path / 'mmpose')
    with pytest.raises(ValueError, match=r'no script tools/trian\.py') as caught:
        find_script('tools/trian.py')
    for place in (tmp_path / 'mmpose' / '.mim', tmp_path):
        assert str(place / 'tools' / 'trian.py') in str(caught.value)


# -- main


@pytest.mark.parametrize(
    ('arguments', 'code'), [([], 2), (['-h'], 0), (['--help'], 0)], ids=['none', '-h', '--help']
)
def test_help(monkeypatch, capsys, arguments, code):
    monkeypatch.setattr(sys, 'argv', ['cpm_plugin.mmpose', *arguments])
    assert main() == code
    assert 'python -m cpm_plugin.mmpose SCRIPT' in capsys.readouterr().out


def test_unknown_script_is_an_error_message_and_code_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['cpm_plugin.mmpose', 'demo/nothing.py'])
    assert main() == 2
    captured = capsys.readouterr()
    assert captured.err.startswith('error: no script demo/nothing.py; looked at ')
    assert not captured.out


def test_script_gets_its_arguments_and_the_components(tmp_path, monkeypatch, capsys):
    script = tmp_path / 'show.py'
    script.write_text(
        'import sys\n'
        'from mmpose.registry import MODELS\n'
        'assert __name__ == "__main__"\n'
        'print(sys.argv, MODELS.get("CPMBackbone").__name__)\n'
    )
    monkeypatch.setattr(sys, 'argv', ['cpm_plugin.mmpose', str(script), '--out', 'a b'])
    assert main() == 0
    assert capsys.readouterr().out == f'{[str(script), "--out", "a b"]} CPMBackbone\n'


def test_exit_code_of_the_script_is_kept(tmp_path, monkeypatch):
    script = tmp_path / 'fail.py'
    script.write_text('import sys\nsys.exit(3)\n')
    monkeypatch.setattr(sys, 'argv', [])
    with pytest.raises(SystemExit) as caught:
        run_script(str(script), [])
    assert caught.value.code == 3


OURS = 'from cpm_plugin.core import create_model\ncreate_model("cpm_7s")\n'
WITHOUT_TIMM = """
import sys
from unittest.mock import patch
from cpm_plugin.core import create_model
with patch.dict(sys.modules, timm=None):
    create_model('cpm_lite0_3s')
"""


@pytest.mark.parametrize(
    ('code', 'message'),
    [
        (OURS, "error: no model 'cpm_7s'"),
        (WITHOUT_TIMM, "need timm: pip install 'cpm_plugin[timm]'"),
        ('import sys\nopen(sys.argv[1])\n', "No such file or directory: 'no.pth'"),
        ('raise ValueError("of the script")\n', None),
        ('open("other.pth")\n', None),
        ('int("x")\n', None),
        ('import no_such_package\n', None),
    ],
)
def test_errors_for_users_are_one_line_and_others_are_as_in_stock(tmp_path, code, message):
    script = tmp_path / 'fail.py'
    script.write_text(code)
    with pytest.raises((SystemExit, ValueError, FileNotFoundError, ImportError)) as caught:
        run_script(str(script), ['no.pth'])
    assert (caught.type is SystemExit) == (message is not None)
    if message:
        assert caught.value.code.startswith('error: ') and message in caught.value.code


# -- the real scripts, each in its own interpreter


def test_image_demo_runs_as_a_module(monkeypatch, capsys):
    """It imports mmpose before any config could register the plugin."""
    monkeypatch.setattr(sys, 'argv', ['-m', 'demo/image_demo.py', '--help'])
    with pytest.raises(SystemExit) as stopped:  # as python -m does it, without a new interpreter
        runpy.run_module('cpm_plugin.mmpose', run_name='__main__', alter_sys=True)
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert 'usage: image_demo.py' in shown and '--draw-heatmap' in shown


def test_flops_of_a_network_with_a_center_map_are_counted(monkeypatch, capsys):
    (config,) = REPO.glob('configs/body_2d_keypoint/topdown_heatmap/lspet/td-hm_cpm-slim*-12e_*.py')
    script = 'tools/analysis_tools/get_flops.py'
    monkeypatch.setattr(sys, 'argv', ['cpm_plugin.mmpose', script, str(config)])
    sys.argv += ['--input-shape', '128', '128']
    assert main() == 0
    assert 'Params: 0.546M' in capsys.readouterr().out  # 545,901, see create_model('cpm_slim_3s')


def test_missing_mmpose_is_named_with_the_remedy():
    code = (
        'import sys; sys.modules["mmpose"] = None\n'
        'import importlib.util as u; f = u.find_spec\n'
        'u.find_spec = lambda n, *a: None if n == "mmpose" else f(n, *a)\n'
        'import cpm_plugin.mmpose'
    )
    done = python('-c', code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        'ModuleNotFoundError: cpm_plugin.mmpose needs MMPose, which is not installed; see'
    )


@pytest.mark.parametrize(
    ('name', 'option'), [('train.py', '--resume'), ('test.py', '--dump')], ids=str
)
def test_tools_are_stock_scripts(name, option, run_tool):
    """That they start in a process of their own tests/test_round_trip.py sees."""
    done = run_tool(name, '--help')
    assert done.returncode == 0, done.stderr
    assert f'usage: {name}' in done.stdout and option in done.stdout
