"""The tiles of a convolution, and how images become points and points images.

Letters in shapes: N images, H x W pixels, C and D input and output channels, P x Q tiles a
image, T = N P Q tiles in all, m outputs and n = m + k - 1 inputs of a tile; N, P and T are
those of a group. Rows at the points along y come in blocks of B = 1 or 2, a real one or the
parts of a complex one, and R are the products of a block along x (``bilinear``).

Memory order is channels-last: with the channels innermost, rows, columns and points are strided
views of one tensor, and every step is a batch of plain matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from .bilinear import Transforms, columns, rows

# Bytes of a group's larger tensors. glibc takes what is beyond 32 MiB anew from the system at
# every call, page by page (a quarter of the time of a 9x9 layer at 184x184); with smaller
# groups the weights would be transformed more often. Where transformed weights are kept, less is
# better, for the tensors then stay in the cache: 5 to 20 % of a batch of 4 at 368x368.
ALLOCATOR_BYTES = 30 * 2**20
CACHE_BYTES = 12 * 2**20


class Tile(NamedTuple):
    """Outputs of a tile, along y and along x."""

    rows: int
    columns: int


class Matrices(NamedTuple):
    """Of a tile and a kernel, in the dtype and on the device of the data.

    Args:
        along_y: see ``rows``.
        blocks: slices of the rows of along_y.
        along_x: see ``columns``, by the size of the block.
    """

    along_y: Transforms
    blocks: tuple[slice, ...]
    along_x: Mapping[int, Transforms]

    def of_block(self, block: slice) -> Transforms:
        return self.along_x[block.stop - block.start]


@lru_cache(maxsize=256)
def matrices(tile: Tile, taps: int, dtype: torch.dtype, device: torch.device) -> Matrices:
    def here(transforms: Transforms) -> Transforms:
        return Transforms(*(matrix.to(device, dtype) for matrix in transforms))

    along_y, sizes = rows(tile.rows, taps)
    ends = list(accumulate(sizes))
    return Matrices(
        along_y=here(along_y),
        blocks=tuple(slice(end - size, end) for end, size in zip(ends, sizes)),
        along_x={size: here(columns(tile.columns, taps, size)) for size in set(sizes)},
    )


@dataclass(frozen=True)
class Grid:
    """A group of tiles, some images or some rows of tiles of one."""

    tile: Tile
    size: int  # k
    images: slice
    top: int  # row of the image
    height: int  # rows of outputs
    width: int
    matrices: Matrices

    @property
    def down(self) -> int:  # P
        return -(-self.height // self.tile.rows)

    @property
    def across(self) -> int:  # Q
        return -(-self.width // self.tile.columns)

    @property
    def number(self) -> int:  # N
        return int(self.images.stop - self.images.start)

    @property
    def tiles(self) -> int:  # T
        return self.number * self.down * self.across

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns that all tiles see."""
        overlap = self.size - 1
        return self.down * self.tile.rows + overlap, self.across * self.tile.columns + overlap

    def bands(self, x: Tensor) -> Tensor:
        """All of the input (., C, H, W) -> (N P, n1, columns C): points along y of each band
        of tiles."""
        channels = x.shape[1]
        rows, columns = self.padded
        border = self.size // 2
        first, last = max(0, self.top - border), min(x.shape[2], self.top + rows - border)
        padded = x.new_zeros(self.number, rows, columns * channels)
        start = first - self.top + border
        inside = padded.view(self.number, rows, columns, channels)
        inside[:, start : start + last - first, border : border + self.width] = x[
            self.images, :, first:last
        ].permute(0, 2, 3, 1)
        data = self.matrices.along_y.data
        points = x.new_empty(self.number, self.down, len(data), columns * channels)
        step = padded.stride(1)
        for image, result in zip(padded, points):
            seen = image.as_strided(
                (self.down, data.shape[1], step), (self.tile.rows * step, step, 1)
            )
            torch.bmm(data.expand(self.down, -1, -1), seen, out=result)
        return points.flatten(0, 1)

    def tiles_of(self, bands: Tensor, block: slice, channels: int) -> Tensor:
        """(N P, n1, columns C), block along y -> (T, B n2, C) of each tile, a copy."""
        band = bands[:, block]
        step, seen = self.tile.columns, self.tile.columns + self.size - 1
        parts = band.as_strided(
            (len(band), self.across, band.shape[1], seen, channels),
            (bands.stride(0), step * channels, bands.stride(1), channels, 1),
            band.storage_offset(),
        )
        return parts.reshape(self.tiles, -1, channels)

    def write(self, points: Tensor, output: Tensor) -> None:
        """(n1, T, m2, D), the inverse along y -> these tiles of all of the output (., H, W, D)."""
        bands = points.view(len(points), self.number * self.down, -1).transpose(0, 1)
        products = self.matrices.along_y.products.T.expand(len(bands), -1, -1)
        target = output[self.images, self.top : self.top + self.height]
        rows, columns = self.down * self.tile.rows, self.across * self.tile.columns
        if (rows, columns) == (self.height, self.width) and target.is_contiguous():
            torch.bmm(products, bands, out=target.view(len(bands), self.tile.rows, -1))
        else:
            whole = torch.bmm(products, bands).view(self.number, rows, columns, -1)
            target.copy_(whole[:, : self.height, : self.width])

    def gradient_bands(self, gradient: Tensor) -> Tensor:
        """All of the gradient (., D, H, W) -> (N P, n1, Q m2 D), the transpose of
        ``write``."""
        channels = gradient.shape[1]
        rows, columns = self.down * self.tile.rows, self.across * self.tile.columns
        whole = gradient[self.images].permute(0, 2, 3, 1)
        if (rows, columns) == (self.height, self.width):
            whole = whole.contiguous()
        else:
            padded = gradient.new_zeros(self.number, rows, columns, channels)
            padded[:, : self.height, : self.width] = whole
            whole = padded
        bands = whole.view(self.number * self.down, self.tile.rows, columns * channels)
        return torch.bmm(self.matrices.along_y.products.expand(len(bands), -1, -1), bands)

    def outputs_of(self, bands: Tensor, block: slice, channels: int) -> Tensor:
        """(N P, n1, Q m2 D), block along y -> (T, B m2, D) of each tile."""
        rows = bands[:, block]
        parts = rows.view(*rows.shape[:2], self.across, self.tile.columns, channels)
        return parts.transpose(1, 2).reshape(self.tiles, -1, channels)

    def add_tiles(self, tiles: Tensor, bands: Tensor, block: slice, channels: int) -> None:
        """The transpose of ``tiles_of``: (T, B n2, C) is added up into ``bands``, whose
        tiles overlap."""
        step = self.tile.columns
        target = bands[:, block]
        tiles = tiles.view(len(bands), self.across, target.shape[1], -1, channels)
        for start in range(0, tiles.shape[3], step):
            part = tiles[:, :, :, start : start + step]
            target.as_strided(
                part.shape,
                (bands.stride(0), step * channels, bands.stride(1), channels, 1),
                target.storage_offset() + start * channels,
            ).add_(part)

    def write_gradient(self, bands: Tensor, output: Tensor) -> None:
        """The transpose of ``bands``: (N P, n1, columns C) -> these images of the output
        (., H, W, C), whose rows must all be in the group."""
        channels = output.shape[3]
        rows, columns = self.padded
        step = self.tile.rows
        border = self.size // 2
        parts = torch.bmm(self.matrices.along_y.data.T.expand(len(bands), -1, -1), bands)
        parts = parts.view(self.number, self.down, -1, columns * channels)
        padded = bands.new_zeros(self.number, rows, columns * channels)
        for start in range(0, parts.shape[2], step):
            part = parts[:, :, start : start + step]
            padded.as_strided(
                part.shape,
                (padded.stride(0), step * padded.stride(1), padded.stride(1), 1),
                start * padded.stride(1),
            ).add_(part)
        output[self.images] = padded.view(self.number, rows, columns, channels)[
            :, border : border + self.height, border : border + self.width
        ]


def groups(
    x: Tensor, weight: Tensor, tile: Tile, *, by_rows: bool, kept: bool = False
) -> Iterator[Grid]:
    """Cut the tiles of (., C, H, W) into groups of about the same size; without ``by_rows``
    into groups of whole images. ``kept``: the weight is transformed already."""
    made = matrices(tile, weight.shape[2], x.dtype, x.device)
    images, channels, height, width = x.shape
    widest = max(channels, len(weight))
    most = CACHE_BYTES if kept else ALLOCATOR_BYTES
    most //= len(made.along_y.data) * tile.columns * widest * x.element_size()
    down, across = -(-height // tile.rows), -(-width // tile.columns)
    rows = _even_part(down, max(1, most // across)) if by_rows else down
    number = _even_part(images, max(1, most // (down * across))) if rows == down else 1
    for first in range(0, images, number):
        for top in range(0, height, rows * tile.rows):
            yield Grid(
                tile=tile,
                size=weight.shape[2],
                images=slice(first, min(first + number, images)),
                top=top,
                height=min(rows * tile.rows, height - top),
                width=width,
                matrices=made,
            )


def _even_part(whole: int, most: int) -> int:
    return -(-whole // -(-whole // most))
