"""Matrices that compute a correlation with fewer multiplications.

A correlation of k taps with a piece of n = m + k - 1 values has m outputs::

    y[j] = sum_i w[i] x[j + i]  =  products.T @ ((data @ x) * (taps @ w))

The right-hand side needs about 1.5 n multiplications between x and w, instead of m k. It is exact:
the matrices evaluate two polynomials at n points, multiply the values, and interpolate the
product.

The points are roots of unity, infinity and, if one more point is needed, 0. The usual "Winograd"
matrices (Lavin & Gray, arXiv 1509.09308) have small rational points and lose digits with every
point. The matrices here keep the precision of float32 at any length. Gauss's method makes a
product of two complex values from three real products. All values are therefore real, and every
step is a matrix product.

In two dimensions, ``rows`` comes first. It takes the rows of an image to their values at the
points: a real value, or a real and an imaginary part. ``columns`` then does the same along each
row, real or complex.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Transforms(NamedTuple):
    """Float64 matrices for one length of outputs and taps.

    Attributes:
        data: (R, n), applied to the data.
        taps: (R, k), applied to the kernel.
        products: (R, m); its transpose, applied to the products, gives the outputs.
    """

    data: Tensor
    taps: Tensor
    products: Tensor


@lru_cache(maxsize=256)
def rows(outputs: int, taps: int) -> tuple[Transforms, tuple[int, ...]]:
    """Make the matrices along y.

    The matrices are cached: do not modify them.

    Args:
        outputs: m, number of outputs, at least 2.
        taps: k, number of taps of the kernel, at least 2.

    Returns:
        The matrices, with R = n rows, and how the rows belong together. A 1 stands for a row of its
            own, a real value. A 2 stands for the two parts of a complex value. The first row is
            the value at the point 1.

    Raises:
        ValueError: If ``outputs`` or ``taps`` is less than 2.

    Examples:
        Three taps on a piece of six values give four outputs:

        >>> import torch
        >>> from cpm_plugin.core.conv.bilinear import rows
        >>> matrices, blocks = rows(outputs=4, taps=3)
        >>> blocks
        (1, 1, 1, 1, 2)
        >>> [tuple(matrix.shape) for matrix in matrices]
        [(6, 6), (6, 3), (6, 4)]
    """
    real, pairs = _kinds(outputs + taps - 1)

    def parts(values: Tensor) -> Tensor:
        return torch.cat([values[real].real, _interleave(values[pairs].real, values[pairs].imag)])

    back = _interpolate(outputs + taps - 1).T  # (points, n)
    data = torch.cat([back[real].real, _interleave(2 * back[pairs].real, -2 * back[pairs].imag)])
    matrices = _transforms(outputs, taps, parts, data)
    return matrices, (1,) * len(real) + (2,) * len(pairs)


@lru_cache(maxsize=256)
def columns(outputs: int, taps: int, block: int) -> Transforms:
    """Make the matrices along x, for one row of ``rows`` or for two rows that form a complex one.

    For a complex row there are twice as many data, taps and outputs: first all real parts, then
    all imaginary parts. The first product is that of the values at the point 1. The matrices are
    cached: do not modify them.

    Args:
        outputs: m, number of outputs, at least 2.
        taps: k, number of taps of the kernel, at least 2.
        block: 1 for a real row, 2 for a complex row.

    Returns:
        The matrices. R is about 1.5 n for a real row and 3 n for a complex one.

    Raises:
        ValueError: If ``outputs`` or ``taps`` is less than 2.

    Examples:
        A correlation along one axis:

        >>> import torch
        >>> from cpm_plugin.core.conv.bilinear import columns
        >>> data, taps, products = columns(outputs=2, taps=3, block=1)
        >>> x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
        >>> w = torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
        >>> (products.T @ ((data @ x) * (taps @ w))).round(decimals=6).tolist()
        [7.0, 10.0]
    """
    back = _interpolate(outputs + taps - 1).T
    if block == 2:
        # (r + i s) (re + i im) has the real part r re - s im and the imaginary part r im + s re.
        def whole(parts: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> Callable[..., Tensor]:
            def both(values: Tensor) -> Tensor:
                re = torch.cat([values.real, -values.imag], dim=1)
                im = torch.cat([values.imag, values.real], dim=1)
                return _interleave(*parts(re, im))

            return both

        re = torch.cat([back.real, back.imag], dim=1)
        im = torch.cat([-back.imag, back.real], dim=1)
        return _transforms(
            outputs, taps, whole(_of_taps), _interleave(*_of_products(re, im)), whole(_of_outputs)
        )
    real, pairs = _kinds(outputs + taps - 1)

    def half(parts: Callable[[Tensor, Tensor], tuple[Tensor, ...]]) -> Callable[..., Tensor]:
        def both(values: Tensor) -> Tensor:
            three = _interleave(*parts(values[pairs].real, values[pairs].imag))
            return torch.cat([values[real].real, three])

        return both

    three = _interleave(*_of_products(2 * back[pairs].real, -2 * back[pairs].imag))
    data = torch.cat([back[real].real, three])
    return _transforms(outputs, taps, half(_of_taps), data, half(_of_outputs))


# Gauss: let k1 = w_re (x_re + x_im), k2 = x_re (w_im - w_re) and k3 = x_im (w_im + w_re). The
# product then has the real part k1 - k3 and the imaginary part k1 + k2.
def _of_taps(re: Tensor, im: Tensor) -> tuple[Tensor, ...]:
    """Return the factors w of k1, k2 and k3."""
    return re, im - re, im + re


def _of_outputs(re: Tensor, im: Tensor) -> tuple[Tensor, ...]:
    """Return the factors x of k1, k2 and k3."""
    return re + im, re, im


def _of_products(re: Tensor, im: Tensor) -> tuple[Tensor, ...]:
    """Weights of k1, k2 and k3, where the parts of the product have the weights re and im."""
    return re + im, im, -re


def _transforms(
    outputs: int,
    taps: int,
    of_taps: Callable[[Tensor], Tensor],
    data: Tensor,
    of_outputs: Callable[[Tensor], Tensor] | None = None,
) -> Transforms:
    """Turn a product of polynomials into a correlation.

    The polynomials have ``outputs`` and ``taps`` coefficients. By the transposition principle, the
    correlation has the matrices of the product with data and interpolation exchanged.
    """
    length = outputs + taps - 1
    return Transforms(
        data=data.contiguous(),
        taps=of_taps(_evaluate(taps, length)),
        products=(of_outputs or of_taps)(_evaluate(outputs, length)),
    )


def _interleave(*matrices: Tensor) -> Tensor:
    """Stack the rows of matrices alternately."""
    return torch.stack(matrices, dim=1).flatten(0, 1)


def _roots(length: int) -> int:
    """Return the number of roots of unity among the points, an even number.

    Infinity is one more point. If still one is missing, 0 is the last.
    """
    return length - 2 + length % 2


def _kinds(length: int) -> tuple[list[int], list[int]]:
    """Return the indices of the real points, 1 first, and of one point of each complex pair."""
    roots = _roots(length)
    return [0, roots // 2, *range(roots, length)], list(range(1, roots // 2))


def _evaluate(coefficients: int, length: int) -> Tensor:
    """Evaluate a polynomial at the roots of unity, infinity and 0.

    Args:
        coefficients: Number of coefficients of the polynomial.
        length: n, number of points.

    Returns:
        (length, coefficients), complex.

    Raises:
        ValueError: If there are fewer than two outputs or taps.
    """
    if min(coefficients, length + 1 - coefficients) < 2:
        raise ValueError(
            f'{coefficients} and {length + 1 - coefficients} outputs and taps: must be at least 2'
        )
    roots = _roots(length)
    values = torch.zeros(length, coefficients, dtype=torch.complex128)
    values[:roots] = _powers(roots)[:, torch.arange(coefficients) % roots]
    values[roots, -1] = 1
    values[roots + 1 :, 0] = 1
    return values


def _powers(roots: int) -> Tensor:
    """Return the powers of each root of unity: (roots, roots), complex."""
    numbers = torch.arange(roots, dtype=torch.float64)
    angles = 2 * torch.pi / roots * (numbers[:, None] * numbers % roots)
    return torch.polar(torch.ones_like(angles), angles)


def _interpolate(length: int) -> Tensor:
    """Make the matrix from the values of a product at the points to its coefficients.

    Args:
        length: n, number of points and of coefficients.

    Returns:
        (length, length), complex.
    """
    roots = _roots(length)
    result = torch.zeros(length, length, dtype=torch.complex128)
    result[:roots, :roots] = _powers(roots).conj() / roots
    # Roots of unity give the product modulo x^roots - 1: the coefficients from `roots` on are
    # added to the first ones. The last coefficient is known from infinity, the first from 0.
    result[-1, roots] = 1
    result[length - 1 - roots, roots] -= 1
    if length - roots == 2:
        result[roots] = result[0]
        result[roots, roots + 1] = -1
        result[0] = 0
        result[0, roots + 1] = 1
    return result
