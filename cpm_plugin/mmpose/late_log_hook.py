"""Hook that reads the values of a training's log from a GPU when the log needs them."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner

from mmpose.registry import HOOKS


@HOOKS.register_module()
class LateLogHook(RuntimeInfoHook):
    """MMEngine's ``RuntimeInfoHook``, without a wait for the GPU in every iteration.

    MMEngine reads each loss and each accuracy when an iteration ends. The CPU then waits until the
    GPU is done, and the GPU waits for the CPU to begin the next iteration. This hook keeps the
    values on the GPU. It reads them all at once when the ``LoggerHook`` writes, and before a
    checkpoint is saved. The log and the checkpoints are the same. On a CPU it does what MMEngine
    does.

    Between two lines of the log, MMEngine's message hub has the values of the line before.

    Examples:
        In a config; the configs of this project have it in their base:

        >>> default_hooks = dict(runtime_info=dict(type='LateLogHook'))
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[str, Any]] = []
        self._intervals: set[int] = set()

    def before_train(self, runner: Runner) -> None:
        """Do as MMEngine does, and see when the log will be written."""
        super().before_train(runner)
        self._intervals = {one.interval for one in runner.hooks if isinstance(one, LoggerHook)}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Keep the values of an iteration, and read them all if the log needs them now."""
        for name, value in (outputs or {}).items():
            far = _is_far(value)
            if far or self._kept:  # or the order would change
                self._kept.append((name, value.detach() if far else value))
            else:
                runner.message_hub.update_scalar(f'train/{name}', value)
        last = self.end_of_epoch(runner.train_dataloader, batch_idx)
        if last or any(self.every_n_inner_iters(batch_idx, one) for one in self._intervals):
            self._read(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the values that are still kept, also into the checkpoint."""
        if self._kept:
            self._read(runner)
            scalars = runner.message_hub.state_dict()['log_scalars']
            checkpoint['message_hub']['log_scalars'] = scalars

    def after_train(self, runner: Runner) -> None:
        """Read the values that are still kept."""
        self._read(runner)
        super().after_train(runner)

    def _read(self, runner: Runner) -> None:
        """Pass the values on to the message hub, in their order, with one wait for the GPU."""
        kept, self._kept = self._kept, []
        far = [value.reshape(1) for _, value in kept if _is_far(value)]
        numbers = iter(torch.cat(far).tolist() if far else ())
        for name, value in kept:
            number = next(numbers) if _is_far(value) else value
            runner.message_hub.update_scalar(f'train/{name}', number)


def _is_far(value: Any) -> bool:
    """Tell whether a value is on a GPU, so that reading it would wait."""
    return isinstance(value, torch.Tensor) and value.device.type != 'cpu'
