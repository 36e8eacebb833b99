"""CPMBackbone: the core's trunks, built from a config."""

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS
from torch import nn

from cpm_plugin.core.trunks import FeatureTrunks
from cpm_plugin.mmpose import CPMBackbone
from cpm_plugin.mmpose.backbone import norm_layer_of

PICTURE = (64, 48)  # width, height


def picture(count=2, channels=3):
    return torch.rand(count, channels, PICTURE[1], PICTURE[0]) - 0.5


def test_outputs_equal_those_of_the_core_with_the_same_weights():
    backbone = MODELS.build(
        dict(
            type='CPMBackbone',
            in_channels=4,
            channels=6,
            kernel_size=5,
            center_map_sigma=7.0,
            norm_cfg=dict(type='BN'),
        )
    )
    core = FeatureTrunks(
        in_channels=4, channels=6, kernel_size=5, center_map_sigma=7.0, norm_layer=nn.BatchNorm2d
    )
    core.load_state_dict(backbone.trunks.state_dict())
    image = picture(channels=4)
    for ours, theirs in zip(backbone(image), core(image), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ('arguments', 'shapes'),
    [
        (dict(), [(2, 4, 6, 8), (2, 4, 6, 8)]),
        (dict(center_map_sigma=9.0), [(2, 4, 6, 8), (2, 4, 6, 8), (2, 1, 6, 8)]),
        (dict(shared_trunk=False), [(2, 4, 6, 8)]),
    ],
    ids=['two trunks', 'center map', 'one trunk'],
)
def test_shapes_of_the_outputs(arguments, shapes):
    outputs = CPMBackbone(channels=4, kernel_size=3, **arguments)(picture())
    assert isinstance(outputs, tuple)
    assert [tuple(output.shape) for output in outputs] == shapes


def test_center_map_is_the_mean_of_a_gaussian_in_the_middle():
    sigma = 9.0
    _, _, center = CPMBackbone(channels=2, kernel_size=3, center_map_sigma=sigma)(picture())
    x, y = np.arange(64), np.arange(48)
    gaussian = np.exp(-((x[None] - 31.5) ** 2 + (y[:, None] - 23.5) ** 2) / (2 * sigma**2))
    # 9x9 windows 8 pixels apart, clipped at the border
    expected = [[gaussian[8 * i : 8 * i + 9, 8 * j : 8 * j + 9].mean() for j in range(8)]
                for i in range(6)]  # fmt: skip
    np.testing.assert_allclose(center[0, 0], expected, atol=1e-6)
    assert torch.equal(center[0], center[1])


@pytest.mark.parametrize(
    ('norm_cfg', 'kind', 'has_bias'),
    [
        (None, None, True),
        (dict(type='BN'), nn.BatchNorm2d, False),
        (dict(type='GN', num_groups=2), nn.GroupNorm, False),
    ],
    ids=['none', 'BN', 'GN'],
)
def test_norm_cfg_puts_its_layer_after_each_convolution(norm_cfg, kind, has_bias):
    backbone = CPMBackbone(channels=4, kernel_size=3, norm_cfg=norm_cfg)
    convs = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in backbone.modules() if 'Norm' in type(layer).__name__]
    assert len(convs) == 6
    assert all((conv.bias is not None) == has_bias for conv in convs)
    assert [type(norm) for norm in norms] == ([kind] * 6 if kind else [])
    backbone(picture())  # channels of the layers fit


def test_norm_cfg_arguments_arrive():
    layer = norm_layer_of(dict(type='BN', eps=0.25, momentum=0.5, requires_grad=False))(3)
    assert (layer.num_features, layer.eps, layer.momentum) == (3, 0.25, 0.5)
    assert not layer.weight.requires_grad


def test_init_weights_keeps_the_initialisation_of_the_core():
    backbone = CPMBackbone(channels=8, kernel_size=5)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.init_weights()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    weight = before['trunks.shared_trunk.conv2.conv.weight']
    assert weight.std().item() == pytest.approx((2 / (8 * 25)) ** 0.5, rel=0.1)  # He's rule


def test_init_cfg_replaces_it():
    backbone = CPMBackbone(
        channels=4, kernel_size=3, init_cfg=dict(type='Constant', val=0.25, layer='Conv2d')
    )
    backbone.init_weights()
    assert (backbone.trunks.stage1_trunk.conv1.conv.weight == 0.25).all()


def test_center_map_without_shared_trunk_is_refused():
    with pytest.raises(ValueError, match='center_map_sigma'):
        CPMBackbone(channels=4, shared_trunk=False, center_map_sigma=21.0)
