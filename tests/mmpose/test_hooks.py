"""Hooks for speed: the same values."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.registry import MODEL_WRAPPERS
from mmpose.registry import HOOKS, MODELS
from torch import nn


def test_weights_become_channels_last_and_outputs_stay():
    model = MODELS.build(
        dict(type='CPMBackbone', channels=8, kernel_size=5, norm_cfg=dict(type='BN'))
    )
    model.eval()
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


@pytest.mark.parametrize('wrapped', [False, True])
def test_a_model_is_tested_without_norms_and_with_the_same_beliefs(wrapped):
    model = nn.ModuleDict(
        dict(
            backbone=MODELS.build(
                dict(type='CPMBackbone', channels=8, kernel_size=5, norm_cfg=dict(type='BN'))
            ),
            head=MODELS.build(
                dict(
                    type='CPMStageHead',
                    in_channels=8,
                    num_keypoints=3,
                    num_stages=2,
                    channels=8,
                    first_stage_channels=8,
                    norm_cfg=dict(type='BN'),
                )
            ),
        )
    ).eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.2)
            layer.running_var.uniform_(0.5, 1.5)
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


@MODEL_WRAPPERS.register_module()
class MMDataParallelLike(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def test_averaged_weights_are_not_exchanged_with_folded_ones():
    runner = SimpleNamespace(model=nn.Identity(), hooks=[EMAHook()])
    with pytest.raises(ValueError, match='FastInferenceHook and EMAHook cannot test together'):
        HOOKS.build(dict(type='FastInferenceHook')).before_test(runner)
