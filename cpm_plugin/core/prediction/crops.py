"""Square crops of people, with the pixels that OpenCV and MMPose's pipelines give.

The models were tested with crops of ``cv2.warpAffine`` and ``cv2.resize(INTER_AREA)``. Both are
computed here in the same fixed-point arithmetic, so that OpenCV need not be installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray
from .images import Image

# Side of the crop relative to the longer side of the box, as in MMPose's GetBBoxCenterScale.
PADDING = 1.25
# OpenCV's imgwarp.cpp: positions have 10 bits after the point (AB_BITS). Of these, 5 are kept
# (INTER_BITS), and the weights of the four pixels have 15 (INTER_REMAP_COEF_BITS).
_POSITION, _FRACTION, _WEIGHT = 10, 5, 15
# Pixels; a coordinate beyond is no one's box, and would overflow the arithmetic.
_FAR = 1e6


def person_crop(
    image: Image, box: npt.ArrayLike, size: int, *, padding: float = PADDING
) -> tuple[Image, FloatArray, float]:
    """Cut a person out of an image, as the test pipelines of our configs do.

    Where the person becomes n >= 2 times smaller, the image is first averaged over squares of
    int(n) pixels, so that no pixel is skipped. Outside the image, the crop is black.

    Args:
        image: (H, W, 3) of uint8.
        box: (4,), x1, y1, x2, y2 in image pixels.
        size: Side of the crop in pixels.
        padding: Side of the square around the box, relative to the longer side of the box.

    Returns:
        - crop (size, size, 3);
        - corner (2,): the x and y in image pixels that the crop's pixel (0, 0) shows;
        - image pixels per pixel of the crop.

    Raises:
        ValueError: If the box has no area, is not finite, or is outside the image.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core.prediction import person_crop
        >>> image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1).repeat(3, axis=2)
        >>> crop, corner, step = person_crop(image, (2, 2, 6, 6), 4, padding=1.0)
        >>> crop[..., 0].tolist()
        [[18, 19, 20, 21], [26, 27, 28, 29], [34, 35, 36, 37], [42, 43, 44, 45]]
        >>> corner.tolist(), step
        ([2.0, 2.0], 1.0)
    """
    x1, y1, x2, y2 = check_box(box, image.shape[1::-1])
    # In float32, as MMPose's transforms compute it.
    center = np.array([(x1 + x2) * 0.5, (y1 + y2) * 0.5], dtype=np.float32)
    side = np.float32(max(np.float32(x2 - x1), np.float32(y2 - y1)) * np.float32(padding))
    to_crop = _matrix_of(center, side, size)
    small = image
    if side >= 2 * size:
        shrink = int(side / size)
        height, width = image.shape[:2]
        shape = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        small = _averaged(image, shape)
        # Pixel p of the small image is centered on pixel ratio * p + (ratio - 1) / 2.
        x, y = width / shape[0], height / shape[1]
        to_crop = to_crop @ np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    crop = _warped(small, to_crop, size)
    return crop, center.astype(float) - float(side) / 2, float(side) / size


def check_box(box: npt.ArrayLike, size: Sequence[int] | None = None) -> FloatArray:
    """Check a bounding box.

    Args:
        box: (4,), x1, y1, x2, y2 in image pixels.
        size: (width, height) of the image in pixels; None if it is not known yet.

    Returns:
        The box as an array of float64.

    Raises:
        ValueError: If it has no area, is not finite or too far away, or is outside the image.
    """
    corners: Any = np.asarray(box, dtype=np.float64)
    given = ','.join(f'{corner:g}' for corner in corners.ravel())
    if corners.shape != (4,) or not (np.abs(corners) < _FAR).all():  # NaN neither
        raise ValueError(
            f'box {given}: a box is four numbers, x1, y1, x2, y2, in pixels, each less than '
            f'{_FAR:,.0f} from 0'
        )
    x1, y1, x2, y2 = corners
    if x2 <= x1 or y2 <= y1:
        raise ValueError(f'box {given}: x2 must be larger than x1, and y2 than y1')
    if size is None:
        return corners
    width, height = size
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise ValueError(
            f'box {given} is outside the image, which is {width} pixels wide and {height} high; '
            'give x1, y1, x2, y2 in pixels of this image'
        )
    return corners


def _matrix_of(center: npt.NDArray[np.float32], side: np.float32, size: int) -> FloatArray:
    """Compute the matrix (2, 3) from image pixels to pixels of the crop.

    Three points and OpenCV's elimination give it to the last bit. Positions lie on the border of
    two 32nds of a pixel as often as boxes have whole numbers, and then the last bit decides.
    """
    half = np.float32(0.5) * side
    there = np.stack([center, center - np.array([half, 0], np.float32)])
    there = np.vstack([there, there[1] + np.array([0, there[0, 0] - there[1, 0]], np.float32)])
    here = size * np.array([[0.5, 0.5], [0.0, 0.5], [0.0, 1.0]])
    rows = np.zeros((6, 7))
    for number, ((x, y), place) in enumerate(zip(there.astype(float), here)):
        rows[2 * number, [0, 1, 2, 6]] = x, y, 1, place[0]
        rows[2 * number + 1, [3, 4, 5, 6]] = x, y, 1, place[1]
    for i in range(6):  # LUImpl of OpenCV's matrix_decomp.cpp
        pivot = i + int(np.abs(rows[i:, i]).argmax())
        rows[[i, pivot]] = rows[[pivot, i]]
        factors = rows[i + 1 :, i] * (-1 / rows[i, i])
        rows[i + 1 :, i + 1 :] += factors[:, None] * rows[i, i + 1 :]
    solution = np.zeros(6)
    for i in reversed(range(6)):
        rest = rows[i, 6]
        for k in range(i + 1, 6):
            rest -= rows[i, k] * solution[k]
        solution[i] = rest / rows[i, i]
    return solution.reshape(2, 3)


def _warped(image: Image, to_crop: FloatArray, size: int) -> Image:
    """Interpolate between pixels, by a matrix (2, 3) without rotation: (size, size, 3)."""
    (xx, xy, x0), (yx, yy, y0) = to_crop
    inverse = 1 / (xx * yy - xy * yx)  # in the order of warpAffine
    x_step, y_step, across, along = yy * inverse, xx * inverse, xy * -inverse, yx * -inverse
    corner = -x_step * x0 - across * y0, -along * x0 - y_step * y0
    step = x_step, y_step
    height, width = image.shape[:2]
    # warpAffine rounds start and step apart along a row, and together down the image.
    scale = 1 << _POSITION
    places = np.arange(size)
    right = np.rint(corner[0] * scale) + np.rint(step[0] * places * scale)
    down = np.rint((step[1] * places + corner[1]) * scale)
    columns, from_left = _taps(right, width)
    rows, from_top = _taps(down, height)
    padded = np.zeros((height + 2, width + 2, 3), np.uint8)
    padded[1:-1, 1:-1] = image
    one = 1 << _FRACTION
    left, top = from_left[None, :, None], from_top[:, None, None]
    upper, lower = (
        line[:, columns] * (one - left) + line[:, columns + 1] * left
        for line in (padded[rows].astype(np.int64), padded[rows + 1].astype(np.int64))
    )
    total = upper * (one - top) + lower * top
    shift = _WEIGHT - 2 * _FRACTION
    result: Image = (((total << shift) + (1 << (_WEIGHT - 1))) >> _WEIGHT).astype(np.uint8)
    return result


def _taps(
    positions: FloatArray, length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first of two pixels for each position, in an image with a border of 1 pixel.

    The positions have ``_POSITION`` bits after the point. The second value is the weight of the
    other pixel, of ``1 << _FRACTION``.
    """
    shift = _POSITION - _FRACTION
    places = (positions.astype(np.int64) + (1 << (shift - 1))) >> shift
    pixels, weights = (places >> _FRACTION) + 1, places & ((1 << _FRACTION) - 1)
    # Further out, only the border counts.
    weights = np.select([pixels < 0, pixels > length], [0, 1 << _FRACTION], weights)
    return np.clip(pixels, 0, length), weights


def _averaged(image: Image, size: tuple[int, int]) -> Image:
    """Average an image (H, W, 3) over areas, to ``size`` (width, height), as OpenCV does."""
    rows = _area_means(image.reshape(len(image), -1), size[1])
    columns = rows.reshape(size[1], image.shape[1], 3).transpose(1, 0, 2)
    means = _area_means(columns.reshape(image.shape[1], -1), size[0])
    means = means.round(6)  # a half is one, whatever the order of the sums
    # OpenCV rounds halves up where it averages 2 x 2 pixels, and else to even numbers.
    halved = image.shape[:2] == (2 * size[1], 2 * size[0])
    whole = np.floor(means + 0.5) if halved else np.rint(means)
    result: Image = whole.astype(np.uint8).reshape(size[0], size[1], 3)
    return np.ascontiguousarray(result.transpose(1, 0, 2))


def _area_means(values: npt.NDArray[Any], count: int) -> FloatArray:
    """Average the rows (N, C) over ``count`` intervals of N / count rows: (count, C)."""
    length = len(values)
    edges = np.arange(count + 1) * length / count
    result = np.empty((count, values.shape[1]))
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        first, last = int(begin), min(int(np.ceil(end)), length)
        rows = np.arange(first, last)
        weights = np.minimum(rows + 1, end) - np.maximum(rows, begin)
        result[number] = weights @ values[first:last] * (count / length)
    return result
