"""The benchmark's program: what it writes, and what it refuses. Times are not tested."""

import csv
import subprocess
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('mmengine')

from cpm_plugin.apps import benchmark, gpu_benchmark

pytestmark = pytest.mark.slow


@pytest.fixture
def run(run_tool):
    return partial(run_tool, 'benchmark.py')


def test_both_networks_in_both_tasks_with_the_same_weights(tmp_path, run, load_tool, monkeypatch):
    monkeypatch.setattr(benchmark, 'matrix_peak', cache(benchmark.matrix_peak))  # takes seconds
    alone = []

    def process(command, **options):
        if command[0] == 'git':
            return subprocess.run(command, **options)
        assert Path(command[1]).name == 'benchmark.py'
        alone.append(command)
        return run(*command[2:])  # here, which is quicker

    monkeypatch.setattr(load_tool('benchmark.py'), 'subprocess', SimpleNamespace(run=process))
    out = tmp_path / 'new' / 'figures.csv'
    arguments = ['--batch', 1, '--sizes', '64x48', '--runs', 1, '--others', '--quiet']
    for task in (['train', '--no-memory'], ['forward']):  # the second one appends
        done = run(*arguments, '--out', out, '--tasks', *task)
        assert done.returncode == 0, done.stderr[-2000:]
    rows = list(csv.DictReader(out.open()))
    assert [(row['task'], row['network']) for row in rows] == [
        ('train', 'stock CPM'), ('train', 'ours'), ('forward', 'stock CPM'), ('forward', 'ours'),
    ]  # fmt: skip
    # 64x48 / 368x368 of the 351 GFLOP of a 368x368 image, as a sum over layers gives
    assert float(rows[2]['GFLOP']) == pytest.approx(351 * 64 * 48 / 368**2, rel=0.1)
    assert rows[2]['GFLOP'] == rows[3]['GFLOP'] and float(rows[0]['GFLOP']) > 20
    assert 0 < float(rows[3]['difference']) < 1e-4
    assert 0 < float(rows[1]['difference']) < 1e-2  # statistics of a batch of 48 cells
    assert rows[0]['peak_MB'] == rows[1]['peak_MB'] == ''
    assert float(rows[2]['peak_MB']) > 100 and float(rows[3]['peak_MB']) > 100
    assert [command[-1] for command in alone] == ['stock CPM', 'ours']


def test_all_tasks_are_measured_in_one_run(tmp_path, run, load_tool, monkeypatch):
    tool = load_tool('benchmark.py')

    def time_networks(names, **settings):
        return [{column: settings.get(column, 0) for column in tool.COLUMNS}]

    monkeypatch.setattr(benchmark, 'time_networks', time_networks)
    out = tmp_path / 'figures.csv'
    sizes = ['--sizes', '64x48', '32x32']
    assert run('--batch', 1, 2, *sizes, '--no-memory', '--out', out).returncode == 0
    rows = [(row['task'], row['batch'], row['size']) for row in csv.DictReader(out.open())]
    assert rows == [
        (task, batch, size)
        for task, batch in (('forward', '1'), ('forward', '2'), ('train', '2'))
        for size in ('64x48', '32x32')
    ]


@pytest.mark.parametrize(('more', 'others'), [([], ['ResNet-50', 'HRNet-W32']), (['--others'], [])])
def test_rows_of_a_gpu_are_written_one_by_one(more, others, tmp_path, run, load_tool, monkeypatch):
    tool, asked = load_tool('benchmark.py'), []
    out = tmp_path / 'figures.csv'

    def time_ways(ways, shapes, **settings):
        asked.append((ways, shapes, settings))
        for number in range(2):
            assert number == 0 or len(out.read_text().splitlines()) == 2
            yield {column: number for column in tool.COLUMNS if column != 'commit'}
        settings['tell']('no more time')

    monkeypatch.setattr(gpu_benchmark, 'time_ways', time_ways)
    done = run('--minutes', 2, '--sizes', '64x48', '--out', out, *more)
    assert done.returncode == 0, done.stderr
    assert 'note: no more time' in done.stderr
    assert [row['seconds'] for row in csv.DictReader(out.open())] == ['0', '1']
    ((ways, shapes, settings),) = asked
    assert shapes == [('train', 32, '64x48'), ('forward', 32, '64x48'), ('forward', 1, '64x48')]
    assert settings['limit'] == 120 and settings['runs'] == 10 and settings['device'] == 'cpu'
    names = {way.kind for way in ways}
    assert names == {'stock CPM', 'ours', *(f'stock {name}' for name in others)}


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--minutes', 0], '--minutes 0: must be more than 0'),
        (['--minutes', 4, '--precision', 'bf16'], '--precision is for a CPU'),
        (['--device', 'cuda', '--precision', 'bf16'], '--precision is for a CPU'),
        (['--others', 'stock VGG'], 'there are stock ResNet-50'),
        (['--runs', 0], 'must be at least 1'),
        (['--sizes', '368'], '--sizes 368: give height x width'),
    ],
)
def test_mistakes_are_named(arguments, message, tmp_path, run):
    done = run(*arguments, '--out', tmp_path / 'none.csv')
    assert done.returncode == 2 and message in done.stderr
    assert not (tmp_path / 'none.csv').exists()
