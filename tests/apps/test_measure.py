"""What the benchmark and the comparison measure, and when they warn of it."""

import os
import subprocess
import sys

import pytest

from cpm_plugin.apps import measure
from cpm_plugin.apps.measure import Timing, load_warning, spread_warning, time_in_turns


def test_calls_take_turns_after_one_run_that_is_not_counted(monkeypatch):
    order = []
    clock = iter([0, 1, 10, 13, 20, 22, 30, 34])
    monkeypatch.setattr(measure.time, 'perf_counter', lambda: next(clock))
    calls = {name: lambda name=name: order.append(name) for name in 'ab'}
    found = time_in_turns(calls, range(2), 'cpu')
    assert ''.join(order) == 'ab' * 3
    assert found == {'a': Timing((1, 2)), 'b': Timing((3, 4))}
    assert (found['a'].median, found['a'].spread) == (1.5, 2)


def test_uneven_times_and_a_busy_computer_are_warned_of(monkeypatch):
    assert spread_warning('ours', 1.5) == ''
    assert 'ours: the slowest run took 1.51 times' in spread_warning('ours', 1.51)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1})
    for load, text in ((2.0, ''), (2.1, 'the load average is 2.1 on 2 CPU cores')):
        monkeypatch.setattr(os, 'getloadavg', lambda load=load: (load, 0, 9))
        assert load_warning().startswith(text) and bool(load_warning()) == bool(text)


@pytest.mark.slow
def test_peak_memory_is_not_that_of_the_process_that_started_this_one(repo):
    held = b'x' * 600_000_000
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            'from cpm_plugin.apps.measure import peak_megabytes as peak\n'
            "before = peak('cpu'); held = b'x' * 200_000_000; print(before, peak('cpu'))",
        ],
        env={**os.environ, 'PYTHONPATH': str(repo)},
        capture_output=True,
        text=True,
    )
    before, after = map(float, done.stdout.split())
    assert before < len(held) / 1e6
    assert 150 < after - before < 250
