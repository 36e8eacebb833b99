"""Ideal belief maps, the center map, and joint positions from belief maps.

Arrays are (channels, height, width); keypoints are (x, y) in network-input
pixels; cells and pixels are related by ``cpm_plugin.core.maps.geometry``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .geometry import FloatArray, cell_to_pixel, pixel_to_cell

# putGaussianMaps of the authors' cpm_data_transformer.cpp skips cells whose exponent is
# above 4.6052 = -ln(0.01), so an ideal belief below 0.01 is 0.
TRUNCATION = 0.01

# A belief this far below any trained peak is noise; it keeps the logarithm finite.
_SMALLEST_BELIEF = 1e-6


def ideal_belief_maps(
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    size: tuple[int, int],
    *,
    stride: int = 8,
    sigma: float = 7.0,
    truncation: float = TRUNCATION,
) -> npt.NDArray[np.float32]:
    """Ideal belief maps: per joint a Gaussian for each person, added up and cut at 1.

    Source: ``putGaussianMaps`` in the authors' ``cpm_data_transformer.cpp``.

    Args:
        keypoints: (P, K, 2), x and y of K joints of P >= 0 people in input pixels. They may
            lie outside the image: the part of the Gaussian inside is drawn.
        labeled: (P, K), joints with a value < 0.5 are not drawn.
        size: (width, height) of the maps in cells.
        stride: input pixels per cell.
        sigma: of the Gaussian, in input pixels. 7 is the default of ``sigma`` in the
            authors' ``caffe.proto`` (paper, section 3.2, gives no number).
        truncation: beliefs below this are 0.

    Returns:
        (K, height, width) in [0, 1].

    Raises:
        ValueError: on another shape, a labeled joint that is not finite, or a sigma or
            stride that is not positive.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    seen = np.asarray(labeled) >= 0.5
    if points.ndim != 3 or points.shape[2] != 2 or seen.shape != points.shape[:2]:
        raise ValueError(
            f'keypoints {points.shape} and labeled {seen.shape} must be '
            '(people, joints, 2) and (people, joints)'
        )
    if sigma <= 0 or stride <= 0:
        raise ValueError(f'sigma {sigma} and stride {stride} must be positive')
    width, height = size
    x = cell_to_pixel(np.arange(width), stride)
    y = cell_to_pixel(np.arange(height), stride)
    # not labeled: NaN in some datasets, so replaced before the arithmetic
    points = np.where(seen[..., None], points, 0.0)
    if not np.isfinite(points).all():
        raise ValueError('a labeled joint has a position that is not a number; mask it instead')
    # separable: exp(-(dx^2 + dy^2) / 2 s^2) = exp(-dx^2 / 2 s^2) exp(-dy^2 / 2 s^2)
    along_x = np.exp(-((x - points[..., :1]) ** 2) / (2 * sigma**2))
    along_y = np.exp(-((y - points[..., 1:]) ** 2) / (2 * sigma**2))
    maps = along_y[..., :, None] * along_x[..., None, :] * seen[..., None, None]
    maps[maps < truncation] = 0
    return maps.sum(axis=0).clip(max=1).astype(np.float32)


def background_map(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The background channel (1, H, W): 1 - the largest belief of (K, H, W) at each cell.

    Source: the authors' ``putGaussianMaps``; the last channel of their networks.
    """
    return 1 - maps.max(axis=0, keepdims=True)


def center_map(
    size: tuple[int, int], center: tuple[float, float] | None = None, *, sigma: float = 21.0
) -> npt.NDArray[np.float32]:
    """The Gaussian that tells the network which person is meant.

    Args:
        size: (width, height) of the network input in pixels.
        center: (x, y) of the person in input pixels, by default the middle of the image.
        sigma: in input pixels. 21 is the default of ``sigma_center`` in the authors'
            ``caffe.proto``.

    Returns:
        (height, width), 1 at the center.
    """
    width, height = size
    if center is None:
        center = ((width - 1) / 2, (height - 1) / 2)
    along_x = np.exp(-((np.arange(width) - center[0]) ** 2) / (2 * sigma**2))
    along_y = np.exp(-((np.arange(height) - center[1]) ** 2) / (2 * sigma**2))
    return np.outer(along_y, along_x).astype(np.float32)


def decode_peaks(
    beliefs: npt.ArrayLike, *, stride: int = 8, subpixel: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Joint positions: the largest belief of each map, refined between cells.

    The logarithm of a Gaussian is a parabola, so the parabola through the logarithms of
    the peak and its two neighbors has its vertex exactly at the joint. A peak in the
    first or last row or column uses the two cells beside it on the inner side.

    Args:
        beliefs: (..., H, W), usually (K, H, W) or (N, K, H, W) without background.
        stride: input pixels per cell.
        subpixel: False returns the center of the peak's cell.

    Returns:
        positions (..., 2), x and y in input pixels, and scores (...), the belief at the
        peak's cell.

    Raises:
        ValueError: for fewer than two dimensions or an empty map.
    """
    maps = np.asarray(beliefs, dtype=np.float64)
    if maps.ndim < 2 or 0 in maps.shape[-2:]:
        raise ValueError(f'belief maps of shape {maps.shape}: expected (..., height, width)')
    height, width = maps.shape[-2:]
    flat = maps.reshape(-1, height * width)
    peak = flat.argmax(axis=1)
    rows, columns = np.divmod(peak, width)
    index = np.arange(len(flat))
    scores = flat[index, peak]
    x, y = columns.astype(np.float64), rows.astype(np.float64)
    if subpixel:
        grid = flat.reshape(-1, height, width)
        x += _vertex(grid[index, rows], columns)
        y += _vertex(grid[index, :, columns], rows)
    cells = np.stack([x, y], axis=1).reshape(*maps.shape[:-2], 2)
    return cell_to_pixel(cells, stride), scores.reshape(maps.shape[:-2])


def _vertex(lines: FloatArray, peak: npt.NDArray[np.int64]) -> FloatArray:
    """Offset in [-0.5, 0.5] of the vertex of the log parabola at ``peak`` of each line.

    ``lines`` is (M, L), ``peak`` (M,). Where the three points do not bend downwards
    (a plateau) the offset is 0, as it is on a line shorter than three cells.
    """
    length = lines.shape[1]
    if length < 3:
        return np.zeros(len(lines))
    middle = peak.clip(1, length - 2)
    logs = np.log(lines.clip(_SMALLEST_BELIEF))
    index = np.arange(len(lines))
    left, here, right = (logs[index, middle + step] for step in (-1, 0, 1))
    bend = left - 2 * here + right
    vertex = np.divide(left - right, 2 * bend, out=np.zeros(len(lines)), where=bend < -1e-9)
    offset = np.where(bend < -1e-9, middle + vertex - peak, 0.0)
    return offset.clip(-0.5, 0.5)


def position_in_map(
    keypoints: npt.ArrayLike, size: tuple[int, int], *, stride: int = 8, sigma: float = 7.0
) -> npt.NDArray[np.bool_]:
    """Which joints belong to a map: True within 3 sigma of its first and last cells, per axis.

    Within a cell of MMPose's rule for joints that keep a weight in the loss.

    Args:
        keypoints: (..., 2) in input pixels.
        size: (width, height) of the map in cells.

    Returns:
        (...) of bool.
    """
    cells = pixel_to_cell(keypoints, stride)
    reach = 3 * sigma / stride
    last = np.asarray(size) - 1
    return ((cells >= -reach) & (cells <= last + reach)).all(axis=-1)
