"""Hook that stops a training at a loss or gradient that is not finite, and says where."""

from __future__ import annotations

import functools
import logging
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

    def before_train(self, runner: Runner) -> None:
        """Check the loss and the gradients in every update of the runner's optimizer wrapper."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper) or hasattr(wrapper, 'checked_by'):
            return
        wrapper.checked_by = self
        backward, step = wrapper.backward, wrapper.step
        finite = torch.tensor(True)

        def checked_backward(loss: torch.Tensor, **kwargs: Any) -> None:
            nonlocal finite
            finite = finite.to(loss.device) & torch.isfinite(loss.detach()).all()
            backward(loss, **kwargs)

        @functools.wraps(step)  # keeps the mark that MMEngine's schedulers set on it
        def checked_step(**kwargs: Any) -> None:
            nonlocal finite
            what = self._not_finite(wrapper, finite)
            finite = torch.tensor(True)
            if what:
                self._act(runner, what)
            else:
                self._in_a_row = 0
                step(**kwargs)
            self._batches = []

        wrapper.backward = checked_backward
        wrapper.step = checked_step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Remember the batch and, to leave its update out, the running statistics before it."""
        self._batches.append(data_batch)
        first = len(self._batches) == 1
        if self.action == 'skip' and first:  # the forward pass changes running statistics
            floats = (buffer for buffer in runner.model.buffers() if buffer.is_floating_point())
            self._buffers = [(buffer, buffer.clone()) for buffer in floats]

    def after_train(self, runner: Runner) -> None:
        """Log how many updates were left out."""
        if self.skipped:
            runner.logger.warning(f'FiniteHook left out {self.skipped} updates in all')

    @staticmethod
    def _not_finite(wrapper: OptimWrapper, loss_is_finite: torch.Tensor) -> str:
        """Return ``'loss'``, ``'gradient'`` or, if both are finite in all processes, ``''``."""
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
        loss, gradient = bad.tolist()
        return 'loss' if loss else 'gradient' if gradient else ''

    def _act(self, runner: Runner, what: str) -> None:
        """Leave an update out, or raise ``NotFiniteError``."""
        where = f'epoch {runner.epoch + 1}, iteration {runner.iter + 1}'
        images = ', '.join(name for batch in self._batches for name in _images(batch)) or 'unknown'
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


def _images(batch: Any) -> list[str]:
    """Return the files of the images of a batch, or their ids."""
    samples = batch.get('data_samples', []) if isinstance(batch, dict) else []
    names = [str(s.metainfo.get('img_path') or s.metainfo.get('img_id', '?')) for s in samples]
    return names[:_MOST_IMAGES] + (['...'] if len(names) > _MOST_IMAGES else [])
