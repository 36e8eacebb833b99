"""``ChannelsLastHook``: train and test with channels-last weights."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the model's weights in channels-last order; values do not change.

    Convolutions then work in that order throughout. It pays for narrow models on a CPU.
    """

    def before_run(self, runner: Runner) -> None:
        runner.model.to(memory_format=torch.channels_last)
