"""Correlations with fewer multiplications: small matrices.

A correlation of k taps with a piece of n = m + k - 1 values has m outputs::

    y[j] = sum_i w[i] x[j + i]  =  products.T @ ((data @ x) * (taps @ w))

with about 1.5 n multiplications between x and w instead of m k. It is exact: the matrices
evaluate two polynomials at n points, multiply the values and interpolate the product. The
points are roots of unity, infinity and, to make up the length, 0. Unlike the small rational
points of the usual "Winograd" matrices (Lavin & Gray, arXiv 1509.09308), which lose digits with
every point, they keep float32's precision at any length. A product of two complex values is
made by Gauss's three real ones, so all is real and every step is a matrix product.

In two dimensions ``rows`` comes first: it takes an image's rows to values at the points,
real ones, or a real and an imaginary part. ``columns`` then does the same along each
row, a real one or a complex one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Transforms(NamedTuple):
    """Float64 matrices of one length.

    Args:
        data: (R, n), of the data.
        taps: (R, k), of the kernel.
        products: (R, m), transposed: of the products, gives the outputs.
    """

    data: Tensor
    taps: Tensor
    products: Tensor


@lru_cache(maxsize=256)
def rows(outputs: int, taps: int) -> tuple[Transforms, tuple[int, ...]]:
    """Matrices of n rows, and how they belong together: 1 is a row of its own, a real value, 2
    are the parts of a complex one. The first row is the value at 1. Do not modify them.

    Raises:
        ValueError: unless both arguments are at least 2.
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
    """Matrices for a row of ``rows``, or for two that are a complex one: its data, taps and
    outputs are then twice as many, first all real parts, then all imaginary ones. The first
    product is that of the values at 1. Do not modify them.

    Raises:
        ValueError: unless outputs and taps are at least 2.
    """
    back = _interpolate(outputs + taps - 1).T
    if block == 2:
        # (r + i s) (re + i im) has the real part r re - s im and the imaginary r im + s re
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


# Gauss: of k1 = w_re (x_re + x_im), k2 = x_re (w_im - w_re) and k3 = x_im (w_im + w_re), the
# product has the real part k1 - k3 and the imaginary k1 + k2.
def _of_taps(re: Tensor, im: Tensor) -> tuple[Tensor, ...]:
    return re, im - re, im + re


def _of_outputs(re: Tensor, im: Tensor) -> tuple[Tensor, ...]:
    return re + im, re, im


def _of_products(re: Tensor, im: Tensor) -> tuple[Tensor, ...]:
    """What k1, k2 and k3 count where the product's parts count re and im."""
    return re + im, im, -re


def _transforms(
    outputs: int,
    taps: int,
    of_taps: Callable[[Tensor], Tensor],
    data: Tensor,
    of_outputs: Callable[[Tensor], Tensor] | None = None,
) -> Transforms:
    """Of the product of polynomials with ``outputs`` and ``taps`` coefficients to the
    correlation: the transposition principle exchanges data and interpolation."""
    length = outputs + taps - 1
    return Transforms(
        data=data.contiguous(),
        taps=of_taps(_evaluate(taps, length)),
        products=(of_outputs or of_taps)(_evaluate(outputs, length)),
    )


def _interleave(*matrices: Tensor) -> Tensor:
    return torch.stack(matrices, dim=1).flatten(0, 1)


def _roots(length: int) -> int:
    """An even number of roots of unity; infinity and, where it is one less, 0 make it up."""
    return length - 2 + length % 2


def _kinds(length: int) -> tuple[list[int], list[int]]:
    """Points with real values, 1 first, and one of each pair of complex ones."""
    roots = _roots(length)
    return [0, roots // 2, *range(roots, length)], list(range(1, roots // 2))


def _evaluate(coefficients: int, length: int) -> Tensor:
    """(length, coefficients): values of a polynomial at the roots of unity, infinity and 0."""
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
    """(roots, roots): powers of each root of unity."""
    numbers = torch.arange(roots, dtype=torch.float64)
    angles = 2 * torch.pi / roots * (numbers[:, None] * numbers % roots)
    return torch.polar(torch.ones_like(angles), angles)


def _interpolate(length: int) -> Tensor:
    """(length, length): values of the product at the points -> its coefficients."""
    roots = _roots(length)
    result = torch.zeros(length, length, dtype=torch.complex128)
    result[:roots, :roots] = _powers(roots).conj() / roots
    # Roots of unity give the product modulo x^roots - 1: the coefficients from `roots` on come
    # down on the first ones. The last is known from infinity, the first from 0.
    result[-1, roots] = 1
    result[length - 1 - roots, roots] -= 1
    if length - roots == 2:
        result[roots] = result[0]
        result[roots, roots + 1] = -1
        result[0] = 0
        result[0, roots + 1] = 1
    return result
