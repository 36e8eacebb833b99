"""Tiled convolution: conv2d's values and gradients, at tiles that divide the image or not."""

import pytest
import torch
import torch.nn.functional as F

from cpm_plugin.core.conv import tile_grid
from cpm_plugin.core.conv.tile_grid import Tile
from cpm_plugin.core.conv.tiled import TiledConv2d, backward, forward, transform_weight

# images, input and output channels, kernel, height, width, tile; the last has tiles smaller
# than the overlap of their inputs, the third is one tile
CASES = [
    (2, 3, 4, 5, 13, 9, (4, 6)),
    (1, 2, 3, 9, 20, 17, (8, 9)),
    (2, 2, 2, 11, 12, 10, (12, 10)),
    (1, 2, 2, 11, 9, 7, (3, 4)),
]


def _draw(case, dtype):
    images, channels, outputs, size, height, width, tile = case
    torch.manual_seed(0)
    x = torch.randn(images, channels, height, width, dtype=dtype)
    weight = torch.randn(outputs, channels, size, size, dtype=dtype)
    return x, weight, torch.randn(outputs, dtype=dtype), Tile(*tile)


@pytest.mark.parametrize('group_bytes', [30 * 2**20, 1])
@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_are_those_of_conv2d(case, group_bytes, monkeypatch):
    monkeypatch.setattr(tile_grid, 'ALLOCATOR_BYTES', group_bytes)  # 1: a group for every tile row
    *inputs, tile = _draw(case, torch.float64)
    x, weight, bias = (value.requires_grad_() for value in inputs)
    found = TiledConv2d.apply(x, weight, bias, tile)
    expected = F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    gradient = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, inputs, gradient),
        torch.autograd.grad(expected, inputs, gradient),
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize('needed', [(True, False), (False, True)])
def test_gradient_of_one_input_alone(needed):
    x, weight, bias, tile = _draw(CASES[0], torch.float64)
    x.requires_grad_(needed[0])
    weight.requires_grad_(needed[1])
    wanted = x if needed[0] else weight
    found = TiledConv2d.apply(x, weight, bias, tile)
    expected = F.conv2d(x, weight, bias, padding=2)
    gradient = torch.randn_like(expected)
    one, other = (torch.autograd.grad(y, wanted, gradient)[0] for y in (found, expected))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize('tile', [(6, 6), (12, 16), (17, 17), (24, 24)])
def test_float32_is_exact_to_rounding(tile):
    case = (2, 16, 16, 11, 46, 46, tile)
    x, weight, bias, tile = _draw(case, torch.float32)
    exact = F.conv2d(x.double(), weight.double(), bias.double(), padding=5)
    found = forward(x, weight, bias, tile)
    assert (found - exact).abs().max() < 2e-6 * exact.abs().max()


@pytest.mark.parametrize('group_bytes', [12 * 2**20, 1])
@pytest.mark.parametrize('case', CASES)
def test_weights_transformed_before_give_the_same(case, group_bytes, monkeypatch):
    monkeypatch.setattr(tile_grid, 'CACHE_BYTES', group_bytes)
    x, weight, bias, tile = _draw(case, torch.float64)
    found = forward(x, weight, bias, tile, transform_weight(weight, tile))
    torch.testing.assert_close(found, forward(x, weight, bias, tile), rtol=0, atol=1e-12)


@pytest.mark.parametrize('case', CASES)
def test_gradients_by_weights_transformed_before_are_the_same(case):
    x, weight, _, tile = _draw(case, torch.float64)
    gradient = torch.randn(len(x), len(weight), *x.shape[2:], dtype=x.dtype)
    kept = transform_weight(weight, tile)
    found = backward(gradient, x, weight, tile, True, True, kept)
    for one, other in zip(found, backward(gradient, x, weight, tile, True, True), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def _saved(x, weight, tile):
    """The shapes of what autograd keeps, beside the input and the weight."""
    shapes = []

    def pack(value):
        shapes.append(tuple(value.shape))
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        TiledConv2d.apply(x, weight, None, tile)
    assert shapes[:2] == [tuple(x.shape), tuple(weight.shape)]
    return shapes[2:]


def test_transformed_weights_are_kept_where_the_gradient_of_the_input_needs_them():
    x, weight, _, tile = _draw(CASES[0], torch.float64)
    # Tiles of 4 x 6 and 5 taps: 8 points along y in 4 real rows and 2 complex ones; 10 along x,
    # 4 of them real.
    real, pair = (4 + 3 * 3, 3, 4), (3 * 10, 3, 4)
    assert _saved(x.requires_grad_(), weight.requires_grad_(), tile) == [real] * 4 + [pair] * 2
    assert _saved(x.detach(), weight, tile) == []


def test_output_is_channels_last():
    x, weight, _, _ = _draw(CASES[2], torch.float32)
    found = forward(x, weight, None, Tile(12, 10))
    assert found.is_contiguous(memory_format=torch.channels_last)
