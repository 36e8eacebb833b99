"""Refusal of checkpoints that do not fit a component, with the names of the weights.

MMEngine loads with ``strict=False``. For a checkpoint of another model it only logs a warning, and
the test that follows prints the results of random weights with exit code 0. To fine-tune another
model is a wish of its own: then what fits is taken, and the log names what begins anew.

That wish holds at the start of a training alone, for its ``load_from`` and ``init_cfg``. Whatever
else loads a checkpoint uses all of its weights: a test, a resumed training, ``init_model``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch import nn

from ..core.weights.archive import describe_unusable
from ..core.weights.checkpoints import describe_mismatch

_training_starts: ContextVar[bool] = ContextVar('training_starts', default=False)


def install() -> None:
    """Let MMEngine's ``Runner`` say when it loads the first weights of a training, once."""
    if hasattr(Runner.load_or_resume, '__wrapped__'):
        return
    load, initialize = Runner.load_or_resume, Runner._init_model_weights

    @functools.wraps(load)
    def load_or_resume(self: Runner) -> None:
        # Runner.train builds the loop before it loads. In a test it is still a config, or None.
        if isinstance(self._train_loop, BaseLoop) and not self._resume:
            with training_starts():
                load(self)
        else:
            load(self)

    @functools.wraps(initialize)
    def _init_model_weights(self: Runner) -> None:
        with training_starts():
            initialize(self)

    Runner.load_or_resume = load_or_resume
    Runner._init_model_weights = _init_model_weights


@contextmanager
def training_starts() -> Iterator[None]:
    """In this block, ``strict_load=False`` takes what fits."""
    token = _training_starts.set(True)
    try:
        yield
    finally:
        _training_starts.reset(token)


def check_loading(module: nn.Module, *, strict: bool) -> None:
    """Make ``module`` check every state dict that it loads.

    This is so for every caller, because a module does not know whether ``strict=False`` was given.
    A state dict that does not fit completely raises ValueError.

    Args:
        module: Module whose loading is checked.
        strict: False: at the start of a training, take what fits, keep the module's own weights for
            the rest, and log their names. Everywhere else it is refused all the same.
    """
    check = _refuse if strict else _take_what_fits
    module._register_load_state_dict_pre_hook(check, with_module=True)


def _given(state_dict: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the weights of a module in a state dict, without its prefix."""
    return {
        key.removeprefix(prefix): value
        for key, value in state_dict.items()
        if key.startswith(prefix)
    }


def _take_what_fits(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Put the module's own weights where those of a state dict do not fit, and log their names.

    Raise ValueError instead where no training starts.
    """
    if not _training_starts.get():
        _refuse(module, state_dict, prefix)
        return
    own, given = module.state_dict(), _given(state_dict, prefix)
    anew = [key for key in own if key not in given or given[key].shape != own[key].shape]
    left = [key for key in given if key not in own]
    state_dict.update({prefix + key: own[key] for key in anew})
    for key in left:
        del state_dict[prefix + key]
    named = [key for key in anew if not key.endswith('num_batches_tracked')]
    parts = [f'{len(named)} weights begin anew: {", ".join(named)}'] if named else []
    parts += [f'{len(left)} weights are not used: {", ".join(left)}'] if left else []
    if parts:
        taken = len(own) - len(anew)
        print_log(
            f'{type(module).__name__}: the checkpoint fits in part; {taken} of {len(own)} weights '
            f'are taken from it. {". ".join(parts)}',
            logger='current',
            level=logging.WARNING,
        )


def _refuse(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Raise ValueError if the weights of a module in a state dict do not fit it."""
    given = _given(state_dict, prefix)
    # Old checkpoints do not have the counter num_batches_tracked.
    expected = {
        key: value
        for key, value in module.state_dict().items()
        if key in given or not key.endswith('num_batches_tracked')
    }
    if problem := describe_unusable(given):
        raise ValueError(
            f'the checkpoint cannot be used in {type(module).__name__}: {prefix}{problem}. Use an '
            'earlier one, or train it again'
        )
    problem = describe_mismatch(expected, given)
    if problem:
        remedy = 'Use the config it was trained with'
        if _training_starts.get():
            remedy += (
                '; to fine-tune from another model, set strict_load=False in the backbone and the '
                'head'
            )
        raise ValueError(
            f'the checkpoint does not fit {type(module).__name__} (prefix {prefix!r}); {problem}. '
            f'{remedy}'
        )
