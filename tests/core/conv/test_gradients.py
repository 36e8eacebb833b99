"""Gradients of the convolution by tiles against finite differences, in float64."""

import pytest
import torch

from cpm_plugin.core.conv.layer import LargeKernelConv2d
from cpm_plugin.core.conv.tile_grid import Tile
from cpm_plugin.core.conv.tiled import TiledConv2d


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize(
    ('height', 'width', 'size', 'tile'), [(5, 7, 3, (4, 4)), (6, 4, 5, (4, 5)), (3, 9, 5, (5, 4))]
)
def test_gradcheck_of_the_tiles(height, width, size, tile, bias):
    torch.manual_seed(0)
    shape = (3, 2, size, size)
    values = [torch.randn(2, 2, height, width), torch.randn(shape)] + [torch.randn(3)] * bias
    values = [value.double().requires_grad_() for value in values]

    def convolve(x, weight, bias=None):
        return TiledConv2d.apply(x, weight, bias, Tile(*tile))

    assert torch.autograd.gradcheck(convolve, values, fast_mode=True)


def test_gradcheck_of_the_layer():
    torch.manual_seed(0)
    layer = LargeKernelConv2d(2, 2, 5, padding=2, method='tiled').double()
    x = torch.randn(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x, fast_mode=True)
    assert layer.last_choice.tile is not None
