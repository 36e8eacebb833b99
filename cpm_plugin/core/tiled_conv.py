"""Convolution with large kernels by tiles: the function of ``conv2d``, far fewer operations.

The picture is cut into tiles of m1 x m2 outputs. Along rows and then along columns a tile and
the kernel go through the small matrices of :mod:`.bilinear`; what ``conv2d`` does with
``k * k`` products an output is then one product at each of R1 x R2 points, a matrix product
over channels at each point. Stride 1, one group, odd square kernels, zero padding that keeps
the size.

Memory order is channels-last throughout: with the channels innermost, rows, columns and
points are strided views of one tensor, and every step is a batch of plain matrix products that
reads and writes them in place. R1 points along y are made for a whole band of pictures; the
rest is done point by point, so that the larger R1 x R2 points never exist at once.

Letters in shapes: N pictures, H x W pixels, C and D input and output channels, P x Q tiles a
picture, T = N P Q tiles in all, m outputs and n = m + k - 1 inputs of a tile, R points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .bilinear import Transforms, transforms


class Tile(NamedTuple):
    """Outputs of a tile, along y and along x."""

    rows: int
    columns: int


@lru_cache(maxsize=256)
def _matrices(outputs: int, taps: int, dtype: torch.dtype, device: torch.device) -> Transforms:
    return Transforms(*(matrix.to(device, dtype) for matrix in transforms(outputs, taps)))


def transform_weight(weight: Tensor, tile: Tile) -> Tensor:
    """(D, C, k, k) -> (R1, R2, C, D), what the products at each point need of the kernel."""
    rows = _kernel_rows(weight, tile)
    along_x = _matrices(tile.columns, weight.shape[3], weight.dtype, weight.device).taps
    points = rows.new_empty(len(rows), len(along_x), weight.shape[1], weight.shape[0])
    for point, row in zip(points, rows):
        torch.mm(along_x, row, out=point.view(len(along_x), -1))
    return points


def _kernel_rows(weight: Tensor, tile: Tile) -> Tensor:
    """(D, C, k, k) -> (R1, k, C D): transformed along y only."""
    size = weight.shape[2]
    along_y = _matrices(tile.rows, size, weight.dtype, weight.device).taps
    taps = weight.permute(2, 3, 1, 0).reshape(size, -1)
    return (along_y @ taps).view(len(along_y), size, -1)


@dataclass(frozen=True)
class _Grid:
    """Sizes of one convolution, and the matrices along y and x."""

    tile: Tile
    size: int  # k
    pictures: int
    height: int
    width: int
    along_y: Transforms
    along_x: Transforms

    @classmethod
    def of(cls, tile: Tile, size: int, x: Tensor) -> _Grid:
        along_y, along_x = (_matrices(m, size, x.dtype, x.device) for m in tile)
        return cls(tile, size, x.shape[0], x.shape[2], x.shape[3], along_y, along_x)

    @property
    def down(self) -> int:  # P
        return -(-self.height // self.tile.rows)

    @property
    def across(self) -> int:  # Q
        return -(-self.width // self.tile.columns)

    @property
    def tiles(self) -> int:  # T
        return self.pictures * self.down * self.across

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns that all tiles see."""
        overlap = self.size - 1
        return self.down * self.tile.rows + overlap, self.across * self.tile.columns + overlap

    def bands(self, x: Tensor) -> Tensor:
        """Padded input (N, C, H, W) -> (N P, R1, columns C): points along y of each band of
        tiles."""
        channels = x.shape[1]
        rows, columns = self.padded
        border = self.size // 2
        padded = x.new_zeros(self.pictures, rows, columns * channels)
        inside = padded.view(self.pictures, rows, columns, channels)
        inside[:, border : border + self.height, border : border + self.width] = x.permute(
            0, 2, 3, 1
        )
        data = self.along_y.data
        points = x.new_empty(self.pictures, self.down, len(data), columns * channels)
        step = padded.stride(1)
        for picture, result in zip(padded, points):
            seen = picture.as_strided(
                (self.down, data.shape[1], step), (self.tile.rows * step, step, 1)
            )
            torch.bmm(data.expand(self.down, -1, -1), seen, out=result)
        return points.flatten(0, 1)

    def tiles_of(self, bands: Tensor, point: int, channels: int) -> Tensor:
        """(N P, R1, columns C), point along y -> (T, n2, C) of each tile, a copy."""
        band = bands[:, point]
        step = self.tile.columns * channels
        size = (len(band), self.across, self.along_x.data.shape[1], channels)
        strides = (bands.stride(0), step, channels, 1)
        return band.as_strided(size, strides, band.storage_offset()).reshape(-1, *size[2:])

    def image(self, points: Tensor, channels: int) -> Tensor:
        """(R1, T, m2, D) -> (N, D, H, W), the inverse along y."""
        bands = points.view(len(points), self.pictures * self.down, -1).transpose(0, 1)
        products = self.along_y.products.T.expand(len(bands), -1, -1)
        shape = (self.pictures, channels, self.height, self.width)
        # not a view: autograd refuses views that a function returns where they change in place
        image = torch.empty(
            shape, dtype=points.dtype, device=points.device, memory_format=torch.channels_last
        )
        inside = image.permute(0, 2, 3, 1)
        rows, columns = self.down * self.tile.rows, self.across * self.tile.columns
        if (rows, columns) == (self.height, self.width):
            torch.bmm(products, bands, out=inside.view(len(bands), self.tile.rows, -1))
            return image
        whole = torch.bmm(products, bands).view(self.pictures, rows, columns, channels)
        inside.copy_(whole[:, : self.height, : self.width])
        return image

    def gradient_bands(self, gradient: Tensor) -> Tensor:
        """(N, D, H, W) -> (N P, R1, Q m2 D), the transpose of :meth:`image`."""
        channels = gradient.shape[1]
        rows, columns = self.down * self.tile.rows, self.across * self.tile.columns
        whole = gradient.permute(0, 2, 3, 1)
        if (rows, columns) == (self.height, self.width):
            whole = whole.contiguous()
        else:
            padded = gradient.new_zeros(self.pictures, rows, columns, channels)
            padded[:, : self.height, : self.width] = whole
            whole = padded
        bands = whole.view(self.pictures * self.down, self.tile.rows, columns * channels)
        return torch.bmm(self.along_y.products.expand(len(bands), -1, -1), bands)

    def add_tiles(self, tiles: Tensor, bands: Tensor, point: int, channels: int) -> None:
        """The transpose of :meth:`tiles_of`: (T, n2, C) is added up into ``bands``, whose
        tiles overlap."""
        step = self.tile.columns
        tiles = tiles.view(len(bands), self.across, -1, channels)
        target = bands[:, point]
        for start in range(0, tiles.shape[2], step):
            part = tiles[:, :, start : start + step]
            target.as_strided(
                part.shape,
                (bands.stride(0), step * channels, channels, 1),
                target.storage_offset() + start * channels,
            ).add_(part)

    def gradient_image(self, bands: Tensor, channels: int) -> Tensor:
        """The transpose of :meth:`bands`: (N P, R1, columns C) -> (N, C, H, W)."""
        rows, columns = self.padded
        step = self.tile.rows
        border = self.size // 2
        parts = torch.bmm(self.along_y.data.T.expand(len(bands), -1, -1), bands)
        parts = parts.view(self.pictures, self.down, -1, columns * channels)
        padded = bands.new_zeros(self.pictures, rows, columns * channels)
        for start in range(0, parts.shape[2], step):
            part = parts[:, :, start : start + step]
            padded.as_strided(
                part.shape,
                (padded.stride(0), step * padded.stride(1), padded.stride(1), 1),
                start * padded.stride(1),
            ).add_(part)
        inside = padded.view(self.pictures, rows, columns, channels)[
            :, border : border + self.height, border : border + self.width
        ]
        return inside.permute(0, 3, 1, 2)


def _weights_by_point(weight: Tensor, grid: _Grid) -> Iterator[Tensor]:
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
    grid = _Grid.of(tile, weight.shape[2], x)
    channels, outputs = weight.shape[1], weight.shape[0]
    bands = grid.bands(x)
    results = x.new_empty(len(grid.along_y.data), grid.tiles, tile.columns, outputs)
    weights = _weights_by_point(weight, grid) if transformed is None else transformed
    data = grid.along_x.data.expand(grid.tiles, -1, -1)
    products = grid.along_x.products.T.expand(grid.tiles, -1, -1)
    for point, kernel in enumerate(weights):
        seen = torch.bmm(data, grid.tiles_of(bands, point, channels))  # (T, R2, C)
        product = torch.bmm(seen.transpose(0, 1), kernel)  # (R2, T, D)
        if bias is not None and point == 0:
            # The first point is 1, both ways: what is added there comes out as a constant.
            product[0] += bias
        torch.bmm(products, product.transpose(0, 1), out=results[point])
    return grid.image(results, outputs)


def backward(
    gradient: Tensor, x: Tensor, weight: Tensor, tile: Tile, for_x: bool, for_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of :func:`forward` with respect to x and weight: the transposed matrices."""
    grid = _Grid.of(tile, weight.shape[2], x)
    outputs, channels, size, _ = weight.shape
    results = grid.gradient_bands(gradient)
    bands = grid.bands(x) if for_weight else None
    gradient_bands = (
        x.new_zeros(len(results), results.shape[1], grid.padded[1] * channels) if for_x else None
    )
    gradient_rows = weight.new_empty(results.shape[1], size, channels * outputs)
    weights = _weights_by_point(weight, grid) if for_x else [None] * results.shape[1]
    data = grid.along_x.data.expand(grid.tiles, -1, -1)
    products = grid.along_x.products.expand(grid.tiles, -1, -1)
    for point, kernel in enumerate(weights):
        result = results[:, point].reshape(grid.tiles, tile.columns, outputs)
        product = torch.bmm(products, result).transpose(0, 1)  # (R2, T, D)
        if gradient_bands is not None and kernel is not None:
            seen = torch.bmm(product, kernel.transpose(1, 2)).transpose(0, 1)  # (T, R2, C)
            grid.add_tiles(torch.bmm(data.transpose(1, 2), seen), gradient_bands, point, channels)
        if bands is not None:
            seen = torch.bmm(data, grid.tiles_of(bands, point, channels))
            points = torch.bmm(seen.permute(1, 2, 0), product)  # (R2, C, D)
            torch.mm(grid.along_x.taps.T, points.flatten(1), out=gradient_rows[point])
    gradient_x = None if gradient_bands is None else grid.gradient_image(gradient_bands, channels)
    if bands is None:
        return gradient_x, None
    taps = grid.along_y.taps.T @ gradient_rows.flatten(1)
    return gradient_x, taps.view(size, size, channels, outputs).permute(3, 2, 0, 1)


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
