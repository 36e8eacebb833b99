"""Hook that warns of a warm-up that does not end before the training does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import ConstantParamScheduler, LinearParamScheduler
from mmengine.runner import Runner

from mmpose.registry import HOOKS


@HOOKS.register_module()
class WarmUpHook(Hook):
    """Warn, before a training, if its warm-up never reaches the full learning rate.

    A warm-up is often given in iterations. A small dataset has few of them in an epoch. MMEngine
    then trains at a small learning rate to the end, and says nothing.

    Examples:
        In a config; the configs of this project have it in their base:

        >>> default_hooks = dict(warm_up=dict(type='WarmUpHook'))

        A warm-up of two epochs, which suits data of any size:

        >>> param_scheduler = [
        ...     dict(
        ...         type='LinearLR', begin=0, end=2, start_factor=0.01, by_epoch=True,
        ...         convert_to_iter_based=True,
        ...     )
        ... ]
    """

    def before_train(self, runner: Runner) -> None:
        """Log a warning for every warm-up that is too long or too short."""
        for scheduler in _schedulers(runner.param_schedulers):
            if not _rises(scheduler):
                continue
            by_epoch = scheduler.by_epoch
            length = runner.max_epochs if by_epoch else runner.max_iters
            unit = 'epochs' if by_epoch else 'iterations'
            steps = scheduler.end - scheduler.begin
            name = f'the warm-up ({type(scheduler).__name__}, {scheduler.param_name})'
            if scheduler.end >= length:
                _warn(
                    f'{name} ends after {scheduler.end} {unit}, and the training after {length}: '
                    'the learning rate stays small. Shorten it, for example to two epochs: '
                    'end=2, by_epoch=True, convert_to_iter_based=True; or train longer than '
                    f'{scheduler.end} {unit}'
                )
            elif isinstance(scheduler, LinearParamScheduler) and steps < 2:
                _warn(
                    f'{name} has a single step, and its factor stays {scheduler.start_factor:g} '
                    'to the end; give it two steps or more, or leave it out'
                )


def _schedulers(found: Any) -> Iterator[Any]:
    """Schedulers of a runner, which has a list of them, or a dict of lists."""
    if isinstance(found, dict):
        for part in found.values():
            yield from _schedulers(part)
    else:
        yield from found or ()


def _rises(scheduler: Any) -> bool:
    """Whether a scheduler begins below its end."""
    if isinstance(scheduler, LinearParamScheduler):
        return scheduler.start_factor < scheduler.end_factor
    return isinstance(scheduler, ConstantParamScheduler) and scheduler.factor < 1


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
