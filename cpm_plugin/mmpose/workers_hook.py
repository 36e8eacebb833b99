"""Workers of data loaders that end together with the process that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmpose.registry import HOOKS

_PR_SET_PDEATHSIG = 1  # option of Linux's prctl: a signal for when the parent ends


class DiesWithParent:
    """A ``worker_init_fn`` that makes Linux end the worker as soon as its parent has ended.

    This is so in whatever way the parent ended. PyTorch's workers check for their parent every 5
    seconds, between two batches. After a ``kill -9``, some were still there 8 seconds later, with
    their memory.

    Args:
        init: Another ``worker_init_fn`` to call. None: no other.
    """

    def __init__(self, init: Callable[[int], None] | None = None) -> None:
        self.init = init
        self.parent = os.getpid()

    def __call__(self, worker_id: int) -> None:
        if sys.platform == 'linux':
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self.parent:  # the parent has ended in the meantime
                os._exit(1)
        if self.init is not None:
            self.init(worker_id)


@HOOKS.register_module()
class WorkersHook(Hook):
    """Let no worker outlive the training, validation or test that started it.

    Examples:
        In a config; the configs of this project have it in their base:

        >>> default_hooks = dict(workers=dict(type='WorkersHook'))
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Let the workers of training and validation end with this process."""
        _tie(runner.train_dataloader)
        if runner.val_loop is not None:
            _tie(runner.val_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Let the workers of the validation end with this process."""
        _tie(runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Let the workers of the test end with this process."""
        _tie(runner.test_dataloader)


def _tie(loader: Any) -> None:
    """Set the ``worker_init_fn`` of a data loader, once."""
    if isinstance(loader, DataLoader) and not isinstance(loader.worker_init_fn, DiesWithParent):
        loader.worker_init_fn = DiesWithParent(loader.worker_init_fn)
