"""Hooks that make training and testing faster, and one that shows the beliefs in training.

The faster computations change values only by rounding.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..core.conv.allocator import keep_freed_memory
from ..core.models.inference import optimize_for_inference
from .head import CPMStageHead
from .stage_panels import crop_of, draw_belief_rows, stage_beliefs

from mmpose.registry import HOOKS

_DTYPES = {None: None, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the weights of the model in channels-last memory order; values do not change.

    The convolutions then work in that order throughout. It is the order of the tiled convolutions
    too.

    Examples:
        In a config:

        >>> custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
    """

    priority = 'VERY_HIGH'  # before EMAHook copies the model

    def before_run(self, runner: Runner) -> None:
        """Reorder the weights of the runner's model."""
        if not is_model_wrapper(runner.model):
            runner.model.to(memory_format=torch.channels_last)
            return
        # A wrapper such as DistributedDataParallel arranges its buckets of gradients by the strides
        # of the weights when it is made. With another order later, it would mix up gradients.
        # Therefore it is made again.
        model = runner.model.module
        del runner.model
        model.to(memory_format=torch.channels_last)
        runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)


@HOOKS.register_module()
class KeepMemoryHook(Hook):
    """Let the process keep the memory of freed tensors on the CPU; values do not change.

    It is ``cpm_plugin.core.conv.allocator.keep_freed_memory``, for training on a CPU. The process
    gives memory back only when it ends.

    Examples:
        For one training:

        ```bash
        python tools/train.py CONFIG --cfg-options default_hooks.memory.type=KeepMemoryHook
        ```

        In a config:

        >>> default_hooks = dict(memory=dict(type='KeepMemoryHook'))
    """

    def before_run(self, runner: Runner) -> None:
        """Set the allocator, or say in the log that this one cannot be set."""
        if not keep_freed_memory():
            runner.logger.warning('KeepMemoryHook: the C library is not glibc, nothing changes')


@HOOKS.register_module()
class FastInferenceHook(Hook):
    """Test with a model that is optimized for inference.

    It is for any config with ``CPMBackbone`` or ``CPMStageHead``, and applies
    ``cpm_plugin.core.models.inference.optimize_for_inference``.

    In ``tools/train.py`` it does nothing, and validation is as without it, because the optimized
    model cannot be trained.

    It does not work together with ``EMAHook``, which would exchange weights that are folded by
    then. Leave ``EMAHook`` out of the test: the checkpoint of a run with it already has the
    averaged weights in its ``state_dict``.

    Args:
        dtype: For a GPU: ``'float16'`` or ``'bfloat16'``, see ``optimize_for_inference``.
        cuda_graphs: For a GPU: replay recorded kernels, see ``optimize_for_inference``.

    Raises:
        ValueError: If the type is another one; in a test, if the runner has an ``EMAHook``.

    Examples:
        For one test:

        ```bash
        python tools/test.py CONFIG CHECKPOINT \\
            --cfg-options default_hooks.fast.type=FastInferenceHook
        ```

        In a config:

        >>> default_hooks = dict(fast=dict(type='FastInferenceHook'))

        On a GPU:

        >>> fast = dict(type='FastInferenceHook', dtype='float16', cuda_graphs=True)
        >>> default_hooks = dict(fast=fast)
    """

    def __init__(self, dtype: str | None = None, cuda_graphs: bool = False) -> None:
        if dtype not in _DTYPES:
            raise ValueError(f'dtype={dtype!r} must be one of {", ".join(map(str, _DTYPES))}')
        self.dtype = _DTYPES[dtype]
        self.cuda_graphs = cuda_graphs

    def before_test(self, runner: Runner) -> None:
        """Optimize the runner's model for inference.

        Raises:
            ValueError: If the runner has an ``EMAHook``.
        """
        if any(isinstance(hook, EMAHook) for hook in runner.hooks):
            raise ValueError(
                'FastInferenceHook and EMAHook cannot test together; leave EMAHook out: the '
                "checkpoint's state_dict has the averaged weights"
            )
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        optimize_for_inference(model, inplace=True, dtype=self.dtype, cuda_graphs=self.cuda_graphs)
        runner.logger.info('FastInferenceHook: the model is optimized for inference')


@HOOKS.register_module()
class BeliefMapHook(Hook):
    """Draw the belief maps of each stage for some people of the batch, at intervals in training.

    A drawing has one row for each person: the crop, the target, then the beliefs of each stage.
    The value shown is the largest over the joints, on a scale from 0 to 1.

    The drawing goes to all backends of the visualizer, under the name ``beliefs``. By MMPose's
    default that is the file ``vis_data/vis_image/beliefs_<iteration>.png``.

    Args:
        interval: Number of iterations from one drawing to the next.
        num_people: Number of rows of a drawing.

    Raises:
        ValueError: If a number is below 1, or the model does not have a ``CPMStageHead``.

    Examples:
        In a config:

        >>> custom_hooks = [dict(type='BeliefMapHook', interval=500)]

        For TensorBoard also:

        >>> visualizer = dict(vis_backends=[dict(type='TensorboardVisBackend')])
    """

    def __init__(self, interval: int = 500, num_people: int = 4) -> None:
        if interval < 1 or num_people < 1:
            raise ValueError(f'interval={interval} and num_people={num_people} must be at least 1')
        self.interval = interval
        self.num_people = num_people

    def before_train(self, runner: Runner) -> None:
        """Check that the model has belief maps to draw.

        Raises:
            ValueError: If the head is not a ``CPMStageHead``.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # All processes check this, before one waits for another.
        if not isinstance(model.head, CPMStageHead):
            raise ValueError(
                f'BeliefMapHook needs a CPMStageHead, the model has {type(model.head).__name__}; '
                'leave the hook out'
            )

    @master_only
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Draw the first people of the batch, in every ``interval``-th iteration."""
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


def install() -> None:
    """Let a config leave out any default hook by None, once; MMEngine does for its own alone."""
    register = Runner.register_default_hooks
    if hasattr(register, '__wrapped__'):
        return

    @functools.wraps(register)
    def register_default_hooks(self: Runner, hooks: dict | None = None) -> None:
        named = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
        kept = {
            key: hook for key, hook in (hooks or {}).items() if hook is not None or key in named
        }
        register(self, kept)

    Runner.register_default_hooks = register_default_hooks
