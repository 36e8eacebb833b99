"""Choice between direct, tiled and row-Fourier convolution, and of the size of the tiles.

The choice comes from a model of the time, not from a measurement at run time. The same sizes have
the same choice in every run, so that a seed gives the same numbers. The model counts the
operations of ``tiled`` and multiplies them by times that were measured on a CPU. Its error there
is a factor of 0.7 to 2.1, where the times of the two methods differ by a factor of up to 7. For
training, it counts the transform of the kernel once, although there is one for each group of
tiles. No GPU has been measured: ``auto`` is ``direct`` there, and ``fourier`` is taken only where
it is asked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .fourier_matrices import Row, row_of
from .tile_grid import Tile

METHODS = ('auto', 'direct', 'tiled', 'fourier')

# Milliseconds for 1e9 of each of what `costs` counts. tools/dev/fit_conv_choice.py fits them to
# results/conv_layers.csv: 21 layers and up to 6 tiles each, float32, 2 cores of an AMD EPYC
# (Zen 4), torch 2.13. _KEPT: forward, with kept weights. _STEP: a training step, forward and
# backward.
_KEPT = (5.27, 10.5, 207.0, 890.0, 134e6)
_STEP = (24.4, 31.7, 4150.0, 2080.0, 755e6)
# The same for the products of a direct convolution.
_DIRECT_FORWARD, _DIRECT_STEP = 8.4, 26.5
# The direct convolution stays where tiles would save less than a fifth of the time, since the
# model is not exact.
_WORTH = 0.8
# Smallest kernel for which `auto` chooses tiles.
_LEAST_SIZE = 5
_LONGEST_TILE = 24
# Fewest channels, in and out, for row-Fourier. Not measured: with fewer, as in the first layer of a
# CPM, the products are few beside the values that are moved.
_LEAST_CHANNELS = 16


def check_method(method: str) -> None:
    """Check the name of a method.

    Args:
        method: Name to check.

    Raises:
        ValueError: If it is not in ``METHODS``; the message lists them.
    """
    if method not in METHODS:
        shown = repr(method) if isinstance(method, str) else f'of type {type(method).__name__}'
        raise ValueError(
            f'method {shown} of a convolution (conv_method of a model): there are '
            f'{", ".join(METHODS)}'
        )


class Choice(NamedTuple):
    """How a convolution is computed, and the times that the model estimates.

    Attributes:
        tile: Size of the tiles, or None for the direct convolution.
        direct_ms: Estimated time of the direct convolution in milliseconds.
        tiled_ms: Estimated time in milliseconds with the best tile; infinite if there is none.
        row: Pieces of the rows of a row-Fourier convolution, or None.
    """

    tile: Tile | None
    direct_ms: float
    tiled_ms: float
    row: Row | None = None

    def __str__(self) -> str:
        if self.row is not None:
            return f'row-Fourier by {self.row.outputs} (no estimate of the time)'
        way = 'direct' if self.tile is None else f'tiles of {self.tile.rows}x{self.tile.columns}'
        return f'{way} (estimated: direct {self.direct_ms:.3g} ms, tiled {self.tiled_ms:.3g} ms)'


def costs(
    input_shape: tuple[int, ...], weight_shape: tuple[int, ...], tile: Tile
) -> tuple[int, int, int, int, int]:
    """Count the operations of a forward pass by tiles.

    Args:
        input_shape: (N, C, H, W).
        weight_shape: (D, C, k, k).
        tile: Size of the tiles.

    Returns:
        Numbers of products of data and kernel, products in the transforms of the data, values of
            the transformed kernel, values moved, and blocks.
    """
    images, channels, height, width = input_shape
    outputs, size = weight_shape[0], weight_shape[2]
    (m1, m2), overlap = tile, size - 1
    down, across = -(-height // m1), -(-width // m2)
    tiles = images * down * across
    rows, real, pairs = _blocks(m1 + overlap)
    _, real_columns, pairs_of_columns = _blocks(m2 + overlap)
    of_real = real * (real_columns + 3 * pairs_of_columns)
    of_pairs = pairs * 3 * (m2 + overlap)
    products = of_real + of_pairs
    banded = images * down * rows * (across * m2 + overlap) * channels
    results = images * down * rows * across * m2 * outputs
    return (
        tiles * products * channels * outputs,
        banded * (m1 + overlap)
        + tiles * (of_real + 2 * of_pairs) * ((m2 + overlap) * channels + m2 * outputs)
        + results * m1,
        products * channels * outputs,
        banded + results + tiles * products * (channels + outputs),
        real + pairs,
    )


def _blocks(length: int) -> tuple[int, int, int]:
    """Return the numbers of rows, of real rows and of pairs of rows in ``bilinear.rows``."""
    roots = length - 2 + length % 2
    return length, 2 + length - roots, roots // 2 - 1


def _tiled_ms(
    input_shape: tuple[int, ...], weight_shape: tuple[int, ...], tile: Tile, training: bool
) -> float:
    """Estimate the time by tiles in milliseconds."""
    pace = _STEP if training else _KEPT
    counts = costs(input_shape, weight_shape, tile)
    return sum(cost * count for cost, count in zip(pace, counts)) * 1e-9


def _lengths(side: int, size: int) -> list[int]:
    """Return lengths of tiles that cover a side evenly, one for each number of tiles."""
    longest = min(_LONGEST_TILE, max(side, 2))
    fewest = -(-side // longest)
    lengths = {-(-side // number) for number in range(fewest, fewest + 12)}
    return [length for length in lengths if length >= max(4, size // 2)] or [longest]


def fits_fourier(weight_shape: tuple[int, ...]) -> bool:
    """Tell whether a kernel is one for a row-Fourier convolution.

    Args:
        weight_shape: (D, C, k, k) of the kernel; k is odd.

    Returns:
        Whether it has at least 5x5 taps, and 16 channels in and out.
    """
    return weight_shape[2] >= _LEAST_SIZE and min(weight_shape[:2]) >= _LEAST_CHANNELS


@lru_cache(maxsize=1024)
def choose(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    *,
    training: bool,
    method: str = 'auto',
    device: str = 'cpu',
) -> Choice:
    """Choose how to compute a convolution with stride 1 that keeps the size.

    Args:
        input_shape: (N, C, H, W) of the input.
        weight_shape: (D, C, k, k) of the kernel; k is odd.
        training: Estimate a forward and a backward pass, with weights that change. If False,
            estimate a forward pass with weights that are kept.
        method: ``'auto'`` for the faster of direct and tiled, ``'direct'``, ``'tiled'`` for the
            fastest tile even where the direct convolution is estimated to be faster, or
            ``'fourier'`` for row-Fourier where ``fits_fourier`` is true, else direct.
        device: Type of the device, such as ``'cpu'`` or ``'cuda'``.

    Returns:
        The choice and the estimated times. It is direct for kernels smaller than 3 and for empty
            inputs, whatever the method.

    Raises:
        ValueError: If the method is unknown.

    Examples:
        >>> from cpm_plugin.core.conv import choose
        >>> choose((1, 128, 46, 46), (128, 128, 11, 11), training=False).tile is None
        False
        >>> choose((1, 128, 46, 46), (128, 128, 1, 1), training=False).tile is None
        True
    """
    check_method(method)
    images, channels, height, width = input_shape
    outputs, size = weight_shape[0], weight_shape[2]
    products = images * height * width * channels * outputs * size**2
    direct = (_DIRECT_STEP if training else _DIRECT_FORWARD) * products * 1e-9
    if size < 3 or products == 0:
        return Choice(None, direct, float('inf'))
    if method == 'fourier':
        row = row_of(width, size) if fits_fourier(weight_shape) else None
        return Choice(None, direct, float('inf'), row)
    tiles = [
        Tile(rows, columns) for rows in _lengths(height, size) for columns in _lengths(width, size)
    ]
    times = {tile: _tiled_ms(input_shape, weight_shape, tile, training) for tile in tiles}
    # Of the tiles that are nearly as fast, take the one whose kept kernel needs the least memory.
    slack = 1.0 if training else 1.05
    good = [tile for tile in tiles if times[tile] <= slack * min(times.values())]
    tile = min(good, key=lambda tile: costs(input_shape, weight_shape, tile)[2])
    tiled = times[tile]
    wanted = method == 'tiled' or (
        method == 'auto' and device == 'cpu' and size >= _LEAST_SIZE and tiled < _WORTH * direct
    )
    return Choice(tile if wanted else None, direct, tiled)
