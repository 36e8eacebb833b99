"""Hook that stops a training at a loss or gradient that is not finite, and says where."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner

from mmpose.registry import HOOKS

ACTIONS = ('stop', 'skip')

_MOST_IMAGES = 16  # of a batch, that a message names


class NotFiniteError(ArithmeticError):
    """Error of ``FiniteHook``: a loss or a gradient is not finite."""


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop a training before the weights are updated with values that are not finite.

    MMEngine continues with such weights and saves them.

    On a GPU, a fused optimizer (``fused=True``) leaves such an update out by itself. The check
    then waits for no result: ``'stop'`` raises one iteration later, and names the iteration that
    it was. Running statistics may have seen one batch more. With other optimizers, and with
    ``'skip'``, every update waits for the GPU. On a CPU nothing is late.

    Args:
        action: ``'stop'`` raises ``NotFiniteError``, which names the iteration, the images and the
            last checkpoint. ``'skip'`` leaves the update out, logs it and counts it.
        max_skipped: Largest number of iterations in a row that are left out. One more stops.

    Raises:
        ValueError: If the action is unknown, or ``max_skipped`` is negative.
        NotFiniteError: During the training; see ``action``.

    Examples:
        In a config; the configs of this project have it in their base:

        >>> default_hooks = dict(finite=dict(type='FiniteHook'))

        To leave such updates out:

        >>> default_hooks = dict(finite=dict(type='FiniteHook', action='skip', max_skipped=10))
    """

    def __init__(self, action: str = 'stop', max_skipped: int = 10) -> None:
        if action not in ACTIONS:
            raise ValueError(f'action={action!r} must be one of {", ".join(ACTIONS)}')
        if max_skipped < 0:
            raise ValueError(f'max_skipped={max_skipped} must not be negative')
        self.action = action
        self.max_skipped = max_skipped
        self.skipped = 0
        self._in_a_row = 0
        self._batches: list[Any] = []  # since the last update; several where gradients accumulate
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._last: _Result | None = None  # of the last update, where it is read later

    def before_train(self, runner: Runner) -> None:
        """Check the loss and the gradients in every update of the runner's optimizer wrapper."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper) or hasattr(wrapper, 'checked_by'):
            return
        wrapper.checked_by = self
        backward, step, optimizer = wrapper.backward, wrapper.step, wrapper.optimizer
        finite: torch.Tensor | None = None  # of the loss, on its device

        def checked_backward(loss: torch.Tensor, **kwargs: Any) -> None:
            nonlocal finite
            now = torch.isfinite(loss.detach()).all()
            finite = now if finite is None else finite & now
            if isinstance(wrapper, AmpOptimWrapper) and self._is_late(wrapper, now):
                # Its scaler leaves a step out for the gradients alone, and so they show the loss.
                loss = loss * torch.ones_like(loss).masked_fill(~now, torch.nan)
            backward(loss, **kwargs)

        @functools.wraps(step)  # keeps the mark that MMEngine's schedulers set on it
        def checked_step(**kwargs: Any) -> None:
            nonlocal finite
            bad, finite = self._not_finite(wrapper, finite), None
            result = _Result(bad, f'epoch {runner.epoch + 1}, iteration {runner.iter + 1}')
            result.batches, self._batches = self._batches, []
            if self._is_late(wrapper, bad):
                self._check_last(runner)
                self._last = result
                if isinstance(wrapper, AmpOptimWrapper):
                    step(**kwargs)
                else:
                    with _left_out_if(optimizer, bad.amax()):
                        step(**kwargs)
            elif what := result.what():
                self._act(runner, what, result)
            else:
                self._in_a_row = 0
                step(**kwargs)

        wrapper.backward = checked_backward
        wrapper.step = checked_step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Remember the batch and, to leave its update out, the running statistics before it."""
        self._batches.append(data_batch)
        first = len(self._batches) == 1
        if self.action == 'skip' and first:  # the forward pass changes running statistics
            floats = (buffer for buffer in runner.model.buffers() if buffer.is_floating_point())
            self._buffers = [(buffer, buffer.clone()) for buffer in floats]

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the last update before a checkpoint is saved."""
        self._check_last(runner)

    def after_train(self, runner: Runner) -> None:
        """Check the last update, and log how many updates were left out."""
        self._check_last(runner)
        if self.skipped:
            runner.logger.warning(f'FiniteHook left out {self.skipped} updates in all')

    def _is_late(self, wrapper: OptimWrapper, like: torch.Tensor) -> bool:
        """Tell whether updates are left out by the optimizer, and results are read later."""
        leaves_out = getattr(wrapper.optimizer, '_step_supports_amp_scaling', False)
        return self.action == 'stop' and leaves_out and like.device.type != 'cpu'

    def _check_last(self, runner: Runner) -> None:
        """Raise ``NotFiniteError`` for the last update, where it is read later."""
        last, self._last = self._last, None
        if last is not None and (what := last.what()):
            self._act(runner, what, last)

    @staticmethod
    def _not_finite(wrapper: OptimWrapper, loss_is_finite: torch.Tensor | None) -> torch.Tensor:
        """Return 1 or 0 for the loss and the gradient, 1 if one of all processes is not finite."""
        if loss_is_finite is None:  # somebody's own backward pass
            loss_is_finite = torch.ones((), dtype=torch.bool, device=_device_of(wrapper))
        gradients = [
            parameter.grad
            for group in wrapper.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        bad = torch.zeros(2, device=loss_is_finite.device)
        bad[0] = ~loss_is_finite
        # A gradient scaler checks the gradients itself. It leaves steps out until its scale fits.
        if gradients and not isinstance(wrapper, AmpOptimWrapper):
            norms = torch.stack([norm.to(bad) for norm in torch._foreach_norm(gradients)])
            bad[1] = ~torch.isfinite(norms).all()
        if is_distributed():  # all processes stop, or none
            all_reduce(bad, op='max')
        return bad

    def _act(self, runner: Runner, what: str, result: _Result) -> None:
        """Leave an update out, or raise ``NotFiniteError``."""
        where = result.where
        images = ', '.join(name for one in result.batches for name in _images(one)) or 'unknown'
        if self.action == 'skip' and self._in_a_row < self.max_skipped:
            self._in_a_row += 1
            self.skipped += 1
            for buffer, before in self._buffers:
                buffer.copy_(before)
            print_log(
                f'{where}: the {what} is not finite; this update is left out ({self.skipped} so '
                f'far). Images of the batch: {images}',
                logger='current',
                level=logging.WARNING,
            )
            return
        last = runner.message_hub.runtime_info.get('last_ckpt', 'none yet')
        row = f', {self._in_a_row + 1} times in a row' if self._in_a_row else ''
        raise NotFiniteError(
            f'{where}: the {what} is not finite{row}. Weights were not updated. Images of the '
            f'batch: {images}. Last checkpoint: {last}. Use a smaller learning rate '
            '(optim_wrapper.optimizer.lr) or a longer warm-up, and check these images. '
            "FiniteHook(action='skip') leaves such updates out"
        )


class _Result:
    """What was found of an update, on its way from the device to the CPU.

    Args:
        bad: 1 or 0 for the loss and the gradient, see ``FiniteHook._not_finite``.
        where: Epoch and iteration, for messages.
    """

    def __init__(self, bad: torch.Tensor, where: str) -> None:
        self.where = where
        self.batches: list[Any] = []
        # Into pinned memory. Of other devices, nothing here would tell when the copy is done.
        self._bad = bad.to('cpu', non_blocking=bad.is_cuda)
        self._arrived = torch.cuda.Event() if bad.is_cuda else None
        if self._arrived is not None:
            self._arrived.record(torch.cuda.current_stream(bad.device))

    def what(self) -> str:
        """Wait until the result is there; return ``'loss'``, ``'gradient'`` or ``''``."""
        if self._arrived is not None:
            self._arrived.synchronize()
        loss, gradient = self._bad.tolist()
        return 'loss' if loss else 'gradient' if gradient else ''


@contextmanager
def _left_out_if(optimizer: torch.optim.Optimizer, bad: torch.Tensor) -> Iterator[None]:
    """Let a fused optimizer change nothing if ``bad`` is 1, as a gradient scaler asks it to."""
    optimizer.found_inf = bad  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del optimizer.found_inf  # type: ignore[attr-defined]


def _device_of(wrapper: OptimWrapper) -> torch.device:
    """Return the device of the first weight."""
    device: torch.device = wrapper.param_groups[0]['params'][0].device
    return device


def _images(batch: Any) -> list[str]:
    """Return the files of the images of a batch, or their ids."""
    samples = batch.get('data_samples', []) if isinstance(batch, dict) else []
    names = [str(s.metainfo.get('img_path') or s.metainfo.get('img_id', '?')) for s in samples]
    return names[:_MOST_IMAGES] + (['...'] if len(names) > _MOST_IMAGES else [])
