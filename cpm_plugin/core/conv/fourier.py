"""Row-Fourier convolution: the values of ``conv2d`` in about a quarter of its products.

A small discrete Fourier transform along x turns the k taps of a kernel's row into one product for
each frequency. The k taps along y stay. Together they are one matrix product for each frequency,
with k times the channels to sum over: what the matrix units of a GPU do best. It is exact but for
rounding. ``fourier_matrices`` explains the transform and the letters m, n, G and T.

Stride 1, one group, odd square kernels, and zero padding that keeps the size are required.

Shapes: images (N, H, W, C), channels last; values at the frequencies (N, H, T, G, 2 C'), where C'
is C rounded up to a multiple of 8 by zeros, and the first C' values of the last axis are the first
part; kernels (G, k, 2 C', 2 D'). No step copies what another one has made.

The order of the steps is here. ``fourier_plain`` computes them in plain PyTorch, ``fourier_triton``
on a GPU.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .fourier_matrices import Row, row_matrices, row_of

# A GPU reads and writes 16 bytes at once: 8 values of two bytes.
_GROUP = 8


def padded(channels: int) -> int:
    """Round a number of channels up to a multiple of 8.

    Args:
        channels: Number of channels.

    Returns:
        The multiple.
    """
    return -(-channels // _GROUP) * _GROUP


def tf32_allowed() -> bool:
    """Tell whether PyTorch's settings allow TF32 in convolutions of float32; by default they do."""
    conv = getattr(torch.backends.cudnn, 'conv', None)
    if conv is not None:  # since torch 2.9, where the older name may raise an error
        return bool(conv.fp32_precision == 'tf32')
    return torch.backends.cudnn.allow_tf32


class Steps(Protocol):
    """What a convolution is made of. Results are contiguous and of the type of the data."""

    def to_points(self, x: Tensor, matrix: Tensor, row: Row, first: int) -> Tensor:
        """Transform an image to values at the frequencies.

        Args:
            x: (N, H, W, C); it is 0 beyond its border.
            matrix: (n, inputs).
            row: How its rows are cut.
            first: First input of a piece, relative to its first output.

        Returns:
            (N, H, T, G, 2 C').
        """

    def from_points(
        self, points: Tensor, matrix: Tensor, row: Row, size: tuple[int, int], bias: Tensor | None
    ) -> Tensor:
        """Transform values at the frequencies to an image.

        Args:
            points: (N, H, T, G, 2 D').
            matrix: (m, n).
            row: How the rows of the image are cut.
            size: W and D.
            bias: (D,), which is added, or None.

        Returns:
            (N, H, W, D).
        """

    def products(self, points: Tensor, weights: Tensor, transposed: bool) -> Tensor:
        """Multiply an image by a kernel.

        Args:
            points: (N, H, T, G, 2 C').
            weights: (G, k, 2 C', 2 D').
            transposed: Do the transposed of that: exchange C' and D' of the other shapes.

        Returns:
            (N, H, T, G, 2 D').
        """

    def sums(self, points: Tensor, gradients: Tensor, size: int) -> Tensor:
        """Sum the products of an image and gradients.

        Args:
            points: (N, H, T, G, 2 C'), of the image without the borders of its pieces.
            gradients: (N, H, T, G, 2 D').
            size: k.

        Returns:
            (G, k, 2 C', 2 D'), at least in float32.
        """

    def weight_points(self, weight: Tensor, taps: Tensor, dtype: torch.dtype) -> Tensor:
        """Transform a kernel to values at the frequencies.

        Args:
            weight: (D, C, k, k).
            taps: (4 G, k).
            dtype: Type of the result.

        Returns:
            (G, k, 2 C', 2 D').
        """

    def weight_gradient(self, sums: Tensor, lags: Tensor, weight: Tensor) -> Tensor:
        """Transform sums to the gradient of a kernel.

        Args:
            sums: (G, k, 2 C', 2 D').
            lags: (k, 4 G).
            weight: The kernel (D, C, k, k), for its shape and type.

        Returns:
            (D, C, k, k).
        """


def forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, kept: Tensor | None, steps: Steps
) -> Tensor:
    """Compute ``conv2d(x, weight, bias, padding=k // 2)``, in the type of ``x``.

    Args:
        x: (N, C, H, W).
        weight: (D, C, k, k), of any type.
        bias: (D,), of any type, or None.
        kept: ``transform_weight`` of this kernel, for this width and type, or None.
        steps: Who computes.

    Returns:
        (N, D, H, W) in channels-last memory format.
    """
    size, width = weight.shape[2], x.shape[3]
    row = row_of(width, size)
    made = row_matrices(row.points, size, x.dtype, x.device)
    points = steps.to_points(_channels_last(x), made.inputs, row, -(size // 2))
    if kept is None:
        kept = steps.weight_points(weight, made.taps, x.dtype)
    points = steps.products(points, kept, transposed=False)
    found = steps.from_points(points, made.outputs, row, (width, len(weight)), bias)
    return found.permute(0, 3, 1, 2)


def transform_weight(weight: Tensor, width: int, dtype: torch.dtype, steps: Steps) -> Tensor:
    """Transform a kernel once for many forward passes.

    Args:
        weight: (D, C, k, k).
        width: Width of the images.
        dtype: Type of the images.
        steps: Who computes.

    Returns:
        (G, k, 2 C', 2 D').
    """
    size = weight.shape[2]
    row = row_of(width, size)
    made = row_matrices(row.points, size, dtype, weight.device)
    return steps.weight_points(weight, made.taps, dtype)


class Gradients(NamedTuple):
    """Gradients of a convolution, None where not wanted.

    Attributes:
        x: (N, C, H, W), of the input.
        weight: (D, C, k, k), of the kernel, in its type.
    """

    x: Tensor | None
    weight: Tensor | None


def backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    steps: Steps,
    *,
    for_x: bool,
    for_weight: bool,
) -> Gradients:
    """Compute the gradients of ``forward`` from the gradient of its output.

    One transform of the gradient serves both.

    Args:
        gradient: (N, D, H, W), of the same type as ``x``.
        x: (N, C, H, W).
        weight: (D, C, k, k).
        steps: Who computes.
        for_x: Whether to compute the gradient of ``x``.
        for_weight: Whether to compute the gradient of ``weight``.

    Returns:
        The gradients.
    """
    channels, size, width = x.shape[1], weight.shape[2], x.shape[3]
    row = row_of(width, size)
    made = row_matrices(row.points, size, x.dtype, x.device)
    results = steps.to_points(_channels_last(gradient), made.inputs, row, -(size // 2))
    of_x, of_weight = None, None
    if for_weight:
        points = steps.to_points(_channels_last(x), made.cells, row, 0)
        of_weight = steps.weight_gradient(steps.sums(points, results, size), made.lags, weight)
        del points
    if for_x:
        kernel = steps.weight_points(weight, made.taps, x.dtype)
        points = steps.products(results, kernel, transposed=True)
        of_x = steps.from_points(points, made.gradients, row, (width, channels), None)
        of_x = of_x.permute(0, 3, 1, 2)
    return Gradients(of_x, of_weight)


def _channels_last(x: Tensor) -> Tensor:
    """Return (N, H, W, C), a copy only where the memory format is another."""
    return x.permute(0, 2, 3, 1).contiguous()
