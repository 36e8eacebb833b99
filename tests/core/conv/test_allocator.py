"""keep_freed_memory, in processes of its own: it stands for the whole process."""

import platform
import subprocess
import sys

import pytest

from cpm_plugin.core.conv import allocator

# A tensor of 64 MiB, made again and again: without it, its 16,384 pages of 4 KiB are new each time.
# With it, the second may not fit where the first was: aligned chunks need some bytes more.
COUNT = """
import resource, sys, threading, torch
from cpm_plugin.core.conv.allocator import keep_freed_memory

if sys.argv[1] == 'kept':
    assert keep_freed_memory()
faults = []
def fill():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(2**24).fill_(1)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
for _ in range(6):
    fill()
thread = threading.Thread(target=fill)  # whose heap is another, and smaller
thread.start(), thread.join()
print(*faults)
"""

only_glibc = pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='needs glibc')


def _faults(way):
    done = subprocess.run(
        [sys.executable, '-c', COUNT, way], capture_output=True, text=True, check=True
    )
    return [int(number) for number in done.stdout.split()]


@only_glibc
def test_memory_of_a_freed_tensor_serves_the_next_one():
    first, *_, last, _ = _faults('kept')
    assert first > 1000  # pages may be larger than 4 KiB
    assert last < 100


@only_glibc
def test_without_it_the_memory_is_new_every_time():
    first, *_, last, _ = _faults('given back')
    assert last > first / 2


def test_another_c_library_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(allocator.platform, 'libc_ver', lambda: ('', ''))
    assert allocator.keep_freed_memory() is False
