"""compile=True: the network alone is compiled, with the same losses, gradients and names."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from torch import nn

from cpm_plugin.mmpose import compiling

from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

CONFIG = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(type='PoseDataPreprocessor', mean=[128.0] * 3, std=[256.0] * 3),
    backbone=dict(type='CPMBackbone', channels=4, kernel_size=3),
    head=dict(
        type='CPMStageHead', in_channels=4, num_keypoints=3, num_stages=2, channels=4,
        first_stage_channels=4,
    ),
    # With arrays, as samples have them; PyTorch cannot copy them inside of what it compiles.
    metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
)  # fmt: skip


@MODEL_WRAPPERS.register_module(name='ForCompiling')
class MMDataParallelLike(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


@pytest.fixture
def compiled_parts(monkeypatch):
    """Modules that are compiled, with their options; quickly."""
    parts, compile_ = [], nn.Module.compile

    def compile_quickly(self, **options):
        parts.append((type(self).__name__, options))
        compile_(self, backend='eager')

    monkeypatch.setattr(nn.Module, 'compile', compile_quickly)
    return parts


def runner_of(model, **cfg):
    return SimpleNamespace(cfg=Config(cfg), model=model, logger=MMLogger.get_instance('compiling'))


def batch():
    sample = PoseDataSample(metainfo=dict(img_path='a.jpg', input_center=np.ones(2)))
    sample.gt_fields = PixelData(heatmaps=torch.rand(3, 4, 4))
    sample.gt_instance_labels = InstanceData(keypoint_weights=torch.ones(1, 3))
    return torch.rand(1, 3, 32, 32), [sample]


def losses(model, image, samples):
    model.zero_grad()
    found = model(image, copy.deepcopy(samples), mode='loss')
    model.parse_losses(found)[0].backward()
    return [*found.values(), *(weight.grad for weight in model.parameters())]


def test_a_step_is_the_same_and_a_copy_computes_with_its_own_weights(compiled_parts):
    model = MODELS.build(CONFIG).train()
    image, samples = batch()
    expected, names = losses(model, image, samples), list(model.state_dict())
    Runner._maybe_compile(runner_of(model, compile=True), 'train_step')
    assert compiled_parts == [('CPMBackbone', {}), ('BeliefStages', {})]
    for one, other in zip(losses(model, image, samples), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert list(model.state_dict()) == names
    averaged = copy.deepcopy(model)  # as EMAHook makes it
    for weight in averaged.parameters():
        weight.data.zero_()
    found = averaged(image, samples, mode='tensor')
    assert all(float(maps.abs().max()) == 0 for maps in found)


def test_options_are_passed_on_and_wrapped_models_are_compiled_inside(compiled_parts):
    model = MODELS.build({**CONFIG, 'metainfo': None})
    model.head = nn.ModuleDict(dict(layer=nn.Linear(1, 1), loss_module=nn.Identity()))
    wrapped = MMDataParallelLike(model)
    Runner._maybe_compile(runner_of(wrapped, compile=dict(mode='max-autotune')), 'train_step')
    options = {'mode': 'max-autotune'}
    assert compiled_parts == [('CPMBackbone', options), ('Linear', options)]


@pytest.mark.parametrize('cfg', [{}, {'compile': False}])
def test_nothing_is_compiled_unasked(compiled_parts, cfg):
    model = MODELS.build({**CONFIG, 'metainfo': None})
    Runner._maybe_compile(runner_of(model, **cfg), 'train_step')
    assert compiled_parts == [] and 'train_step' not in vars(model)


def test_models_without_a_part_of_ours_are_left_to_mmengine(compiled_parts, monkeypatch):
    model = SimpleNamespace(train_step=len, backbone=nn.Identity(), head=nn.Identity())
    monkeypatch.setattr(torch, 'compile', lambda function, **options: (function, options))
    Runner._maybe_compile(runner_of(model, compile=dict(mode='default')), 'train_step')
    assert model.train_step == (len, {'mode': 'default'}) and compiled_parts == []
    assert not compiling.has_own_parts(model)
