"""Convolution with large kernels by tiles: the function of ``conv2d``, far fewer operations.

The picture is cut into tiles of m1 x m2 outputs (:mod:`.tile_grid`, which has the letters).
Along rows and then along columns a tile and the kernel go through the small matrices of
:mod:`.bilinear`; what ``conv2d`` does with ``k * k`` products an output is then one product at
each of R1 x R2 points, a matrix product over channels at each point. Stride 1, one group, odd
square kernels, zero padding that keeps the size.

R1 points along y are made for a group of tiles; the rest is done point by point, so that the
larger R1 x R2 points never exist at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .tile_grid import Grid, Tile, groups, matrices


def transform_weight(weight: Tensor, tile: Tile) -> Tensor:
    """(D, C, k, k) -> (R1, R2, C, D), what the products at each point need of the kernel."""
    rows = _kernel_rows(weight, tile)
    along_x = matrices(tile.columns, weight.shape[3], weight.dtype, weight.device).taps
    points = rows.new_empty(len(rows), len(along_x), weight.shape[1], weight.shape[0])
    for point, row in zip(points, rows):
        torch.mm(along_x, row, out=point.view(len(along_x), -1))
    return points


def _kernel_rows(weight: Tensor, tile: Tile) -> Tensor:
    """(D, C, k, k) -> (R1, k, C D): transformed along y only."""
    size = weight.shape[2]
    along_y = matrices(tile.rows, size, weight.dtype, weight.device).taps
    taps = weight.permute(2, 3, 1, 0).reshape(size, -1)
    return (along_y @ taps).view(len(along_y), size, -1)


def _empty_image(x: Tensor, channels: int) -> Tensor:
    """(N, channels, H, W) in channels-last order; no view, for autograd refuses those where a
    function returns them and they change in place."""
    return torch.empty(
        (x.shape[0], channels, *x.shape[2:]),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )


def _weights_by_point(weight: Tensor, grid: Grid) -> Iterator[Tensor]:
    """(D, C, k, k) -> for each point along y (R2, C, D); made on the way, never kept."""
    along_x = grid.along_x.taps
    shape = (len(along_x), weight.shape[1], weight.shape[0])
    for row in _kernel_rows(weight, grid.tile):
        yield (along_x @ row).view(shape)


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    tile: Tile,
    transformed: Tensor | None = None,
) -> Tensor:
    """``conv2d(x, weight, bias, padding=k // 2)``, without gradients.

    Args:
        x: (N, C, H, W).
        weight: (D, C, k, k), of the same dtype.
        transformed: :func:`transform_weight` of it, if at hand.

    Returns:
        (N, D, H, W) in channels-last order.
    """
    image = _empty_image(x, len(weight))
    for grid in groups(x, weight, tile, by_rows=True):
        weights = _weights_by_point(weight, grid) if transformed is None else transformed
        _forward_group(grid, x, weights, bias, image.permute(0, 2, 3, 1))
    return image


def _forward_group(
    grid: Grid, x: Tensor, weights: Iterable[Tensor], bias: Tensor | None, image: Tensor
) -> None:
    channels, outputs = x.shape[1], image.shape[3]
    bands = grid.bands(x)
    results = x.new_empty(len(grid.along_y.data), grid.tiles, grid.tile.columns, outputs)
    data = grid.along_x.data.expand(grid.tiles, -1, -1)
    products = grid.along_x.products.T.expand(grid.tiles, -1, -1)
    for point, kernel in enumerate(weights):
        seen = torch.bmm(data, grid.tiles_of(bands, point, channels))  # (T, R2, C)
        product = torch.bmm(seen.transpose(0, 1), kernel)  # (R2, T, D)
        if bias is not None and point == 0:
            # The first point is 1, both ways: what is added there comes out as a constant.
            product[0] += bias
        torch.bmm(products, product.transpose(0, 1), out=results[point])
    grid.write(results, image)


def backward(
    gradient: Tensor, x: Tensor, weight: Tensor, tile: Tile, for_x: bool, for_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of :func:`forward` with respect to x and weight: the transposed matrices."""
    outputs, channels, size, _ = weight.shape
    image = _empty_image(x, channels) if for_x else None
    rows: Tensor | None = None
    for grid in groups(x, weight, tile, by_rows=False):
        more = _backward_group(grid, gradient, x, weight, image, for_weight)
        rows = more if rows is None or more is None else rows.add_(more)
    if rows is None:
        return image, None
    taps = matrices(tile.rows, size, x.dtype, x.device).taps.T @ rows.flatten(1)
    return image, taps.view(size, size, channels, outputs).permute(3, 2, 0, 1)


def _backward_group(
    grid: Grid,
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    image: Tensor | None,
    for_weight: bool,
) -> Tensor | None:
    """Writes the gradient of x into ``image`` (N, C, H, W), and returns (R1, k, C D), the
    gradient of :func:`_kernel_rows`."""
    outputs, channels, size, _ = weight.shape
    results = grid.gradient_bands(gradient)
    points = results.shape[1]
    bands = grid.bands(x) if for_weight else None
    rows = x.new_empty(points, size, channels * outputs) if for_weight else None
    sums = None
    weights: Iterable[Tensor | None] = [None] * points
    if image is not None:
        sums = x.new_zeros(len(results), points, grid.padded[1] * channels)
        weights = _weights_by_point(weight, grid)
    data = grid.along_x.data.expand(grid.tiles, -1, -1)
    products = grid.along_x.products.expand(grid.tiles, -1, -1)
    for point, kernel in enumerate(weights):
        result = results[:, point].reshape(grid.tiles, grid.tile.columns, outputs)
        product = torch.bmm(products, result).transpose(0, 1)  # (R2, T, D)
        if sums is not None and kernel is not None:
            seen = torch.bmm(product, kernel.transpose(1, 2)).transpose(0, 1)  # (T, R2, C)
            grid.add_tiles(torch.bmm(data.transpose(1, 2), seen), sums, point, channels)
        if bands is not None and rows is not None:
            seen = torch.bmm(data, grid.tiles_of(bands, point, channels))
            kernels = torch.bmm(seen.permute(1, 2, 0), product)  # (R2, C, D)
            torch.mm(grid.along_x.taps.T, kernels.flatten(1), out=rows[point])
    if image is not None and sums is not None:
        grid.write_gradient(sums, image.permute(0, 2, 3, 1))
    return rows


class TiledConv2d(torch.autograd.Function):
    """:func:`forward` and :func:`backward` for autograd; keeps x and the weight alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, tile: Tile) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tile = tile
        return forward(x, weight, bias, tile)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        gradient_x, gradient_weight = backward(gradient, x, weight, ctx.tile, for_x, for_weight)
        gradient_bias = gradient.sum(dim=(0, 2, 3)) if for_bias else None
        return gradient_x, gradient_weight, gradient_bias, None
