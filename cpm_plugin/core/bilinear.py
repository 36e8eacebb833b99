"""Short correlations with fewer multiplications: three small matrices.

A correlation of k taps with a piece of n = m + k - 1 values has m outputs::

    y[j] = sum_i w[i] x[j + i]  =  products.T @ ((data @ x) * (taps @ w))

with R multiplications between x and w instead of m k. It is exact: the matrices evaluate two
polynomials at R points, multiply the values and interpolate the product. The points are the
roots of unity, and 0 and infinity to make up the length; unlike the small rational points of
the usual "Winograd" matrices (Lavin & Gray, arXiv 1509.09308), which lose digits with every
point, they keep float32's precision at any length. A product of two complex values is made by
Gauss's three real multiplications, so all is real and every step is a matrix product.

In two dimensions the same is done along rows and along columns.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Transforms(NamedTuple):
    """Float64 matrices of one length; R multiplications for m outputs of k taps.

    Args:
        data: (R, m + k - 1), of the data.
        taps: (R, k), of the kernel.
        products: (R, m), transposed: of the products, gives the outputs.
    """

    data: Tensor
    taps: Tensor
    products: Tensor


@lru_cache(maxsize=256)
def transforms(outputs: int, taps: int) -> Transforms:
    """Matrices for ``outputs`` values of a correlation with ``taps`` taps. Do not modify them.

    Raises:
        ValueError: unless both are at least 2.
    """
    if outputs < 2 or taps < 2:
        raise ValueError(f'outputs={outputs} and taps={taps} must be at least 2')
    length = outputs + taps - 1
    # An even number of roots of unity; 0 too and infinity make up the length.
    roots = length - 2 + length % 2
    with_zero = length - roots == 2
    # Of the product of polynomials with `outputs` and `taps` coefficients to the correlation:
    # the transposition principle exchanges the data's matrix and that of the interpolation.
    return Transforms(
        data=_interpolate(length, roots, with_zero).T.contiguous(),
        taps=_evaluate(taps, roots, with_zero, parts=lambda re, im: (re, im - re, im + re)),
        products=_evaluate(outputs, roots, with_zero, parts=lambda re, im: (re + im, re, im)),
    )


def _angles(length: int, roots: int) -> Tensor:
    """(roots / 2 - 1, length): angles of the powers of each complex root of a pair."""
    numbers = torch.arange(1, roots // 2, dtype=torch.float64)
    powers = torch.arange(length, dtype=torch.float64)
    return 2 * math.pi / roots * numbers[:, None] * powers


def _evaluate(length: int, roots: int, with_zero: bool, parts) -> Tensor:  # type: ignore[no-untyped-def]
    """(R, length): a polynomial's coefficients -> its values at 1, -1, the complex roots (three
    ``parts`` each, for Gauss's products), infinity and 0."""
    ones = torch.ones(1, length, dtype=torch.float64)
    signs = (-1.0) ** torch.arange(length, dtype=torch.float64)[None]
    angles = _angles(length, roots)
    three = torch.stack(parts(angles.cos(), angles.sin()), dim=1).flatten(0, 1)
    ends = torch.zeros(1 + with_zero, length, dtype=torch.float64)
    ends[0, -1] = 1
    if with_zero:
        ends[1, 0] = 1
    return torch.cat([ones, signs, three, ends])


def _interpolate(length: int, roots: int, with_zero: bool) -> Tensor:
    """(length, R): products of the values -> coefficients of the product."""
    powers = torch.arange(roots, dtype=torch.float64)
    angles = _angles(roots, roots).T
    # With k1 = w_re (x_re + x_im), k2 = x_re (w_im - w_re), k3 = x_im (w_im + w_re) the product
    # is k1 - k3 + i (k1 + k2); a pair of roots gives 2 (re cos + im sin) of it.
    three = torch.stack([angles.cos() + angles.sin(), angles.sin(), -angles.cos()], dim=2)
    cyclic = torch.cat(
        [
            torch.ones(roots, 1, dtype=torch.float64),
            (-1.0) ** powers[:, None],
            2 * three.flatten(1),
        ],
        dim=1,
    )
    # Roots of unity give the product modulo x^roots - 1: the coefficients from `roots` on come
    # down on the first ones. The last is known from infinity, the first from 0.
    result = torch.zeros(length, cyclic.shape[1] + 1 + with_zero, dtype=torch.float64)
    result[:roots, : cyclic.shape[1]] = cyclic / roots
    last = cyclic.shape[1]
    result[length - 1, last] = 1
    result[length - 1 - roots, last] -= 1
    if with_zero:
        result[roots] = result[0]
        result[roots, last + 1] = -1
        result[0] = 0
        result[0, last + 1] = 1
    return result
