"""Training that stops at a loss or a gradient that is not finite, and says where."""

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


class NotFiniteError(ArithmeticError):
    """A loss or a gradient is not finite."""


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop before weights are updated with what is not finite; MMEngine goes on and saves them.

    Args:
        action: ``stop`` raises an error that names iteration, images and the last checkpoint;
            ``skip`` leaves the update out, logs it and counts.
        max_skipped: The most iterations that may be left out in a row; one more stops.

    Raises:
        ValueError: For another action, or a max_skipped that is negative.

    Examples:
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
        self._batch: Any = None
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper) or hasattr(wrapper, 'checked_by'):
            return
        wrapper.checked_by = self
        backward, step = wrapper.backward, wrapper.step
        finite = torch.tensor(True)

        def checked_backward(loss: torch.Tensor, **kwargs: Any) -> None:
            nonlocal finite
            finite = torch.isfinite(loss.detach()).all()
            backward(loss, **kwargs)

        @functools.wraps(step)  # with the mark that MMEngine's schedulers left on it
        def checked_step(**kwargs: Any) -> None:
            what = self._not_finite(wrapper, finite)
            if not what:
                self._in_a_row = 0
                step(**kwargs)
                return
            self._act(runner, what)

        wrapper.backward = checked_backward
        wrapper.step = checked_step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self._batch = data_batch
        if self.action == 'skip':  # the forward pass changes running statistics
            floats = (buffer for buffer in runner.model.buffers() if buffer.is_floating_point())
            self._buffers = [(buffer, buffer.clone()) for buffer in floats]

    def after_train(self, runner: Runner) -> None:
        if self.skipped:
            runner.logger.warning(f'FiniteHook left out {self.skipped} updates in all')

    @staticmethod
    def _not_finite(wrapper: OptimWrapper, loss_is_finite: torch.Tensor) -> str:
        gradients = [
            parameter.grad
            for group in wrapper.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        bad = torch.zeros(2, device=loss_is_finite.device)
        bad[0] = ~loss_is_finite
        # a gradient scaler looks for itself, and leaves such steps out until its scale fits
        if gradients and not isinstance(wrapper, AmpOptimWrapper):
            norms = torch.stack([norm.to(bad) for norm in torch._foreach_norm(gradients)])
            bad[1] = ~torch.isfinite(norms).all()
        if is_distributed():  # all ranks stop, or none
            all_reduce(bad, op='max')
        loss, gradient = bad.tolist()
        return 'loss' if loss else 'gradient' if gradient else ''

    def _act(self, runner: Runner, what: str) -> None:
        where = f'epoch {runner.epoch + 1}, iteration {runner.iter + 1}'
        images = ', '.join(_images(self._batch)) or 'unknown'
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
            '(optim_wrapper.optimizer.lr) or a longer warm-up, and look at these images; '
            "FiniteHook(action='skip') leaves such updates out"
        )


def _images(batch: Any, most: int = 16) -> list[str]:
    """Files of a batch's images, or their ids."""
    samples = batch.get('data_samples', []) if isinstance(batch, dict) else []
    names = [str(s.metainfo.get('img_path') or s.metainfo.get('img_id', '?')) for s in samples]
    return names[:most] + (['...'] if len(names) > most else [])
