"""Which way a convolution goes: directly, or by tiles of which size.

A choice is a model's, not a stopwatch's: the same sizes get the same way in every run, so
that a seed gives the same numbers. The model counts what :mod:`.tiled_conv` does, at the pace
measured on a CPU; it errs by a factor of 0.5 to 1.5 there, where the two ways differ by up to
six. A GPU has not been measured: ``auto`` is ``direct`` there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .tile_grid import Tile

METHODS = ('auto', 'direct', 'tiled')

# Milliseconds for 1e9 of each, fitted to 18 layers and up to 10 tiles each, float32, 2 cores
# of an AMD EPYC (Zen 4): products at the points, products of the data's transforms, points of
# the kernel, values moved; and for each point along y. With kept weights, and for a step of
# training, forward and backward.
_KEPT = (3.6, 28.0, 146.0, 573.0, 0.031e6)
_STEP = (24.7, 89.0, 2182.0, 1236.0, 0.250e6)
# The same for the products of a direct convolution.
_DIRECT_FORWARD, _DIRECT_STEP = 8.4, 27.0
# Smallest kernel that is tried: with 3x3 direct was faster at all sizes.
_LEAST_SIZE = 5
_LONGEST_TILE = 18


class Choice(NamedTuple):
    """How a convolution goes, and what the model expects.

    Args:
        tile: None: directly.
        direct_ms, tiled_ms: modelled times of the direct way and of the best tile.
    """

    tile: Tile | None
    direct_ms: float
    tiled_ms: float

    def __str__(self) -> str:
        way = 'direct' if self.tile is None else f'tiles of {self.tile.rows}x{self.tile.columns}'
        return f'{way} (model: direct {self.direct_ms:.3g} ms, tiled {self.tiled_ms:.3g} ms)'


def _points(outputs: int, taps: int) -> int:
    """R, the rows of the matrices that ``transforms(outputs, taps)`` gives."""
    length = outputs + taps - 1
    roots = length - 2 + length % 2
    return 3 * (roots // 2) - 1 + length - roots


def _tiled_ms(
    input_shape: tuple[int, ...], weight_shape: tuple[int, ...], tile: Tile, training: bool
) -> float:
    pictures, channels, height, width = input_shape
    outputs, size = weight_shape[0], weight_shape[2]
    (m1, m2), overlap = tile, size - 1
    down, across = -(-height // m1), -(-width // m2)
    tiles = pictures * down * across
    r1, r2 = _points(m1, size), _points(m2, size)
    banded = pictures * down * r1 * (across * m2 + overlap) * channels
    results = pictures * down * r1 * across * m2 * outputs
    counts = (
        tiles * r1 * r2 * channels * outputs,
        banded * (m1 + overlap)
        + tiles * r1 * r2 * ((m2 + overlap) * channels + m2 * outputs)
        + results * m1,
        r1 * r2 * channels * outputs,
        banded + results + tiles * r1 * r2 * (channels + outputs),
        r1,
    )
    pace = _STEP if training else _KEPT
    return sum(cost * count for cost, count in zip(pace, counts)) * 1e-9


def _lengths(side: int, size: int) -> list[int]:
    """Tiles that cover a side evenly, one for each number of them."""
    longest = min(_LONGEST_TILE, max(side, 2))
    fewest = -(-side // longest)
    lengths = {-(-side // number) for number in range(fewest, fewest + 12)}
    return [length for length in lengths if length >= max(4, size // 2)] or [longest]


@lru_cache(maxsize=1024)
def choose(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    *,
    training: bool,
    method: str = 'auto',
    device: str = 'cpu',
) -> Choice:
    """The way for an input (N, C, H, W) and a kernel (D, C, k, k), odd, stride 1, size kept.

    Args:
        training: a forward and a backward pass, with weights that change; else a forward
            pass with weights that are kept.
        method: ``auto``: the faster one; ``direct``; ``tiled``: the fastest tile even where
            the model finds direct faster.
        device: a type of device.

    Raises:
        ValueError: for another method.
    """
    if method not in METHODS:
        raise ValueError(f'method {method!r}: there are {", ".join(METHODS)}')
    pictures, channels, height, width = input_shape
    outputs, size = weight_shape[0], weight_shape[2]
    products = pictures * height * width * channels * outputs * size**2
    direct = (_DIRECT_STEP if training else _DIRECT_FORWARD) * products * 1e-9
    if size < 3 or products == 0:
        return Choice(None, direct, float('inf'))
    tiled, tile = min(
        (_tiled_ms(input_shape, weight_shape, Tile(rows, columns), training), Tile(rows, columns))
        for rows in _lengths(height, size)
        for columns in _lengths(width, size)
    )
    wanted = method == 'tiled' or (
        method == 'auto' and device == 'cpu' and size >= _LEAST_SIZE and tiled < direct
    )
    return Choice(tile if wanted else None, direct, tiled)
