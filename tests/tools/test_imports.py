"""Programs parse their arguments before they import what takes seconds."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from cpm_plugin.apps.arguments import packaged_models
from cpm_plugin.core.conversion.caffe_networks import CAFFE_MODELS
from cpm_plugin.core.models.registry import list_models
from cpm_plugin.core.prediction.export import FORMATS

REPO = Path(__file__).resolve().parents[2]
STOCK = {'train.py', 'test.py'}  # MMPose's, which parse after their own imports
PROGRAMS = sorted(
    {
        str(path.relative_to(REPO / 'tools'))
        for folder in ('tools', 'tools/analysis')
        for path in (REPO / folder).glob('*.py')
    }
    - STOCK
)
HERE = __file__  # of the files that arguments name, all that matters here is that they exist
# Arguments that are right by all that can be known without the packages.
RIGHT = {
    'analysis/gradient_flow.py': [HERE],
    'analysis/receptive_field.py': [HERE],
    'analysis/stages.py': [HERE, HERE],
    'benchmark.py': [],
    'check_dataset.py': [HERE],
    'compare.py': [f'a={HERE}:{HERE}'],
    'demo.py': [HERE],
    'find_swaps.py': [HERE, HERE, '--out', f'{HERE}.none'],
    'fit_structure.py': [HERE, f'{HERE}.none'],
    'forest_pose_machine.py': [HERE, f'{HERE}.none'],
    'make_figures.py': [f'{HERE}.none'],
    'mean_pose.py': [HERE],
    'publish_model.py': [
        HERE, HERE, '--results', HERE, '--zoo', f'{HERE}.none',
        *(f'--{name}=x' for name in ('name', 'dataset', 'training-data', 'training', 'license')),
    ],
    'test.py': [],
    'train.py': [],
}  # fmt: skip
# Each with what is told of it.
MISTAKES = [
    (['analysis/gradient_flow.py', 'none.csv'], 'none.csv: no such file'),
    (['analysis/receptive_field.py'], 'give a MODEL, or --plot CSV'),
    (['analysis/receptive_field.py', '--plot', 'none.csv'], 'none.csv: no such file'),
    (['analysis/stages.py', HERE, 'none.pth'], 'none.pth: no such file'),
    (['analysis/stages.py', HERE, HERE, '--near', '0'], '--near 0.0: must be positive'),
    (['analysis/stages.py', HERE, HERE, '--examples', '-1'], '--examples -1: must not be'),
    (['app.py', '--model', 'paf_movenet_3s'], "'paf_movenet_3s' finds several people in an image"),
    (['app.py', '--port', '0'], '--port 0: must be from 1 to 65535'),
    (['benchmark.py', '--others', 'stock VGG'], 'there are stock ResNet-50'),
    (['check_dataset.py', 'none.py'], 'none.py: no such file'),
    (['compare.py', 'a=none.py:none.pth'], 'a=none.py:none.pth: none.py: no such file'),
    (['compare.py', 'a=cpm_6s'], "a=cpm_6s: no trained weights of 'cpm_6s'; there are: cpm_l"),
    (['convert_caffe.py', 'none', 'o', '--model=cpm_flic'], 'none: no such file'),
    (['convert_caffe.py', HERE, 'o', '--model=cpm_6s'], "invalid choice: 'cpm_6s'"),
    (['convert_encoder.py', 'none.pth', 'o'], 'none.pth: no such file'),
    (['convert_mmpose_cpm.py', 'none.pth', 'o'], 'none.pth: no such file'),
    (['demo.py', 'none.png'], 'none.png: no such file or folder'),
    (['demo.py', HERE, '--config', HERE, '--checkpoint', 'none.pth'], 'none.pth: no such file'),
    (['demo.py', HERE, '--model', 'cpm_7s'], "no trained weights of 'cpm_7s'; there are: cpm_l"),
    (['demo.py', HERE, '--threshold', '2'], '--threshold 2.0: must be from 0 to 1'),
    (['fit_structure.py', 'none.py', 'o'], 'none.py: no such file'),
    (['fit_structure.py', HERE, 'o', '--quantile', '1'], '--quantile 1.0: must be between 0 and 1'),
    (['forest_pose_machine.py', 'none.py', 'o'], 'none.py: no such file'),
    (['forest_pose_machine.py', HERE, 'o', '--rounds', '0'], '--rounds 0: must be at least 1'),
    (['make_figures.py', 'out', '--size', '7'], '--size 7: must be at least 48'),
    (['mean_pose.py', 'none.py'], 'none.py: no such file'),
    (['publish_model.py', 'none.py', *RIGHT['publish_model.py'][1:]], 'none.py: no such file'),
]
# Runs programs where there is nothing but Python and the repository.
SCRIPT = """
import contextlib, io, json, runpy, sys
sys.path.insert(0, sys.argv[1])
runs = []
for name, *arguments in json.loads(sys.argv[2]):
    sys.argv = [f'tools/{name}', *arguments]
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(sys.argv[0], run_name='__main__')
        except SystemExit as stopped:
            code = stopped.code
        except ImportError as error:
            code = str(error)
    runs.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(runs))
"""
CASES = [
    *([name, '--help'] for name in PROGRAMS),
    *([name, '--no-such-option'] for name in PROGRAMS),
    *([name, *arguments] for name, arguments in RIGHT.items()),
    *(words for words, _ in MISTAKES),
]


@cache
def runs():
    """Exit code, output and errors of all cases, by the words of the command."""
    done = subprocess.run(
        [sys.executable, '-I', '-S', '-c', SCRIPT, str(REPO), json.dumps(CASES)],
        capture_output=True,
        text=True,
        cwd=REPO,
        env={**os.environ, 'COLUMNS': '80'},
    )
    assert done.returncode == 0, done.stderr
    return {tuple(case): run for case, run in zip(CASES, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize('name', PROGRAMS)
def test_help_needs_no_package(name):
    code, out, _ = runs()[name, '--help']
    assert code == 0
    assert out.startswith(f'usage: {Path(name).name} ')


@pytest.mark.parametrize('name', PROGRAMS)
def test_an_unknown_option_needs_no_package(name):
    code, _, err = runs()[name, '--no-such-option']
    assert code == 2
    assert f'{Path(name).name}: error: ' in err


@pytest.mark.parametrize(('words', 'message'), MISTAKES)
def test_a_mistake_needs_no_package(words, message):
    code, out, err = runs()[tuple(words)]
    assert (code, out) == (2, '')
    assert message in err


@pytest.mark.parametrize('name', RIGHT)
def test_without_mmpose_one_line_names_the_remedy(name):
    code, out, err = runs()[(name, *RIGHT[name])]
    assert (code, out) == (2, '')
    assert err.startswith(f'{Path(name).name}: error: there is no ') and err.count('\n') == 1
    assert "pip install '.[mmpose]'" in err


def test_all_programs_that_need_mmpose_say_so():
    assert {*PROGRAMS, *STOCK} - set(RIGHT) == {
        'app.py',
        'export_model.py',
        *(f'convert_{what}.py' for what in ('caffe', 'encoder', 'mmpose_cpm')),
    }


def test_names_in_helps_are_those_of_the_package(load_tool):
    names = [*packaged_models(), *packaged_models(several_people=True)]
    assert sorted(names) == list_models(pretrained=True)
    assert load_tool('convert_caffe.py').MODELS == CAFFE_MODELS
    pytest.importorskip('mmengine')
    from cpm_plugin.apps.benchmark import DTYPES, STOCK
    from cpm_plugin.core.structure import BODIES
    from cpm_plugin.core.structure.structures import QUANTILE

    assert tuple(FORMATS) == load_tool('export_model.py').FORMATS
    benchmark = load_tool('benchmark.py')
    assert tuple(DTYPES) == benchmark.PRECISIONS
    assert ('stock CPM', *benchmark.OTHERS) == tuple(STOCK)
    structures = load_tool('fit_structure.py')
    assert (tuple(BODIES), QUANTILE) == (structures.KINDS, structures.QUANTILE)
