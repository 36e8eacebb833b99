"""Max-convolution of score maps with quadratic costs, by the generalized distance transform.

Source: Felzenszwalb & Huttenlocher, "Distance Transforms of Sampled Functions" (Theory of Computing
8, 2012, pages 415-428), section 2. It is exact, and its time is linear in the number of cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray

IntArray = npt.NDArray[np.int64]


class Convolved(NamedTuple):
    """Result of ``max_convolve``.

    Attributes:
        values: (..., h, w), the largest score less cost that each cell can get.
        rows: (..., h, w), row of the cell that gives it.
        columns: (..., h, w), column of the cell that gives it.
    """

    values: FloatArray
    rows: IntArray
    columns: IntArray


def max_convolve(scores: npt.ArrayLike, means: npt.ArrayLike, costs: npt.ArrayLike) -> Convolved:
    """Find for each cell the best other cell, whose cost grows with the square of its offset.

    For a cell (x, y) it is the largest value, over all cells (x', y') of the map, of
    ``scores[y', x'] - a (x' - x - mx)^2 - b (y' - y - my)^2``. The cell (x, y) + (mx, my), where
    there is no cost, may lie between cells or outside the map.

    Args:
        scores: (..., h, w), finite.
        means: (..., 2), the offset (mx, my) without cost in cells. Leading dimensions are
            broadcast with those of ``scores``.
        costs: (..., 2), a and b, positive, per square of a cell.

    Returns:
        The values, and the cells that give them. Of equally good cells it is any.

    Raises:
        ValueError: If shapes do not fit, a score or mean is not finite, or a cost is not positive.

    Examples:
        The cell 0 has the score 0, and takes 5 - 1 (2 - 0 - 1)^2 from the cell 2:

        >>> from cpm_plugin.core.structure import max_convolve
        >>> found = max_convolve([[0.0, 0.0, 5.0]], means=(1, 0), costs=(1, 1))
        >>> found.values, found.columns
        (array([[4., 5., 4.]]), array([[2, 2, 2]]))
    """
    maps = np.asarray(scores, dtype=np.float64)
    offsets, weights = (np.asarray(one, dtype=np.float64) for one in (means, costs))
    pairs = offsets.shape[-1:] == weights.shape[-1:] == (2,)
    if maps.ndim < 2 or 0 in maps.shape[-2:] or not pairs:
        raise ValueError(
            f'scores {maps.shape}, means {offsets.shape} and costs {weights.shape}: expected '
            '(..., height, width), (..., 2) and (..., 2)'
        )
    for name, array in (('scores', maps), ('means', offsets), ('costs', weights)):
        if not np.isfinite(array).all():
            raise ValueError(f'{name} have {array[~np.isfinite(array)][0]}; all must be finite')
    if not (weights > 0).all():
        raise ValueError(f'costs have {weights.min()}; a cost must be positive')
    height, width = maps.shape[-2:]
    lead = np.broadcast_shapes(maps.shape[:-2], offsets.shape[:-1], weights.shape[:-1])
    maps = np.broadcast_to(maps, (*lead, height, width))
    along_x, along_y = (
        [np.broadcast_to(one[..., axis], lead)[..., None] for one in (offsets, weights)]
        for axis in (0, 1)
    )
    # The cost is a sum over the axes, so that one follows the other.
    values, from_x = _along_lines(maps, *along_x)
    values, from_y = _along_lines(values.swapaxes(-1, -2), *along_y)
    rows = from_y.swapaxes(-1, -2)
    columns = np.take_along_axis(from_x, rows, axis=-2)
    return Convolved(np.ascontiguousarray(values.swapaxes(-1, -2)), rows, columns)


def _along_lines(
    scores: FloatArray, means: FloatArray, costs: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Do the same along the last axis.

    Args:
        scores: (..., lines, n).
        means: (..., 1).
        costs: (..., 1).

    Returns:
        Values and indices of the cells that give them, both (..., lines, n).
    """
    shape, length = scores.shape, scores.shape[-1]
    flat = scores.reshape(-1, length)
    mean, cost = (np.broadcast_to(one, shape[:-1]).reshape(-1) for one in (means, costs))
    peaks, starts = _envelope(flat, cost)
    index = np.arange(len(flat))
    part = np.zeros(len(flat), dtype=np.int64)
    found = np.empty(flat.shape, dtype=np.int64)
    for cell in range(length):
        behind = index
        while len(behind := behind[starts[behind, part[behind] + 1] < cell + mean[behind]]):
            part[behind] += 1
        found[:, cell] = peaks[index, part]
    distances = found - np.arange(length) - mean[:, None]
    values = flat[index[:, None], found] - cost[:, None] * distances**2
    return values.reshape(shape), found.reshape(shape)


def _envelope(flat: FloatArray, cost: FloatArray) -> tuple[IntArray, FloatArray]:
    """Find the upper envelope of the parabolas ``flat[r, q] - cost[r] (x - q)^2`` of each line.

    All lines take the parabola q at once. A parabola is put on a line once and removed at most
    once, so the work is linear in the number of cells.

    Returns:
        (R, n), the peaks of the parabolas from left to right, and (R, n + 1), where each begins to
            be the largest. After the last one there is infinity.
    """
    count, length = flat.shape
    peaks = np.zeros((count, length), dtype=np.int64)
    starts = np.full((count, length + 1), np.inf)
    starts[:, 0] = -np.inf
    top = np.zeros(count, dtype=np.int64)
    raised = flat - cost[:, None] * np.arange(length) ** 2
    for cell in range(1, length):
        lines = np.arange(count)
        while len(lines):
            last = top[lines]
            peak = peaks[lines, last]
            gain = raised[lines, peak] - raised[lines, cell]
            crossing = gain / (2 * cost[lines] * (cell - peak))
            hidden = crossing <= starts[lines, last]
            new, place = lines[~hidden], last[~hidden] + 1
            top[new] = place
            peaks[new, place] = cell
            starts[new, place] = crossing[~hidden]
            starts[new, place + 1] = np.inf
            lines = lines[hidden]
            top[lines] -= 1
    return peaks, starts
