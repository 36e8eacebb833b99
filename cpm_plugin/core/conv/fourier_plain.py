"""The steps of the row-Fourier convolution in plain PyTorch, on any device.

They round where the kernels of ``fourier_triton`` do: sums are at least float32, and results have
the type of the data. In float64 they are exact to 1e-14. They are what the kernels are tested
against, and make copies that the kernels do not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .fourier import Steps, padded
from .fourier_matrices import Row


class _Plain:
    """The steps in plain PyTorch; see ``Steps``."""

    def to_points(self, x: Tensor, matrix: Tensor, row: Row, first: int) -> Tensor:
        images, height, width, channels = x.shape
        inputs = matrix.shape[1]
        last = (row.pieces - 1) * row.outputs + first + inputs  # where the last piece ends
        x = F.pad(x, (0, padded(channels) - channels, -first, last - width))
        pieces = x.unfold(2, inputs, row.outputs)  # (N, H, T, C', inputs)
        points = _product(matrix, pieces.transpose(3, 4))
        return points.view(images, height, row.pieces, row.frequencies, -1)

    def from_points(
        self, points: Tensor, matrix: Tensor, row: Row, size: tuple[int, int], bias: Tensor | None
    ) -> Tensor:
        width, channels = size
        values = _sum_type(matrix) @ _sum_type(points).view(*points.shape[:3], row.points, -1)
        found = values.flatten(2, 3)[:, :, :width, :channels]
        return (found if bias is None else found + bias).to(points.dtype).contiguous()

    def products(self, points: Tensor, weights: Tensor, transposed: bool) -> Tensor:
        images, height, pieces, frequencies, _ = points.shape
        size = weights.shape[1]
        if transposed:
            weights = weights.flip(1).transpose(2, 3)
        rows = _by_frequency(F.pad(points, (0, 0) * 3 + (size // 2,) * 2))
        shape = (images, height, pieces)
        found = sum(
            rows[:, :, tap : tap + height].flatten(1, 3) @ _sum_type(weights[:, tap])
            for tap in range(size)
        )
        found = found.to(points.dtype).view(frequencies, *shape, -1)  # type: ignore[union-attr]
        return found.permute(1, 2, 3, 0, 4).contiguous()

    def sums(self, points: Tensor, gradients: Tensor, size: int) -> Tensor:
        height = points.shape[1]
        cells = _by_frequency(points).flatten(1, 3).transpose(1, 2)
        rows = _by_frequency(F.pad(gradients, (0, 0) * 3 + (size // 2,) * 2))
        taps = [rows[:, :, tap : tap + height].flatten(1, 3) for tap in reversed(range(size))]
        return torch.stack([cells @ one for one in taps], dim=1)

    def weight_points(self, weight: Tensor, taps: Tensor, dtype: torch.dtype) -> Tensor:
        outputs, channels = weight.shape[:2]
        edges = (0, padded(outputs) - outputs, 0, padded(channels) - channels)
        columns = F.pad(weight.permute(3, 2, 1, 0), edges)  # (k along x, k along y, C', D')
        made = _product(taps, columns.flatten(1).to(taps.dtype)).view(-1, 2, 2, *columns.shape[1:])
        return made.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3).to(dtype).contiguous()

    def weight_gradient(self, sums: Tensor, lags: Tensor, weight: Tensor) -> Tensor:
        outputs, channels, size, _ = weight.shape
        parts = sums.view(len(sums), size, 2, padded(channels), 2, padded(outputs))
        parts = parts.permute(0, 2, 4, 1, 3, 5).reshape(lags.shape[1], -1)
        found = _product(lags, parts.to(lags.dtype))
        found = found.view(size, size, padded(channels), padded(outputs))
        return torch.empty_like(weight).copy_(found.permute(3, 2, 1, 0)[:outputs, :channels])


def _sum_type(x: Tensor) -> Tensor:
    """Return a tensor in the type to sum in: at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Multiply matrices as a GPU does: sums at least in float32, rounded at the end."""
    return (_sum_type(one) @ _sum_type(other)).to(other.dtype)


def _by_frequency(points: Tensor) -> Tensor:
    """Put the frequencies first, in the type to sum in: (N, H, T, G, C) -> (G, N, H, T, C)."""
    return _sum_type(points).permute(3, 0, 1, 2, 4)


PLAIN: Steps = _Plain()
