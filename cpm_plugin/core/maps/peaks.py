"""Peaks of belief maps that show several people: as many in a map as there are people."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from .belief_maps import as_array, refine_peaks
from .geometry import FloatArray, cell_to_pixel

IntArray = npt.NDArray[np.int64]

# getPoseDefaultNmsThreshold in OpenPose's poseParameters.cpp, for COCO's joints. The release of
# the CVPR paper has 0.1 (thre1 in testing/python/config), OpenPose has 0.6 for MPII's joints.
PEAK_THRESHOLD = 0.05
# POSE_MAX_PEOPLE in OpenPose's poseParameters.hpp.
MAX_PEAKS = 127

# The eight cells around a cell, as (row, column).
_AROUND = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)])


class Peaks(NamedTuple):
    """M peaks of K belief maps, sorted by map, and those of one map by falling score.

    Attributes:
        positions: (M, 2), x and y in input pixels.
        scores: (M,), the belief at the cell of the peak.
        joints: (M,), the map of each peak, 0 to K - 1.
    """

    positions: FloatArray
    scores: FloatArray
    joints: IntArray


def find_peaks(
    heatmaps: npt.ArrayLike | torch.Tensor,
    *,
    stride: int = 8,
    threshold: float = PEAK_THRESHOLD,
    max_peaks: int = MAX_PEAKS,
) -> Peaks:
    """Find the peaks of belief maps: cells with a larger belief than the eight cells around them.

    Positions lie between cells, as those of ``decode_peaks``. Equal cells side by side with none
    larger around them, a plateau, are one peak. It is at the cell nearest to their middle.

    Args:
        heatmaps: (K, H, W), without the background channel. A tensor may have any type and
            device; a gradient does not pass.
        stride: Input pixels per cell.
        threshold: A peak has a larger belief than this. The default is OpenPose's.
        max_peaks: The largest number of peaks of a map; the strongest are kept. The default is
            OpenPose's, which keeps the topmost.

    Returns:
        The peaks of all maps; see ``Peaks``.

    Raises:
        ValueError: If the maps are not (K, H, W), are empty or not finite, or ``max_peaks`` is
            below 1.

    Examples:
        Two people, of whom one shows the second joint:

        >>> from cpm_plugin.core.maps import find_peaks, ideal_belief_maps
        >>> points = [[[12.0, 20.0], [30.0, 40.0]], [[50.0, 44.0], [0.0, 0.0]]]
        >>> maps = ideal_belief_maps(points, [[1, 1], [1, 0]], size=(8, 8))
        >>> peaks = find_peaks(maps)
        >>> print(peaks.joints, *peaks.positions.round(3).tolist())
        [0 0 1] [12.0, 20.0] [50.0, 44.0] [30.0, 40.0]
    """
    maps = finite_maps(heatmaps, 'heatmaps')
    if max_peaks < 1:
        raise ValueError(f'max_peaks is {max_peaks}; it must be 1 or more')
    joints, rows, columns = _local_maxima(maps, threshold)
    scores = maps[joints, rows, columns]
    order = np.lexsort((-scores, joints))
    joints = joints[order]
    strongest = np.arange(len(order)) - np.searchsorted(joints, joints) < max_peaks
    order, joints = order[strongest], joints[strongest]
    cells = refine_peaks(maps, joints, rows[order], columns[order])
    return Peaks(cell_to_pixel(cells, stride), scores[order], joints)


def finite_maps(maps: npt.ArrayLike | torch.Tensor, name: str) -> FloatArray:
    """Check that maps are (C, H, W), have cells, and hold numbers.

    Args:
        maps: The maps.
        name: What to call them in an error.

    Returns:
        The maps in float64.

    Raises:
        ValueError: If they are not such maps.
    """
    array = as_array(maps)
    if array.ndim != 3 or 0 in array.shape[1:]:
        raise ValueError(f'{name} of shape {array.shape}: expected (channels, height, width)')
    if not np.isfinite(array).all():
        channel, row, column = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(
            f'{name} have {array[channel, row, column]} in channel {channel}, row {row}, column '
            f'{column}; all values must be finite'
        )
    return array


def _local_maxima(maps: FloatArray, threshold: float) -> tuple[IntArray, IntArray, IntArray]:
    """Find the cells of peaks; return their channels, rows and columns, in this order."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    largest = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    largest = np.maximum(np.maximum(largest[..., :-2], largest[..., 1:-1]), largest[..., 2:])
    channels, rows, columns = np.nonzero((maps == largest) & (maps > threshold))
    around = padded[
        channels[:, None], rows[:, None] + 1 + _AROUND[:, 0], columns[:, None] + 1 + _AROUND[:, 1]
    ]
    tied = (around == maps[channels, rows, columns][:, None]).any(axis=1)
    if not tied.any():
        return channels, rows, columns
    cells = np.stack([channels, rows, columns], axis=1)
    kept = [cells[~tied], *_plateaus(padded, cells[tied])]
    channels, rows, columns = np.concatenate(kept).T
    return channels, rows, columns


def _plateaus(padded: FloatArray, cells: IntArray) -> list[IntArray]:
    """Find the plateaus that cells belong to, and the cell nearest to the middle of each.

    Args:
        padded: (C, H + 2, W + 2), maps with a border of minus infinity.
        cells: (M, 3), channel, row and column of cells that have an equal neighbor but no larger
            one.

    Returns:
        (1, 3) for each plateau. Plateaus with a larger cell at their edge are left out.
    """
    found = []
    visited = set()
    steps = _AROUND.tolist()
    for channel, *first in cells.tolist():
        if (channel, *first) in visited:
            continue
        values = padded[channel]
        level = values[first[0] + 1, first[1] + 1]
        members, is_peak = [first], True
        visited.add((channel, *first))
        for row, column in members:  # which grows meanwhile
            for down, right in steps:
                y, x = row + down, column + right
                value = values[y + 1, x + 1]
                is_peak &= bool(value <= level)
                if value == level and (channel, y, x) not in visited:
                    visited.add((channel, y, x))
                    members.append([y, x])
        if is_peak:
            plateau = np.array(sorted(members))
            nearest = ((plateau - plateau.mean(axis=0)) ** 2).sum(axis=1).argmin()
            found.append(np.array([[channel, *plateau[nearest]]]))
    return found
