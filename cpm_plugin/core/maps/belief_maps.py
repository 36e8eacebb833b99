"""Target belief maps, background map and center map, and decoding of keypoints from belief maps.

Belief maps (heatmaps) are (K, H, W): K keypoints, height and width in cells. Keypoints are (x, y)
in pixels of the network input. ``cpm_plugin.core.maps.geometry`` relates cells and pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from .geometry import FloatArray, cell_to_pixel, pixel_to_cell

# putGaussianMaps in the authors' cpm_data_transformer.cpp skips cells whose exponent is above
# 4.6052 = -ln(0.01). An ideal belief below 0.01 is therefore 0.
TRUNCATION = 0.01

# Smaller beliefs are set to this before the logarithm, which stays finite. It is far below the
# peaks of a trained network.
SMALLEST_BELIEF = 1e-6
LEAST_BEND = 1e-9  # of the parabola through the logarithms; with less, it is a plateau


def ideal_belief_maps(
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    size: tuple[int, int],
    *,
    stride: int = 8,
    sigma: float = 7.0,
    truncation: float = TRUNCATION,
) -> npt.NDArray[np.float32]:
    """Draw the target belief maps: a Gaussian for each keypoint of each person.

    Gaussians of several people in one map are added, and the sum is limited to 1.

    Source: ``putGaussianMaps`` in the authors' ``cpm_data_transformer.cpp``.

    Args:
        keypoints: (P, K, 2), x and y in input pixels of K keypoints of P >= 0 people. They may
            lie outside the image; the part of the Gaussian inside the image is drawn.
        labeled: (P, K). Keypoints with a value below 0.5 are not drawn; their position may be
            NaN.
        size: (width, height) of the maps in cells.
        stride: Input pixels per cell.
        sigma: Standard deviation of the Gaussian in input pixels. The default, 7, is that of
            ``sigma`` in the authors' ``caffe.proto``. Section 3.2 of the paper gives no number.
        truncation: Beliefs of one person below this value are set to 0.

    Returns:
        (K, height, width) in float32, with values in [0, 1].

    Raises:
        ValueError: If the shapes do not fit, a labeled keypoint is not finite, or ``sigma`` or
            ``stride`` is not positive.

    Examples:
        One person with one keypoint, at the center of the cell in column 1 and row 2:

        >>> from cpm_plugin.core.maps import ideal_belief_maps
        >>> maps = ideal_belief_maps([[[11.5, 19.5]]], [[1]], size=(4, 5))
        >>> maps.shape
        (1, 5, 4)
        >>> print(maps[0].round(2))
        [[0.04 0.07 0.04 0.  ]
         [0.27 0.52 0.27 0.04]
         [0.52 1.   0.52 0.07]
         [0.27 0.52 0.27 0.04]
         [0.04 0.07 0.04 0.  ]]
    """
    points, seen = labeled_points(keypoints, labeled)
    if sigma <= 0 or stride <= 0:
        raise ValueError(f'sigma {sigma} and stride {stride} must be positive')
    width, height = size
    x = cell_to_pixel(np.arange(width), stride)
    y = cell_to_pixel(np.arange(height), stride)
    # Separable: exp(-(dx^2 + dy^2) / 2 s^2) = exp(-dx^2 / 2 s^2) exp(-dy^2 / 2 s^2)
    along_x = np.exp(-((x - points[..., :1]) ** 2) / (2 * sigma**2))
    along_y = np.exp(-((y - points[..., 1:]) ** 2) / (2 * sigma**2))
    maps = along_y[..., :, None] * along_x[..., None, :] * seen[..., None, None]
    maps[maps < truncation] = 0
    return maps.sum(axis=0).clip(max=1).astype(np.float32)


def labeled_points(
    keypoints: npt.ArrayLike, labeled: npt.ArrayLike
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Check the keypoints of several people, and tell which are labeled.

    Args:
        keypoints: (P, K, 2), x and y in any unit.
        labeled: (P, K). Keypoints with a value below 0.5 are not labeled; their position may be
            NaN.

    Returns:
        The keypoints in float64, with zeros where they are not labeled, and (P, K) of bool.

    Raises:
        ValueError: If the shapes do not fit, or a labeled keypoint is not finite.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    seen = np.asarray(labeled) >= 0.5
    if points.ndim != 3 or points.shape[2] != 2 or seen.shape != points.shape[:2]:
        raise ValueError(
            f'keypoints {points.shape} and labeled {seen.shape} must be '
            '(people, joints, 2) and (people, joints)'
        )
    # Keypoints that are not labeled are NaN in some datasets.
    points = np.where(seen[..., None], points, 0.0)
    if not np.isfinite(points).all():
        person, joint = np.argwhere(~np.isfinite(points).all(axis=2))[0]
        raise ValueError(
            f'keypoint {joint} of person {person} is labeled, but at '
            f'{points[person, joint].tolist()}, which is not finite; correct its position, or mark '
            'it as not labeled'
        )
    return points, seen


def background_map(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Compute the background channel: 1 minus the largest belief at each cell.

    Source: ``putGaussianMaps`` in the authors' ``cpm_data_transformer.cpp``. The background is the
    last channel of their networks.

    Args:
        maps: (K, H, W), target belief maps with values in [0, 1].

    Returns:
        (1, H, W), with values in [0, 1].

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core.maps import background_map
        >>> background_map(np.array([[[0.0, 0.25]], [[0.5, 1.0]]]))
        array([[[0.5, 0. ]]])
    """
    return 1 - maps.max(axis=0, keepdims=True)


def center_map(
    size: tuple[int, int], center: tuple[float, float] | None = None, *, sigma: float = 21.0
) -> npt.NDArray[np.float32]:
    """Draw the center map: the Gaussian that tells the network which person is meant.

    Args:
        size: (width, height) of the network input in pixels.
        center: (x, y) of the person in input pixels; by default the middle of the image.
        sigma: Standard deviation in input pixels. The default, 21, is that of ``sigma_center``
            in the authors' ``caffe.proto``.

    Returns:
        (height, width) in float32, with values in [0, 1] and 1 at the center.

    Examples:
        >>> from cpm_plugin.core.maps import center_map
        >>> print(center_map((5, 3), sigma=1.0).round(2))
        [[0.08 0.37 0.61 0.37 0.08]
         [0.14 0.61 1.   0.61 0.14]
         [0.08 0.37 0.61 0.37 0.08]]
    """
    width, height = size
    if center is None:
        center = ((width - 1) / 2, (height - 1) / 2)
    along_x = np.exp(-((np.arange(width) - center[0]) ** 2) / (2 * sigma**2))
    along_y = np.exp(-((np.arange(height) - center[1]) ** 2) / (2 * sigma**2))
    return np.outer(along_y, along_x).astype(np.float32)


def decode_peaks(
    beliefs: npt.ArrayLike | torch.Tensor, *, stride: int = 8, subpixel: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Find the keypoints: the position of the largest belief in each map.

    With ``subpixel``, positions lie between cells. The logarithm of a Gaussian is a parabola. The
    parabola through the logarithms of the peak and its two neighbors therefore has its vertex
    exactly at the keypoint. For a peak in the first or last row or column, the two cells next to
    it on the inner side are used.

    Args:
        beliefs: (..., H, W), usually (K, H, W) or (N, K, H, W) without the background channel.
            A tensor may have any type and device; a gradient does not pass.
        stride: Input pixels per cell.
        subpixel: Refine the position between cells. If False, return the center of the cell with
            the largest belief.

    Returns:
        Positions (..., 2), x and y in input pixels, and scores (...), the belief at the cell of
            the peak.

    Raises:
        ValueError: If ``beliefs`` has fewer than two dimensions or the maps are empty.

    Examples:
        >>> from cpm_plugin.core.maps import decode_peaks, ideal_belief_maps
        >>> maps = ideal_belief_maps([[[12.0, 20.0]]], [[1]], size=(6, 6))
        >>> positions, scores = decode_peaks(maps)
        >>> positions.round(3)
        array([[12., 20.]])
        >>> scores.round(3)
        array([0.995])
        >>> decode_peaks(maps, subpixel=False)[0]
        array([[11.5, 19.5]])
    """
    maps = as_array(beliefs)
    if maps.ndim < 2 or 0 in maps.shape[-2:]:
        raise ValueError(f'belief maps of shape {maps.shape}: expected (..., height, width)')
    height, width = maps.shape[-2:]
    flat = maps.reshape(-1, height * width)
    peak = flat.argmax(axis=1)
    rows, columns = np.divmod(peak, width)
    index = np.arange(len(flat))
    scores = flat[index, peak]
    cells = np.stack([columns, rows], axis=1).astype(np.float64)
    if subpixel:
        cells = refine_peaks(flat.reshape(-1, height, width), index, rows, columns)
    cells = cells.reshape(*maps.shape[:-2], 2)
    return cell_to_pixel(cells, stride), scores.reshape(maps.shape[:-2])


def as_array(maps: npt.ArrayLike | torch.Tensor) -> FloatArray:
    """Return maps as an array in float64; a tensor may have any type and device."""
    if isinstance(maps, torch.Tensor):  # of which numpy does not know bfloat16
        maps = maps.detach().cpu().double().numpy()
    return np.asarray(maps, dtype=np.float64)


def refine_peaks(
    maps: FloatArray,
    channels: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
) -> FloatArray:
    """Move peaks between cells; ``decode_peaks`` says how.

    Args:
        maps: (C, H, W), belief maps.
        channels: (M,), the map of each peak. A map may have several peaks.
        rows: (M,), row of each peak.
        columns: (M,), column of each peak.

    Returns:
        (M, 2), x and y in cells, at most half a cell from the peaks.
    """
    x = columns + _vertex(maps[channels, rows], columns)
    y = rows + _vertex(maps[channels, :, columns], rows)
    return np.stack([x, y], axis=1)


def _vertex(lines: FloatArray, peak: npt.NDArray[np.int64]) -> FloatArray:
    """Find the vertex of the parabola through the logarithms at a peak and its neighbors.

    Args:
        lines: (M, L), beliefs along a row or a column.
        peak: (M,), index of the largest belief of each line.

    Returns:
        (M,), offsets from ``peak`` in cells, in [-0.5, 0.5]. The offset is 0 where the three points
            do not bend downwards (a plateau), and on lines shorter than three cells.
    """
    length = lines.shape[1]
    if length < 3:
        return np.zeros(len(lines))
    middle = peak.clip(1, length - 2)
    logs = np.log(lines.clip(SMALLEST_BELIEF))
    index = np.arange(len(lines))
    left, here, right = (logs[index, middle + step] for step in (-1, 0, 1))
    bend = left - 2 * here + right
    vertex = np.divide(left - right, 2 * bend, out=np.zeros(len(lines)), where=bend < -LEAST_BEND)
    offset = np.where(bend < -LEAST_BEND, middle + vertex - peak, 0.0)
    return offset.clip(-0.5, 0.5)


def position_in_map(
    keypoints: npt.ArrayLike, size: tuple[int, int], *, stride: int = 8, sigma: float = 7.0
) -> npt.NDArray[np.bool_]:
    """Tell which keypoints are close enough to a belief map to be seen in it.

    Along each axis, a keypoint may be at most 3 sigma outside the first or last cell. This agrees
    to within a cell with MMPose's rule for keypoints that keep a weight in the loss.

    Args:
        keypoints: (..., 2), x and y in input pixels.
        size: (width, height) of the map in cells.
        stride: Input pixels per cell.
        sigma: Standard deviation of the Gaussian in input pixels.

    Returns:
        (...) of bool.

    Examples:
        >>> from cpm_plugin.core.maps.belief_maps import position_in_map
        >>> position_in_map([[12, 20], [-17, 20], [-18, 20]], size=(6, 6))
        array([ True,  True, False])
    """
    cells = pixel_to_cell(keypoints, stride)
    reach = 3 * sigma / stride
    last = np.asarray(size) - 1
    return ((cells >= -reach) & (cells <= last + reach)).all(axis=-1)
