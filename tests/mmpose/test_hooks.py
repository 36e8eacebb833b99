"""Hooks for speed: the same values."""

from types import SimpleNamespace

import pytest
import torch
from cpm_testing.networks import random_norms
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from torch import nn

from cpm_plugin.mmpose import hooks

from mmpose.registry import HOOKS, MODELS


def backbone():
    return MODELS.build(
        dict(type='CPMBackbone', channels=8, kernel_size=5, norm_cfg=dict(type='BN'))
    )


def test_weights_become_channels_last_and_outputs_stay():
    model = backbone()
    model.eval()  # returns None
    image = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        before = model(image)
        weights = [value for value in model.state_dict().values() if value.ndim == 4]
        copies = [value.clone() for value in weights]
        HOOKS.build(dict(type='ChannelsLastHook')).before_run(SimpleNamespace(model=model))
        after = model(image)
    changed = [value for value in model.state_dict().values() if value.ndim == 4]
    assert len(changed) == 6
    for value, copy in zip(changed, copies, strict=True):
        assert value.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(value, copy)
    assert any(
        not copy.is_contiguous(memory_format=torch.channels_last) for copy in copies
    )  # so it did something
    assert after[0].is_contiguous(memory_format=torch.channels_last)
    for one, other in zip(before, after, strict=True):
        assert one.abs().max() > 0.1
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_memory_is_kept_or_the_log_says_that_it_is_not(monkeypatch):
    said = []
    runner = SimpleNamespace(logger=SimpleNamespace(warning=said.append))
    for possible in (True, False):
        monkeypatch.setattr(hooks, 'keep_freed_memory', lambda possible=possible: possible)
        HOOKS.build(dict(type='KeepMemoryHook')).before_run(runner)
    assert said == ['KeepMemoryHook: the C library is not glibc, nothing changes']


@pytest.mark.parametrize('wrapped', [False, True])
def test_a_model_is_tested_without_norms_and_with_the_same_beliefs(wrapped):
    head = dict(
        type='CPMStageHead', in_channels=8, num_keypoints=3, num_stages=2, channels=8,
        first_stage_channels=8, norm_cfg=dict(type='BN'),
    )  # fmt: skip
    model = nn.ModuleDict(dict(backbone=backbone(), head=MODELS.build(head))).eval()
    random_norms(model)
    image = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        before = model.head(model.backbone(image))
        logger = MMLogger.get_instance('hooks')
        runner = SimpleNamespace(
            model=MMDataParallelLike(model) if wrapped else model, hooks=[], logger=logger
        )
        HOOKS.build(dict(type='FastInferenceHook')).before_test(runner)
        after = model.head(model.backbone(image))
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * float(one.abs().max()), rtol=0)


def test_a_model_is_tested_in_half_precision():
    head = dict(
        type='CPMStageHead', in_channels=8, num_keypoints=3, num_stages=2, channels=8,
        first_stage_channels=8,
    )  # fmt: skip
    model = nn.ModuleDict(dict(backbone=backbone(), head=MODELS.build(head))).eval()
    image = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        before = model.head(model.backbone(image))
        logger = MMLogger.get_instance('hooks')
        runner = SimpleNamespace(model=model, hooks=[], logger=logger)
        hook = dict(type='FastInferenceHook', dtype='float16', cuda_graphs=True)
        HOOKS.build(hook).before_test(runner)
        after = model.head(model.backbone(image))
    assert {weight.dtype for weight in model.parameters()} == {torch.float16}
    assert model.head.stages.forward.graphs is not None
    for one, other in zip(before, after, strict=True):
        assert other.dtype == torch.float32 and not torch.equal(one, other)
        torch.testing.assert_close(one, other, atol=4e-3 * float(one.abs().max()), rtol=0)


def test_other_precisions_of_a_test_are_refused():
    with pytest.raises(ValueError, match="dtype='int8' must be one of None, float16, bfloat16"):
        HOOKS.build(dict(type='FastInferenceHook', dtype='int8'))


@MODEL_WRAPPERS.register_module()
class MMDataParallelLike(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def test_averaged_weights_are_not_exchanged_with_folded_ones():
    runner = SimpleNamespace(model=nn.Identity(), hooks=[EMAHook()])
    with pytest.raises(ValueError, match='FastInferenceHook and EMAHook cannot test together'):
        HOOKS.build(dict(type='FastInferenceHook')).before_test(runner)


def test_beliefs_are_drawn_every_so_often(tmp_path):
    import cv2
    import numpy as np
    from mmengine.structures import InstanceData, PixelData
    from mmengine.visualization import Visualizer

    from mmpose.structures import PoseDataSample

    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor'),
            backbone=dict(
                type='CPMBackbone',
                channels=4,
                kernel_size=3,
                norm_cfg=dict(type='BN'),  # its statistics must stay as they are
            ),
            head=dict(
                type='CPMStageHead', in_channels=4, num_keypoints=2, num_stages=2, channels=4
            ),
        )
    ).train()
    target = torch.zeros(2, 4, 4)
    target[1, 0, 3] = 1.0  # joint 1 at the top right

    def sample():
        return PoseDataSample(
            gt_instances=InstanceData(bboxes=np.zeros((1, 4))),
            gt_fields=PixelData(heatmaps=target),
            metainfo=dict(img_shape=(32, 32)),
        )

    batch = dict(
        inputs=[torch.full((3, 32, 32), 100, dtype=torch.uint8)] * 3,
        data_samples=[sample(), sample(), sample()],
    )
    runner = SimpleNamespace(
        model=model,
        iter=0,
        visualizer=Visualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)),
    )
    hook = HOOKS.build(dict(type='BeliefMapHook', interval=2, num_people=2))
    hook.after_train_iter(runner, 0, batch)
    assert list(tmp_path.rglob('*.png')) == []
    runner.iter = 1
    before = {key: value.clone() for key, value in model.state_dict().items()}
    hook.after_train_iter(runner, 1, batch)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training
    (path,) = tmp_path.rglob('*.png')
    assert path.name == 'beliefs_2.png'
    image = cv2.imread(str(path))
    assert image.shape == (2 * 128, 4 * 128, 3)  # two people: crop, target, two stages
    assert (image[:128, :128] == 100).all()
    assert image[8, 2 * 128 - 8].tolist() == [255, 255, 255]  # the peak of the target
    assert image[120, 136].tolist() == [50, 50, 50]  # where it is 0, the crop in gray

    with pytest.raises(ValueError, match='interval=0'):
        HOOKS.build(dict(type='BeliefMapHook', interval=0))
    runner.model = SimpleNamespace(head=nn.Identity())
    with pytest.raises(ValueError, match='needs a CPMStageHead, the model has Identity'):
        hook.before_train(runner)


def test_any_default_hook_can_be_left_out():
    """MMEngine takes None for its own alone; of others it asserted that they are hooks."""
    runner = Runner.__new__(Runner)
    runner._hooks = []
    runner.register_default_hooks(
        dict(finite=None, timer=None, workers=dict(type='WorkersHook'), checkpoint=None)
    )
    kinds = {type(hook).__name__ for hook in runner._hooks}
    assert 'WorkersHook' in kinds and 'RuntimeInfoHook' in kinds
    assert not kinds & {'FiniteHook', 'IterTimerHook', 'CheckpointHook'}
