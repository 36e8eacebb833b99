"""The steps of the row-Fourier convolution on a GPU, by kernels in Triton.

PyTorch's builds for CUDA come with Triton. The steps are those of ``fourier.Steps``.

Products of float32 are of the kind that PyTorch's own convolutions take: TF32, or IEEE float32
where TF32 is switched off. With TF32, the transforms of the data take three products each and lose
nothing. The error is then that of a direct convolution in TF32.

Nothing is tuned at run time: ``block_sizes`` is a small table. Its sizes are among those of the
prototype from which these kernels come. **The kernels have not run on a GPU.** They are tested in
Triton's interpreter, and compiled for GPUs that were not at hand.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import fourier_kernels as kernels
from .fourier import padded, tf32_allowed
from .fourier_matrices import Row

# Shared memory of a block that every GPU of compute capability 8.0 or more has, in bytes (CUDA C++
# Programming Guide, technical specifications per compute capability).
_LEAST_SHARED = 99 * 1024


class Blocks(NamedTuple):
    """Sizes of the blocks of a matrix product, and how it runs.

    Attributes:
        rows: Rows of a block of the result.
        columns: Columns of it.
        depth: Number of values that are summed in one step.
        warps: Groups of 32 threads.
        stages: Number of steps whose data are on the way at the same time.
    """

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int


@lru_cache(maxsize=1024)
def block_sizes(rows: int, columns: int, depth: int, item: int, shared: int) -> Blocks:
    """Look up the sizes of the blocks of a matrix product. They are not tuned on any GPU.

    Args:
        rows: Rows of the result.
        columns: Columns of the result.
        depth: Number of values to sum over; blocks divide it if it is a multiple of 16.
        item: Bytes of a value, 2 or 4.
        shared: Shared memory of a block in bytes.

    Returns:
        The sizes: powers of two, at least 16.
    """
    most = 256 if item == 2 else 128
    wide = min(most, _power(columns))
    high = min(128, _power(rows))
    deep = min(128 // item, depth & -depth if depth % 16 == 0 else _power(depth))
    bytes_of_stage = (high + wide) * deep * item
    stages = max(2, min(4, shared // bytes_of_stage))
    return Blocks(high, wide, deep, 8 if high * wide >= 128 * 256 else 4, stages)


def _power(number: int) -> int:
    """Return the next power of two, at least 16: matrix units take no less."""
    return max(16, 1 << (number - 1).bit_length())


@lru_cache(maxsize=64)
def _shared_memory(device: torch.device) -> int:
    """Return the shared memory that a block may have, in bytes."""
    if device.type != 'cuda':
        return _LEAST_SHARED
    properties = torch.cuda.get_device_properties(device)
    return getattr(properties, 'shared_memory_per_block_optin', _LEAST_SHARED)


def _precisions(dtype: torch.dtype) -> tuple[str, str]:
    """Return the kinds of products for float32: of the transforms, and of the convolution."""
    if dtype != torch.float32:
        return 'ieee', 'ieee'  # of no account: products of 16 bits are exact
    return ('tf32x3', 'tf32') if tf32_allowed() else ('ieee', 'ieee')


def _channels_at_once(x: Tensor) -> int:
    """Return the channels of a block of a transform; with more, float32 fills the registers."""
    return 128 if x.element_size() == 2 else 64


def _on(x: Tensor) -> AbstractContextManager[Any]:
    """Make the GPU of a tensor the current one: Triton starts kernels there."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


class _Kernels:
    """The steps by Triton; see ``fourier.Steps``."""

    def to_points(self, x: Tensor, matrix: Tensor, row: Row, first: int) -> Tensor:
        images, height, width, channels = x.shape
        room, (values, inputs) = padded(channels), matrix.shape
        points = x.new_empty(images, height, row.pieces, row.frequencies, 2 * room)
        block = min(_channels_at_once(x), _power(room))
        with _on(x):
            kernels.to_points[(images * height * row.pieces, -(-room // block))](
                x, matrix, points, row.pieces, width, row.outputs, first, channels, room, inputs,
                values, BLOCK=block, INPUTS=_power(inputs), VALUES=_power(values),
                PRECISION=_precisions(x.dtype)[0], num_warps=4,
            )  # fmt: skip
        return points

    def from_points(
        self, points: Tensor, matrix: Tensor, row: Row, size: tuple[int, int], bias: Tensor | None
    ) -> Tensor:
        (images, height, pieces), (width, channels) = points.shape[:3], size
        y = points.new_empty(images, height, width, channels)
        block = min(_channels_at_once(points), _power(channels))
        with _on(points):
            kernels.from_points[(images * height * pieces, -(-channels // block))](
                points, matrix, y if bias is None else bias, y, pieces, width, row.outputs,
                channels, padded(channels), row.points, BLOCK=block, OUTPUTS=_power(row.outputs),
                VALUES=_power(row.points), BIAS=bias is not None,
                PRECISION=_precisions(points.dtype)[0], num_warps=4,
            )  # fmt: skip
        return y

    def products(self, points: Tensor, weights: Tensor, transposed: bool) -> Tensor:
        images, height, pieces, frequencies, deep = points.shape
        size, wide = weights.shape[1], weights.shape[2 if transposed else 3]
        count = images * height * pieces
        found = points.new_empty(images, height, pieces, frequencies, wide)
        blocks = block_sizes(
            count, wide, deep, points.element_size(), _shared_memory(points.device)
        )
        grid = (-(-count // blocks.rows) * -(-wide // blocks.columns), frequencies)
        with _on(points):
            kernels.products[grid](
                points, weights, found, count, height, pieces, size, -1 if transposed else 1, deep,
                wide, 1 if transposed else wide, deep if transposed else 1,
                DEEP=blocks.depth, STEPS=deep // blocks.depth, BLOCK=blocks.rows,
                WIDE=blocks.columns, PRECISION=_precisions(points.dtype)[1],
                num_warps=blocks.warps, num_stages=blocks.stages,
            )  # fmt: skip
        return found

    def sums(self, points: Tensor, gradients: Tensor, size: int) -> Tensor:
        images, height, pieces, frequencies, deep = points.shape
        wide, count = gradients.shape[4], images * height * pieces
        found = points.new_empty(frequencies, size, deep, wide, dtype=torch.float32)
        blocks = block_sizes(
            deep, wide, count, points.element_size(), _shared_memory(points.device)
        )
        grid = (-(-deep // blocks.rows) * -(-wide // blocks.columns), size, frequencies)
        with _on(points):
            kernels.sums[grid](
                points, gradients, found, count, height, pieces, deep, wide,
                DEEP=blocks.rows, WIDE=blocks.columns, BLOCK=blocks.depth,
                PRECISION=_precisions(points.dtype)[1],
                num_warps=blocks.warps, num_stages=blocks.stages,
            )  # fmt: skip
        return found

    def weight_points(self, weight: Tensor, taps: Tensor, dtype: torch.dtype) -> Tensor:
        outputs, channels, size, _ = weight.shape
        deep, wide, parts = padded(channels), padded(outputs), len(taps)
        found = weight.new_empty(parts // 4, size, 2 * deep, 2 * wide, dtype=dtype)
        block = min(64, _power(wide))
        with _on(weight):
            kernels.weight_points[(size, deep, -(-wide // block))](
                weight, taps, found, channels, outputs, deep, wide, *weight.stride(), parts,
                BLOCK=block, TAPS=_power(size), PARTS=_power(parts), num_warps=4,
            )  # fmt: skip
        return found

    def weight_gradient(self, sums: Tensor, lags: Tensor, weight: Tensor) -> Tensor:
        outputs, channels, size, _ = weight.shape
        found, parts = torch.empty_like(weight), lags.shape[1]
        block = min(64, _power(outputs))
        with _on(sums):
            kernels.weight_gradient[(size, channels, -(-outputs // block))](
                sums, lags, found, outputs, padded(channels), padded(outputs), *found.stride(),
                parts, BLOCK=block, TAPS=_power(size), PARTS=32, num_warps=4,
            )  # fmt: skip
        return found


STEPS = _Kernels()
