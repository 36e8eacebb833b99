"""Workers end with the process that started them."""

import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from cpm_plugin.mmpose.workers_hook import DiesWithParent, WorkersHook


def start_worker(write):
    """A trainer, forked from the tests, that forks a worker; never returns."""
    tell = DiesWithParent(lambda number: os.write(write, f'{os.getpid()} {number}\n'.encode()))
    try:
        if os.fork() == 0:
            tell(7)
        time.sleep(60)
    finally:
        os._exit(0)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f'/proc/{pid}/stat') as file:
        return file.read().rpartition(')')[2].split()[0] != 'Z'


@pytest.mark.skipif(sys.platform != 'linux', reason='prctl is of Linux')
@pytest.mark.filterwarnings('ignore:This process .* is multi-threaded')
def test_a_child_is_gone_when_its_parent_was_killed():
    read, write = os.pipe()
    trainer = os.fork()
    if trainer == 0:
        start_worker(write)
    os.close(write)
    with open(read) as lines:
        child, number = map(int, lines.readline().split())
    assert number == 7  # what was to be called besides was called
    assert is_alive(child)
    os.kill(trainer, signal.SIGKILL)
    os.waitpid(trainer, 0)
    end = time.monotonic() + 5
    while is_alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(child)


def test_the_hook_ties_every_loader_once():
    calls = []
    loaders = [DataLoader(torch.arange(3), worker_init_fn=calls.append) for _ in range(3)]
    runner = SimpleNamespace(
        train_dataloader=loaders[0], val_loop=object(), val_dataloader=loaders[1],
        test_dataloader=loaders[2],
    )  # fmt: skip
    hook = WorkersHook()
    hook.before_train(runner)
    hook.before_val(runner)
    hook.before_test(runner)
    for loader in loaders:
        assert isinstance(loader.worker_init_fn, DiesWithParent)
        assert loader.worker_init_fn.init == calls.append
    hook.before_train(SimpleNamespace(train_dataloader=loaders[0], val_loop=None))
    assert loaders[0].worker_init_fn.init == calls.append
