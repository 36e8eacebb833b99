"""Hooks that make training and testing faster and change no value but by rounding."""

from __future__ import annotations

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ..core.inference import optimize_for_inference


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the model's weights in channels-last order; values do not change.

    Convolutions then work in that order throughout, which is that of the tiled ones, too.
    """

    def before_run(self, runner: Runner) -> None:
        runner.model.to(memory_format=torch.channels_last)


@HOOKS.register_module()
class FastInferenceHook(Hook):
    """Test with :func:`cpm_plugin.core.inference.optimize_for_inference`.

    Any config with ``CPMBackbone`` or ``CPMStageHead``, by an option of ``tools/test.py``::

        --cfg-options default_hooks.fast.type=FastInferenceHook

    In ``tools/train.py`` it does nothing, validation is as without: the model that is tested
    cannot be trained on. Without ``EMAHook``, which would exchange weights that are folded
    then: a checkpoint of a run with it has the averaged weights in its ``state_dict`` already.
    """

    def before_test(self, runner: Runner) -> None:
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ValueError(
                'FastInferenceHook and EMAHook cannot test together; leave EMAHook out, for the '
                "checkpoint's state_dict has the averaged weights"
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        optimize_for_inference(model, inplace=True)
        runner.logger.info('FastInferenceHook: the model is optimised for inference')
