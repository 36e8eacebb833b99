"""Hooks that make training and testing faster and change no value but by rounding, and one that
shows beliefs while they are learned."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..core.models.inference import optimize_for_inference
from .head import CPMStageHead
from .stage_panels import crop_of, draw_belief_rows, stage_beliefs

from mmpose.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the model's weights in channels-last order; values do not change.

    Convolutions then work in that order throughout, which is that of the tiled ones, too.

    Examples:
        >>> custom_hooks = [dict(type='ChannelsLastHook')]
    """

    priority = 'VERY_HIGH'  # before EMAHook copies the model

    def before_run(self, runner: Runner) -> None:
        if not is_model_wrapper(runner.model):
            runner.model.to(memory_format=torch.channels_last)
            return
        # A wrapper such as DistributedDataParallel lays out its buckets of gradients by the strides
        # of the weights, once: in another order later it mixes up gradients. So it is made anew.
        model = runner.model.module
        del runner.model
        model.to(memory_format=torch.channels_last)
        runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)


@HOOKS.register_module()
class FastInferenceHook(Hook):
    """Test with ``cpm_plugin.core.models.inference.optimize_for_inference``.

    Any config with ``CPMBackbone`` or ``CPMStageHead``, by an option of ``tools/test.py``::

        --cfg-options default_hooks.fast.type=FastInferenceHook

    In ``tools/train.py`` it does nothing, validation is as without: the model that is tested
    cannot be trained on. Without ``EMAHook``, which would exchange weights that are folded
    then: a checkpoint of a run with it has the averaged weights in its ``state_dict`` already.

    Examples:
        >>> default_hooks = dict(fast=dict(type='FastInferenceHook'))
    """

    def before_test(self, runner: Runner) -> None:
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ValueError(
                'FastInferenceHook and EMAHook cannot test together; leave EMAHook out, for the '
                "checkpoint's state_dict has the averaged weights"
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        optimize_for_inference(model, inplace=True)
        runner.logger.info('FastInferenceHook: the model is optimized for inference')


@HOOKS.register_module()
class BeliefMapHook(Hook):
    """Every so often in training, draw what each stage believes of the first people of the batch.

    A row a person: the crop, the target, then the beliefs of each stage, the largest over the
    joints; on a scale from 0 to 1. Goes to all of the visualizer's backends, as ``beliefs``:
    ``vis_data/vis_image/beliefs_<iteration>.png`` by MMPose's default, TensorBoard with
    ``visualizer.vis_backends=[dict(type='TensorboardVisBackend')]``.

    Args:
        interval: Iterations from one drawing to the next.
        num_people: Rows of a drawing.

    Examples:
        >>> custom_hooks = [dict(type='BeliefMapHook', interval=500)]
    """

    def __init__(self, interval: int = 500, num_people: int = 4) -> None:
        if interval < 1 or num_people < 1:
            raise ValueError(f'interval={interval} and num_people={num_people} must be at least 1')
        self.interval = interval
        self.num_people = num_people

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model.head, CPMStageHead):  # on all ranks, before any waits for another
            raise ValueError(
                f'BeliefMapHook needs a CPMStageHead, the model has {type(model.head).__name__}'
            )

    @master_only
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        few = {key: data_batch[key][: self.num_people] for key in ('inputs', 'data_samples')}
        model.eval()
        with torch.no_grad():
            beliefs, samples = stage_beliefs(model, few)
        model.train()
        joints = model.head.stages.num_keypoints
        targets = [sample.gt_fields.heatmaps[:joints] for sample in samples]
        columns = [torch.stack(targets), *beliefs]
        panels = draw_belief_rows(
            [crop_of(image) for image in few['inputs']],
            [column.float().cpu().numpy() for column in columns],
        )
        runner.visualizer.add_image('beliefs', panels, step=runner.iter + 1)
