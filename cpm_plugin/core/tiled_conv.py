"""Convolution with large kernels by tiles: the function of ``conv2d``, far fewer operations.

The picture is cut into tiles of m1 x m2 outputs. Along rows and then along columns a tile and
the kernel go through the small matrices of :mod:`.bilinear`; what ``conv2d`` does with
``k * k`` products an output is then one product at each of R1 x R2 points, a matrix product
over channels at each point. Stride 1, one group, odd square kernels, zero padding that keeps
the size.

Memory order is channels-last throughout: with the channels innermost, rows, columns and
points are strided views of one tensor, and every step is a batch of plain matrix products that
reads and writes them in place. R1 points along y are made for a group of tiles; the rest is
done point by point, so that the larger R1 x R2 points never exist at once.

Letters in shapes: N pictures, H x W pixels, C and D input and output channels, P x Q tiles a
picture, T = N P Q tiles in all, m outputs and n = m + k - 1 inputs of a tile, R points; N, P
and T are those of a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .bilinear import Transforms, transforms

# Bytes of a group's larger tensors. glibc takes what is beyond 32 MiB anew from the system at
# every call, page by page (a quarter of the time of a 9x9 layer at 184x184); with smaller
# groups the weights would be read more often.
_GROUP_BYTES = 30 * 2**20


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
    """A group of tiles, some pictures or some rows of tiles of one, and its matrices."""

    tile: Tile
    size: int  # k
    pictures: slice
    top: int  # row of the picture
    height: int  # rows of outputs
    width: int
    along_y: Transforms
    along_x: Transforms

    @property
    def down(self) -> int:  # P
        return -(-self.height // self.tile.rows)

    @property
    def across(self) -> int:  # Q
        return -(-self.width // self.tile.columns)

    @property
    def number(self) -> int:  # N
        return int(self.pictures.stop - self.pictures.start)

    @property
    def tiles(self) -> int:  # T
        return self.number * self.down * self.across

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns that all tiles see."""
        overlap = self.size - 1
        return self.down * self.tile.rows + overlap, self.across * self.tile.columns + overlap

    def bands(self, x: Tensor) -> Tensor:
        """All of the input (., C, H, W) -> (N P, R1, columns C): points along y of each band
        of tiles."""
        channels = x.shape[1]
        rows, columns = self.padded
        border = self.size // 2
        first, last = max(0, self.top - border), min(x.shape[2], self.top + rows - border)
        padded = x.new_zeros(self.number, rows, columns * channels)
        start = first - self.top + border
        inside = padded.view(self.number, rows, columns, channels)
        inside[:, start : start + last - first, border : border + self.width] = x[
            self.pictures, :, first:last
        ].permute(0, 2, 3, 1)
        data = self.along_y.data
        points = x.new_empty(self.number, self.down, len(data), columns * channels)
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

    def write(self, points: Tensor, image: Tensor) -> None:
        """(R1, T, m2, D), the inverse along y -> these tiles of all of the image (., H, W, D)."""
        bands = points.view(len(points), self.number * self.down, -1).transpose(0, 1)
        products = self.along_y.products.T.expand(len(bands), -1, -1)
        target = image[self.pictures, self.top : self.top + self.height]
        rows, columns = self.down * self.tile.rows, self.across * self.tile.columns
        if (rows, columns) == (self.height, self.width) and target.is_contiguous():
            torch.bmm(products, bands, out=target.view(len(bands), self.tile.rows, -1))
        else:
            whole = torch.bmm(products, bands).view(self.number, rows, columns, -1)
            target.copy_(whole[:, : self.height, : self.width])

    def gradient_bands(self, gradient: Tensor) -> Tensor:
        """All of the gradient (., D, H, W) -> (N P, R1, Q m2 D), the transpose of
        :meth:`write`."""
        channels = gradient.shape[1]
        rows, columns = self.down * self.tile.rows, self.across * self.tile.columns
        whole = gradient[self.pictures].permute(0, 2, 3, 1)
        if (rows, columns) == (self.height, self.width):
            whole = whole.contiguous()
        else:
            padded = gradient.new_zeros(self.number, rows, columns, channels)
            padded[:, : self.height, : self.width] = whole
            whole = padded
        bands = whole.view(self.number * self.down, self.tile.rows, columns * channels)
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

    def write_gradient(self, bands: Tensor, image: Tensor) -> None:
        """The transpose of :meth:`bands`: (N P, R1, columns C) -> these pictures of the image
        (., H, W, C), whose rows must all be in the group."""
        channels = image.shape[3]
        rows, columns = self.padded
        step = self.tile.rows
        border = self.size // 2
        parts = torch.bmm(self.along_y.data.T.expand(len(bands), -1, -1), bands)
        parts = parts.view(self.number, self.down, -1, columns * channels)
        padded = bands.new_zeros(self.number, rows, columns * channels)
        for start in range(0, parts.shape[2], step):
            part = parts[:, :, start : start + step]
            padded.as_strided(
                part.shape,
                (padded.stride(0), step * padded.stride(1), padded.stride(1), 1),
                start * padded.stride(1),
            ).add_(part)
        image[self.pictures] = padded.view(self.number, rows, columns, channels)[
            :, border : border + self.height, border : border + self.width
        ]


def _groups(x: Tensor, weight: Tensor, tile: Tile, *, by_rows: bool) -> Iterator[_Grid]:
    """Cut the tiles of (., C, H, W) into groups of about the same size; without ``by_rows``
    into groups of whole pictures."""
    size = weight.shape[2]
    along_y, along_x = (_matrices(m, size, x.dtype, x.device) for m in tile)
    pictures, channels, height, width = x.shape
    widest = max(channels, len(weight))
    most = _GROUP_BYTES // (len(along_y.data) * tile.columns * widest * x.element_size())
    down, across = -(-height // tile.rows), -(-width // tile.columns)
    rows = _even_part(down, max(1, most // across)) if by_rows else down
    number = _even_part(pictures, max(1, most // (down * across))) if rows == down else 1
    for first in range(0, pictures, number):
        for top in range(0, height, rows * tile.rows):
            yield _Grid(
                tile=tile,
                size=size,
                pictures=slice(first, min(first + number, pictures)),
                top=top,
                height=min(rows * tile.rows, height - top),
                width=width,
                along_y=along_y,
                along_x=along_x,
            )


def _even_part(whole: int, most: int) -> int:
    return -(-whole // -(-whole // most))


def _empty_image(x: Tensor, channels: int) -> Tensor:
    """(N, channels, H, W) in channels-last order; no view, for autograd refuses those where a
    function returns them and they change in place."""
    return torch.empty(
        (x.shape[0], channels, *x.shape[2:]),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )


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
    image = _empty_image(x, len(weight))
    for grid in _groups(x, weight, tile, by_rows=True):
        weights = _weights_by_point(weight, grid) if transformed is None else transformed
        _forward_group(grid, x, weights, bias, image.permute(0, 2, 3, 1))
    return image


def _forward_group(
    grid: _Grid, x: Tensor, weights: Iterable[Tensor], bias: Tensor | None, image: Tensor
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
    for grid in _groups(x, weight, tile, by_rows=False):
        more = _backward_group(grid, gradient, x, weight, image, for_weight)
        rows = more if rows is None or more is None else rows.add_(more)
    if rows is None:
        return image, None
    taps = _matrices(tile.rows, size, x.dtype, x.device).taps.T @ rows.flatten(1)
    return image, taps.view(size, size, channels, outputs).permute(3, 2, 0, 1)


def _backward_group(
    grid: _Grid,
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
