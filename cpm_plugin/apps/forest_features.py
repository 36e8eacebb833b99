"""Hand-made features of the cells of a crop, as a pose machine of forests takes them.

Image features are histograms of oriented gradients (HOG), colors and the place in the crop. Context
features are those of Ramakrishna et al., Pose Machines (ECCV 2014): beliefs in a patch around the
cell, and offsets to the peaks of each belief map. Cells are ``STRIDE`` pixels wide, and cell g is
centered as in ``cpm_plugin.core.maps.geometry``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..core.maps.geometry import cell_to_pixel
from ..core.maps.peaks import find_peaks

STRIDE = 8  # pixels of a cell, in both directions: the side of HOG's cells, too
BINS = 9  # directions of a gradient from 0 to 180 degrees; Dalal & Triggs (CVPR 2005) take 9
COLORS = 3  # L, a and b
CHANNELS = BINS + COLORS  # of ``cell_maps``


def cell_maps(crop: np.ndarray, margin: int) -> np.ndarray:
    """Describe each cell of a crop by its gradients and its color.

    A histogram is the mean of four: OpenCV normalizes each cell in the four blocks of 2x2 cells
    that it is in. Beyond the crop, its border is repeated.

    Args:
        crop: (H, W, 3) of uint8, BGR; the sides are multiples of ``STRIDE``.
        margin: Cells to add on every side, at least 0.

    Returns:
        (H / 8 + 2 margin, W / 8 + 2 margin, CHANNELS) in float16: the histogram of gradients in
            directions of 0 to 20 degrees, 20 to 40 ... 160 to 180, then the means of L, a and b,
            divided by 100.

    Raises:
        ValueError: If the crop is no such image, or OpenCV has no HOG.
    """
    height, width = crop.shape[:2]
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3:
        raise ValueError(f'a crop of shape {crop.shape} in {crop.dtype}: give (H, W, 3) of uint8')
    if height % STRIDE or width % STRIDE or not crop.size:
        raise ValueError(
            f'a crop of {width} x {height} pixels: both must be multiples of {STRIDE}, at least '
            f'{STRIDE}; choose another input_size'
        )
    if not hasattr(cv2, 'HOGDescriptor'):
        raise ValueError(
            f"OpenCV {cv2.__version__} has no HOGDescriptor; pip install 'opencv-python<5'"
        )
    border = STRIDE * (margin + 1)  # a cell more, so that those at the edge are in four blocks
    image = cv2.copyMakeBorder(
        np.ascontiguousarray(crop), border, border, border, border, cv2.BORDER_REPLICATE
    )
    size = (width + 2 * border, height + 2 * border)
    columns, rows = size[0] // STRIDE, size[1] // STRIDE
    hog = cv2.HOGDescriptor(size, (2 * STRIDE,) * 2, (STRIDE,) * 2, (STRIDE,) * 2, BINS)
    # OpenCV goes through the columns first, of blocks and of the cells in a block
    found = np.asarray(hog.compute(image)).reshape(columns - 1, rows - 1, 2, 2, BINS)
    blocks = found.transpose(1, 0, 3, 2, 4)
    above = blocks[:-1, :-1, 1, 1] + blocks[:-1, 1:, 1, 0]
    below = blocks[1:, :-1, 0, 1] + blocks[1:, 1:, 0, 0]
    histograms = (above + below) / 4
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    colors = cv2.resize(lab, (columns, rows), interpolation=cv2.INTER_AREA)[1:-1, 1:-1] / 100
    return np.concatenate([histograms, colors], axis=2).astype(np.float16)


def patches(maps: np.ndarray, cells: np.ndarray, radius: int, margin: int) -> np.ndarray:
    """Cut a square of cells around each cell.

    Args:
        maps: (h + 2 margin, w + 2 margin, C).
        cells: (n, 2), row and column, from 0 to h - 1 and w - 1.
        radius: Cells from the middle of the square to its side, at most ``margin``.
        margin: Cells that the maps have beyond the crop, on every side.

    Returns:
        (n, C x (2 radius + 1)^2): for each channel its rows from above, of cells from the left.

    Raises:
        ValueError: If the radius is larger than the margin, or below 0.
    """
    if not 0 <= radius <= margin:
        raise ValueError(f'radius {radius}: must be from 0 to the margin, {margin}')
    windows = sliding_window_view(maps, (2 * radius + 1,) * 2, axis=(0, 1))  # type: ignore[call-overload]
    rows, columns = cells.T + (margin - radius)
    cut: np.ndarray = windows[rows, columns].reshape(len(cells), -1)
    return cut


def image_features(maps: np.ndarray, cells: np.ndarray, radius: int, margin: int) -> np.ndarray:
    """Describe cells by what the image shows around them, and by their place in the crop.

    Args:
        maps: See ``cell_maps``.
        cells: (n, 2), row and column.
        radius: See ``patches``.
        margin: See ``patches``.

    Returns:
        (n, CHANNELS x (2 radius + 1)^2 + 2) in float32; the last two are row and column.
    """
    return np.concatenate([patches(maps, cells, radius, margin), cells], axis=1, dtype=np.float32)


def belief_patches(beliefs: np.ndarray, cells: np.ndarray, radius: int) -> np.ndarray:
    """Cut the beliefs of all joints around each cell: the context patch features.

    Args:
        beliefs: (C, h, w), with or without background.
        cells: (n, 2), row and column.
        radius: Cells from the middle of the patch to its side.

    Returns:
        (n, C x (2 radius + 1)^2); beyond the maps, beliefs are 0.
    """
    padded = np.pad(beliefs, ((0, 0), (radius, radius), (radius, radius)))
    return patches(padded.transpose(1, 2, 0), cells, radius, radius)


def strongest_peaks(beliefs: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the strongest peaks of each belief map.

    Args:
        beliefs: (K, h, w), without background.
        count: Number of peaks, at least 1.

    Returns:
        Positions (K, count, 2), x and y in pixels of the crop, and beliefs there (K, count), from
            the strongest on. Where a map has fewer peaks, its last one is repeated.
    """
    # Above a threshold of minus infinity, every finite map has a peak.
    found = find_peaks(beliefs, stride=STRIDE, threshold=-np.inf, max_peaks=count)
    first, last = (
        np.searchsorted(found.joints, np.arange(len(beliefs)), side) for side in ('left', 'right')
    )
    taken = np.minimum(first[:, None] + np.arange(count), last[:, None] - 1)
    return found.positions[taken], found.scores[taken]


def offset_features(beliefs: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
    """Describe cells by the offsets to the strongest peaks: the context offset features.

    Args:
        beliefs: (K, h, w), without background.
        cells: (n, 2), row and column.
        count: Peaks of each map.

    Returns:
        (n, 3 K count) in float32: for each joint and peak, from the strongest on, the logarithm of
            1 + its distance in cells, its direction in radians from -pi to pi, 0 to the right and
            pi / 2 downwards, and the belief there.
    """
    positions, scores = strongest_peaks(beliefs, count)
    centers = cell_to_pixel(cells[:, ::-1], STRIDE)
    x, y = np.moveaxis((positions[None] - centers[:, None, None]) / STRIDE, -1, 0)
    features = np.empty((*x.shape, 3), dtype=np.float32)
    features[..., 0] = np.log1p(np.hypot(x, y))
    features[..., 1] = np.arctan2(y, x)
    features[..., 2] = scores
    return features.reshape(len(cells), -1)


def all_cells(size: Any) -> np.ndarray:
    """Return the cells of a map, row by row.

    Args:
        size: (h, w) of the map.

    Returns:
        (h x w, 2), row and column.
    """
    return np.indices(size).reshape(2, -1).T
