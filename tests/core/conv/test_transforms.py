"""Tiles step aside for ``torch.func`` and forward-mode differentiation: values of conv2d."""

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch import nn

from cpm_plugin.core import LargeKernelConv2d


@pytest.fixture
def layers():
    plain = nn.Conv2d(3, 4, 9, padding=4, dtype=torch.float64)
    layer = LargeKernelConv2d(3, 4, 9, padding=4, dtype=torch.float64, method='tiled')
    layer.load_state_dict(plain.state_dict())
    return plain, layer, torch.rand(2, 3, 24, 20, dtype=torch.float64)


def weighted(layer, x):
    """The output as a function of the weight."""
    return lambda weight: torch.func.functional_call(layer, {'weight': weight}, (x,))


TRANSFORMS = {
    'vmap': lambda layer, x: torch.func.vmap(lambda image: layer(image[None]))(x),
    'grad': lambda layer, x: torch.func.grad(lambda w: weighted(layer, x)(w).square().sum())(
        layer.weight.detach()
    ),
    'jvp': lambda layer, x: torch.func.jvp(
        weighted(layer, x), (layer.weight.detach(),), (layer.weight.detach().cos(),)
    )[1],
    'jacrev': lambda layer, x: torch.func.jacrev(lambda w: weighted(layer, x)(w).mean((0, 2, 3)))(
        layer.weight.detach()
    ),
}


@pytest.mark.parametrize('transform', TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_give_what_conv2d_gives(layers, transform):
    plain, layer, x = layers
    torch.testing.assert_close(transform(layer, x), transform(plain, x))
    assert layer.last_choice is None


@pytest.mark.parametrize('grad', [False, True])
def test_the_tangent_of_a_weight_is_not_lost(layers, grad):
    plain, layer, x = layers
    tangents = []
    for conv in (plain, layer.eval()):
        with forward_ad.dual_level(), torch.set_grad_enabled(grad):
            weight = conv.weight.detach()
            del conv.weight
            conv.weight = forward_ad.make_dual(weight, weight.cos())
            tangents.append(forward_ad.unpack_dual(conv(x)).tangent)
    assert tangents[1] is not None and float(tangents[1].abs().max()) > 0.1
    torch.testing.assert_close(*tangents)


def test_outside_of_them_tiles_are_used(layers):
    _, layer, x = layers
    torch.func.vmap(lambda image: layer(image[None]))(x)
    layer(x)
    assert layer.last_choice is not None and layer.last_choice.tile is not None
