"""The constants of the choice are those that its program fits to the committed figures."""

import ast
import re
from functools import partial

import pytest

pytest.importorskip('mmengine')  # which brings SciPy and rich

from cpm_plugin.core.conv import choice as conv_choice

pytestmark = pytest.mark.slow


@pytest.fixture
def run(run_tool):
    return partial(run_tool, 'dev/fit_conv_choice.py', '--only-fit', '--out')


def test_constants_fit_the_figures(run, repo):
    done = run(repo / 'results/conv_layers.csv')
    assert done.returncode == 0, done.stderr[-2000:]
    found = {
        name: ast.literal_eval(text) for name, text in re.findall(r'(_\w+) = (.*)', done.stdout)
    }
    assert found == {name: getattr(conv_choice, name) for name in ('_KEPT', '_STEP')}
    direct = [float(text) for text in re.findall(r'direct: ([\d.]+) ms', done.stdout)]
    assert direct == [conv_choice._DIRECT_FORWARD, conv_choice._DIRECT_STEP]


def test_other_figures_are_refused(run, repo):
    done = run(repo / 'results/benchmark.csv')
    assert done.returncode == 2 and 'benchmark.csv: no figures of this program' in done.stderr


def test_missing_figures_are_named(tmp_path, start_tool):
    done = start_tool('dev/fit_conv_choice.py', '--only-fit', '--out', tmp_path / 'no.csv')
    assert done.returncode == 2 and 'no.csv: no such file' in done.stderr
