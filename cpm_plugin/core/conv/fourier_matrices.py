"""Small real matrices of a discrete Fourier transform along the rows of an image.

A row is cut into pieces of m outputs. Each sees n = m + k - 1 inputs, and n is even. A correlation
of these with k taps is a product at each of the n frequencies, and it does not wrap around::

    y[j] = sum_q w[q] x[j + q]  =  inverse(conj(W) X)[j],    j = 0 ... m - 1

Real values have G = n / 2 frequencies of two parts. For the frequencies f = 1 ... G - 1, these are
the real and the imaginary part. The first one holds two real values, those of the frequencies 0 and
n / 2. The transform of the data is orthonormal, so that its values are no larger than the data
require. The complex product is a product with a real 2 x 2 matrix: conj(W) = a + ib has
[[a, b], [-b, a]], from the part that goes in to the part that comes out.

The gradient of the inputs is a convolution of the gradient of the outputs. Its pieces have the same
n values, and its matrices are the transposed ones.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

# Longest piece with its border: a block of a matrix product on a GPU, and twice the largest kernel
# of a CPM. Longer pieces save little: of 11 taps, 56 points for 46 outputs need 22 % of the
# products, infinitely many 18 %.
_LONGEST = 64


class Row(NamedTuple):
    """How a row of an image is cut.

    Attributes:
        outputs: m, number of outputs of a piece, even.
        points: n, number of inputs of a piece and of values at the frequencies, even.
        pieces: T, number of pieces of the row.
    """

    outputs: int
    points: int
    pieces: int

    @property
    def frequencies(self) -> int:
        """G, the number of frequencies, each of two parts."""
        return self.points // 2


def row_of(width: int, size: int) -> Row:
    """Cut a row into the fewest pieces, all of the same length.

    Args:
        width: Number of outputs of the row, at least 1.
        size: k, side of the kernel, odd.

    Returns:
        The pieces. The last one may reach beyond the row.

    Examples:
        >>> from cpm_plugin.core.conv.fourier_matrices import row_of
        >>> row_of(46, 11)
        Row(outputs=46, points=56, pieces=1)
        >>> row_of(184, 9)
        Row(outputs=46, points=54, pieces=4)
    """
    longest = max(_LONGEST, 1 << (2 * size - 1).bit_length())
    pieces = -(-width // (longest - size + 1))
    outputs = -(-width // pieces)
    outputs += outputs % 2  # with an odd kernel, the number of points is then even
    return Row(outputs, outputs + size - 1, -(-width // outputs))


class RowMatrices(NamedTuple):
    """Matrices of a piece. Axes of n values are ordered by frequency, then by part.

    Attributes:
        inputs: (n, n), from the n inputs of a piece to their values at the frequencies.
        cells: (n, m), the same for m values, which are followed by zeros.
        outputs: (m, n), from the products to the outputs.
        gradients: (m, n), from the products with transposed matrices to the gradient of the inputs.
        taps: (4 G, k), from the taps to the matrices of the frequencies: frequency, part in, part
            out.
        lags: (k, 4 G), from the sums of products of data and gradients, in the same order, to the
            gradient of the taps.
    """

    inputs: Tensor
    cells: Tensor
    outputs: Tensor
    gradients: Tensor
    taps: Tensor
    lags: Tensor


@lru_cache(maxsize=256)
def row_matrices(
    points: int, size: int, dtype: torch.dtype, device: torch.device | str
) -> RowMatrices:
    """Make the matrices of a piece; they are cached and must not be modified.

    Args:
        points: n, number of inputs of a piece, even and at least the side of the kernel.
        size: k, side of the kernel, odd.
        dtype: Type of the data. ``taps`` and ``lags`` are at least float32.
        device: Device of the data.

    Returns:
        The matrices.

    Raises:
        ValueError: If the number of points is odd or less than the side of the kernel.
    """
    if points % 2 or points < size:
        raise ValueError(
            f'{points} points for {size} taps: must be even and no fewer than the taps; see row_of'
        )
    outputs = points - size + 1
    scale = math.sqrt(points)
    forward = _waves(points, torch.arange(points), sign=-1).flatten(0, 1) / scale
    # Both parts of a frequency stand for the conjugate one, too, which is not computed.
    inverse = 2 * forward
    inverse[:2] /= 2
    inverse = inverse.T
    exact = torch.promote_types(dtype, torch.float32)

    def here(matrix: Tensor, dtype: torch.dtype = dtype) -> Tensor:
        return matrix.to(device, dtype).contiguous()

    return RowMatrices(
        inputs=here(forward),
        cells=here(forward[:, :outputs]),
        outputs=here(inverse[:outputs]),
        gradients=here(inverse[size - 1 :]),
        taps=here(_products(points, torch.arange(size), sign=1), exact),
        lags=here(_sums(points, size), exact),
    )


def _waves(points: int, places: Tensor, sign: int) -> Tensor:
    """Return the parts of exp(sign i 2 pi f j / n) for each place j: (G, 2, places).

    The first frequency has the real parts of the frequencies 0 and n / 2.
    """
    numbers = torch.arange(points // 2)[:, None] * places % points  # exact, as integers
    angles = (2 * math.pi / points) * numbers.double()
    waves = torch.stack([angles.cos(), sign * angles.sin()], dim=1)
    waves[0, 1] = 1.0 - 2.0 * (places % 2)
    return waves


def _products(points: int, places: Tensor, sign: int) -> Tensor:
    """Return the matrices [[a, b], [-b, a]] of a + ib = exp(sign i ...): (4 G, places)."""
    re, im = _waves(points, places, sign).unbind(1)
    zero = torch.zeros_like(re[0])
    matrices = torch.stack([re, im, -im, re], dim=1)
    matrices[0] = torch.stack([re[0], zero, zero, im[0]])  # two real values
    return matrices.flatten(0, 1)


def _sums(points: int, size: int) -> Tensor:
    """Return the matrix from sums over pieces to the gradient of the taps: (k, 4 G).

    With Z the values of the data at the frequencies and E those of the gradient, the tap q gets the
    correlation of both at the lag k - 1 - q: the real part of conj(Z) E exp(i 2 pi f lag / n),
    summed over all frequencies.
    """
    sums = 2 * _products(points, size - 1 - torch.arange(size), sign=-1)
    sums[:4] /= 2
    return sums.T
