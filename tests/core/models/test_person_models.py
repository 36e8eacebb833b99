"""Named models for one person: their sizes, layers and joints."""

import pytest
import torch
from torch import nn

from cpm_plugin import create_model
from cpm_plugin.core.conv.layer import LargeKernelConv2d
from cpm_plugin.core.maps.joint_sets import FLIC, LSP, MPII
from cpm_plugin.core.models.layers import ConvBlock

SMALL = {'channels': 4, 'first_stage_channels': 4, 'reduced_channels': 2}


@pytest.mark.parametrize(
    'name, stages, parameters',
    [
        ('cpm_6s', 6, 31_219_866),
        # a scale and a shift instead of a bias: as many more as there are hidden channels,
        # 6 x 128 in the trunks, 32 + 2 x 512 in stage 1, 5 x (32 + 4 x 128) in the others
        ('cpm_6s_bn', 6, 31_219_866 + 6 * 128 + (32 + 2 * 512) + 5 * (32 + 4 * 128)),
        # trunks, stage 1, the others; convolutions, then scales and shifts or a bias
        (
            'cpm_k7_6s',
            6,
            2 * (25 * (3 + 128 + 128) * 128 + 2 * 3 * 128)
            + (9 * 128 * 32 + 9 * 32 * 512 + 512 * 512 + 2 * (32 + 512 + 512) + 513 * 15)
            + 5 * (9 * 128 * 32 + 49 * (48 + 128 + 128) * 128 + 128 * 128)
            + 5 * (2 * (32 + 4 * 128) + 129 * 15),
        ),
    ],
)
def test_full_size(name, stages, parameters):
    with torch.device('meta'):
        model = create_model(name)
        outputs = model(torch.zeros(1, 3, 368, 368))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert [tuple(o.shape) for o in outputs] == [(1, 15, 46, 46)] * stages


def test_slim_model_is_what_its_comment_says():
    model = create_model('cpm_slim_3s')
    state = model.state_dict()
    assert tuple(state['trunks.shared_trunk.conv1.conv.weight'].shape) == (32, 3, 5, 5)
    assert tuple(state['stages.first.conv1.conv.weight'].shape) == (128, 32, 3, 3)
    assert tuple(state['stages.later.1.refine.0.conv.weight'].shape) == (32, 48, 7, 7)
    # 5 -> 7, +4 x 2 -> 15, +2 x 2 -> 19, +4 x 4 -> 35, +2 x 4 -> 43, two 3x3 at 8: 75
    field, jump = 1, 1
    for kernel, stride in [(5, 1), (3, 2)] * 3 + [(3, 1), (3, 1)]:
        field, jump = field + (kernel - 1) * jump, jump * stride
    assert field == 75


@pytest.mark.parametrize(
    'name, normalized',
    [('cpm_6s', False), ('cpm_6s_bn', True), ('cpm_k7_6s', True), ('cpm_slim_3s', True)],
)
def test_batch_norm_follows_every_hidden_convolution_or_none(name, normalized):
    model = create_model(name, **SMALL)
    blocks = [layer for layer in model.modules() if isinstance(layer, ConvBlock)]
    for block in blocks:
        kinds = [type(layer) for layer in block]
        assert kinds == [LargeKernelConv2d, *[nn.BatchNorm2d] * normalized, nn.ReLU]
        assert (block.conv.bias is None) == normalized
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    assert norms == len(blocks) * normalized


@pytest.mark.parametrize(
    'name, stages, channels, parameters',
    [
        ('cpm_mpii', 6, 15, 31_219_866),
        ('cpm_lsp', 6, 15, 31_219_866),
        ('cpm_flic', 4, 10, 21_323_816),
        ('cpm_mpii_vgg', 6, 15, 29_852_058),
        ('cpm_person', 4, 1, 25_714_372),
    ],
)
def test_the_networks_of_the_authors(name, stages, channels, parameters):
    with torch.device('meta'):
        model = create_model(name)
        center = () if name == 'cpm_person' else (torch.zeros(2, 1, 104, 136),)
        outputs = model(torch.zeros(2, 3, 104, 136), *center)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert [tuple(o.shape) for o in outputs] == [(2, channels, 13, 17)] * stages


def test_models_carry_their_joints():
    assert create_model('cpm_flic', **SMALL).joints is FLIC
    assert create_model('cpm_6s', **SMALL).joints is LSP
    assert create_model('cpm_6s', num_keypoints=14, **SMALL).joints is LSP
    assert create_model('cpm_6s', num_keypoints=17, **SMALL).joints is None
    assert create_model('cpm_flic', num_keypoints=14, **SMALL).joints is None
    model = create_model('cpm_mpii', **SMALL)
    # head, neck, then right and left shoulder, elbow, wrist, hip, knee, ankle
    assert model.joints.flip_indices == (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10)
    assert FLIC.flip_indices == (3, 4, 5, 0, 1, 2, 7, 6, 8)
    assert create_model('cpm_6s', num_keypoints=16, joints='mpii', **SMALL).joints is MPII
    with pytest.raises(ValueError, match="no joint set 'body'; there are: coco, cpm, flic, lsp"):
        create_model('cpm_6s', joints='body')
    with pytest.raises(ValueError, match=r'9 joints \(left_shoulder, .*but num_keypoints=14'):
        create_model('cpm_6s', joints='flic')
