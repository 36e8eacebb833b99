"""Hook that reads the values of a training's log from a GPU when the log needs them."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner

from mmpose.registry import HOOKS

# Values that are kept at most, for trainings by iterations without a log: each takes 512 bytes.
_MOST_KEPT = 10000


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
        full = len(self._kept) >= _MOST_KEPT
        if last or full or any(self.every_n_inner_iters(batch_idx, n) for n in self._intervals):
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
        """Pass the values on to the message hub, in their order, with a wait for each type."""
        kept, self._kept = self._kept, []
        kinds: dict[Any, list[int]] = {}  # one tensor would turn all into one type, and round them
        for place, (_, value) in enumerate(kept):
            if _is_far(value):
                kinds.setdefault((value.device, value.dtype), []).append(place)
        numbers: dict[int, Any] = {}
        for places in kinds.values():
            values = torch.cat([kept[place][1].reshape(1) for place in places])
            numbers.update(zip(places, values.tolist()))
        for place, (name, value) in enumerate(kept):
            runner.message_hub.update_scalar(f'train/{name}', numbers.get(place, value))


def _is_far(value: Any) -> bool:
    """Tell whether a value is on a GPU, so that reading it would wait."""
    return isinstance(value, torch.Tensor) and value.device.type != 'cpu'
