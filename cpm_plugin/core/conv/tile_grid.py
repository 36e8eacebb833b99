"""Tiles of a convolution: how an image becomes values at the points, and these an image again.

Letters in shapes:

- N: images; H x W: pixels; C and D: input and output channels.
- P x Q: tiles of an image; T = N P Q: tiles in all. N, P and T are those of a group.
- m outputs and n = m + k - 1 inputs of a tile along one axis; 1 is y and 2 is x.
- B = 1 or 2: rows of a block. The rows at the points along y come in blocks: a real one, or the
  two parts of a complex one.
- R: products of a block along x (``bilinear``).
- A dot stands for all images, also those of other groups.

The memory format is channels-last. With the channels innermost, rows, columns and points are
strided views of one tensor, and every step is a batch of plain matrix products.
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

# Bytes of the larger tensors of a group. Above 32 MiB, glibc requests memory from the system at
# every call, page by page, which took a quarter of the time of a 9x9 layer at 184x184. With
# smaller groups, the weights are transformed more often. Where transformed weights are kept, less
# is better, since the tensors then stay in the cache: this saves 5 to 20 % of the time of a batch
# of 4 at 368x368.
ALLOCATOR_BYTES = 30 * 2**20
CACHE_BYTES = 12 * 2**20


class Tile(NamedTuple):
    """Number of outputs of a tile along each axis.

    Attributes:
        rows: Outputs along y.
        columns: Outputs along x.
    """

    rows: int
    columns: int


class Matrices(NamedTuple):
    """Matrices of a tile and a kernel size, in the dtype and on the device of the data.

    Attributes:
        along_y: Matrices along y; see ``bilinear.rows``.
        blocks: Slices of the rows of ``along_y``, a slice for each block.
        along_x: Matrices along x by the size of the block; see ``bilinear.columns``.
    """

    along_y: Transforms
    blocks: tuple[slice, ...]
    along_x: Mapping[int, Transforms]

    def of_block(self, block: slice) -> Transforms:
        """Return the matrices along x for a block of rows."""
        return self.along_x[block.stop - block.start]


@lru_cache(maxsize=256)
def matrices(tile: Tile, taps: int, dtype: torch.dtype, device: torch.device) -> Matrices:
    """Make the matrices of a tile; they are cached and must not be modified.

    Args:
        tile: Size of the tile.
        taps: k, side of the kernel.
        dtype: Type of the data.
        device: Device of the data.

    Returns:
        The matrices along both axes.
    """

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
    """A group of tiles: some images, or some rows of tiles of one image.

    Attributes:
        tile: Size of a tile.
        size: k, side of the kernel.
        images: Which images of the batch.
        top: First row of outputs in the image.
        height: Number of rows of outputs.
        width: Number of columns of outputs, the whole width of the image.
        matrices: Matrices of the tile.
    """

    tile: Tile
    size: int
    images: slice
    top: int
    height: int
    width: int
    matrices: Matrices

    @property
    def down(self) -> int:
        """P, the number of tiles along y."""
        return -(-self.height // self.tile.rows)

    @property
    def across(self) -> int:
        """Q, the number of tiles along x."""
        return -(-self.width // self.tile.columns)

    @property
    def number(self) -> int:
        """N, the number of images."""
        return int(self.images.stop - self.images.start)

    @property
    def tiles(self) -> int:
        """T, the number of tiles."""
        return self.number * self.down * self.across

    @property
    def padded(self) -> tuple[int, int]:
        """Numbers of rows and of columns of the input that the tiles of an image see together."""
        overlap = self.size - 1
        return self.down * self.tile.rows + overlap, self.across * self.tile.columns + overlap

    def bands(self, x: Tensor) -> Tensor:
        """Transform the input along y, for each band (a row of tiles).

        Args:
            x: (., C, H, W), the whole input.

        Returns:
            (N P, n1, columns C), values at the points along y.
        """
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
        """Copy one block of the rows of each tile.

        Args:
            bands: (N P, n1, columns C), from ``bands``.
            block: Rows of the block.
            channels: C.

        Returns:
            (T, B n2, C).
        """
        band = bands[:, block]
        step, seen = self.tile.columns, self.tile.columns + self.size - 1
        parts = band.as_strided(
            (len(band), self.across, band.shape[1], seen, channels),
            (bands.stride(0), step * channels, bands.stride(1), channels, 1),
            band.storage_offset(),
        )
        return parts.reshape(self.tiles, -1, channels)

    def write(self, points: Tensor, output: Tensor) -> None:
        """Transform products back along y and write the outputs of these tiles.

        Args:
            points: (n1, T, m2, D).
            output: (., H, W, D), the whole output; changed in place.
        """
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
        """Apply the transpose of ``write`` to the gradient of the output.

        Args:
            gradient: (., D, H, W), the whole gradient.

        Returns:
            (N P, n1, Q m2 D).
        """
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
        """Copy one block of the rows of each tile of ``gradient_bands``.

        Args:
            bands: (N P, n1, Q m2 D).
            block: Rows of the block.
            channels: D.

        Returns:
            (T, B m2, D).
        """
        rows = bands[:, block]
        parts = rows.view(*rows.shape[:2], self.across, self.tile.columns, channels)
        return parts.transpose(1, 2).reshape(self.tiles, -1, channels)

    def add_tiles(self, tiles: Tensor, bands: Tensor, block: slice, channels: int) -> None:
        """Apply the transpose of ``tiles_of``: add up tiles, which overlap.

        Args:
            tiles: (T, B n2, C).
            bands: (N P, n1, columns C); changed in place.
            block: Rows of the block.
            channels: C.
        """
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
        """Apply the transpose of ``bands`` and write the gradient of the input.

        All rows of the images must be in the group.

        Args:
            bands: (N P, n1, columns C).
            output: (., H, W, C), the whole gradient; these images are changed in place.
        """
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
    """Divide the tiles of a batch into groups of about the same size.

    Args:
        x: (., C, H, W), the whole input.
        weight: (D, C, k, k).
        tile: Size of the tiles.
        by_rows: Groups may be rows of tiles of one image. If False, they are whole images.
        kept: The weight has been transformed already, and smaller groups are faster.

    Yields:
        The groups, in the order of images and rows.
    """
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
    """Return the size of the parts, at most ``most``, that divide a whole evenly."""
    return -(-whole // -(-whole // most))
