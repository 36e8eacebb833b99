"""The limit of a benchmark's time."""

import pytest

from cpm_plugin.apps.clock import Clock


def test_the_clock_expects_rows_as_long_as_the_longest_of_their_kind():
    time = [1000.0]
    clock = Clock(100, now=lambda: time[0])
    with clock.row(compiled=False):
        time[0] += 30
    assert clock.has_time(False) and clock.has_time(True)  # 70 left; 30 and a guess of 40
    time[0] += 31  # 39 left
    assert clock.has_time(False) and not clock.has_time(True)
    with pytest.raises(KeyError), clock.row(compiled=False):
        time[0] += 35  # failed, after as long
        raise KeyError
    assert not clock.has_time(False)  # 4 left
