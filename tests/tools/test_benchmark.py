"""The benchmark's program: what it writes, and what it refuses. Times are not tested."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('mmpose')

REPO = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def run(*arguments):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', str(REPO / 'tools/benchmark.py'), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_both_networks_in_both_tasks_with_the_same_weights(tmp_path):
    out = tmp_path / 'new' / 'figures.csv'
    arguments = '--batch 1 --sizes 64x48 --runs 1 --others --quiet --tasks train forward'
    for count in (1, 2):  # appends
        memory = ['--no-memory'] * (count == 1)
        tasks = ['--tasks', 'forward'] * (count == 2)
        done = run(*arguments.split(), *memory, *tasks, '--out', out)
        assert done.returncode == 0, done.stderr[-2000:]
    rows = list(csv.DictReader(out.open()))
    found = [(row['task'], row['network']) for row in rows]
    forward = [('forward', 'stock CPM'), ('forward', 'ours')]
    assert found == [*forward, ('train', 'stock CPM'), ('train', 'ours'), *forward]
    # 64x48 / 368x368 of the 351 GFLOP of a 368x368 image, as a sum over layers gives
    assert float(rows[0]['GFLOP']) == pytest.approx(351 * 64 * 48 / 368**2, rel=0.1)
    assert rows[0]['GFLOP'] == rows[1]['GFLOP'] and float(rows[2]['GFLOP']) > 20
    assert 0 < float(rows[1]['difference']) < 1e-4
    assert 0 < float(rows[3]['difference']) < 1e-2  # statistics of a batch of 48 cells
    assert rows[0]['peak_MB'] == '' and float(rows[5]['peak_MB']) > 100


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--others', 'stock VGG'], 'there are stock ResNet-50'),
        (['--runs', 0], 'must be at least 1'),
        (['--sizes', '368'], '--sizes 368: give height x width'),
    ],
)
def test_mistakes_are_named(arguments, message, tmp_path):
    done = run(*arguments, '--out', tmp_path / 'none.csv')
    assert done.returncode == 2 and message in done.stderr
    assert not (tmp_path / 'none.csv').exists()
