"""Keypoints from the belief maps of several crops of one person, the authors' search over scales.

The authors crop the person at several scales. They resize the belief maps of every crop to the
pixels of the image, add them up, and take the largest value. Outside a crop, its beliefs are 0.
Source: ``run_benchmark.m`` and ``applyModel.m`` in their ``testing/src``.

A crop without rotation maps each axis by itself. Resizing is then one matrix product per axis: rows
(H, h) times beliefs (h, w) times columns (W, w) transposed. Positions are (x, y), and the center of
the first pixel is (0, 0). An image point p is at the crop pixel
``(p - center) / crop_scale * input_size + input_size / 2``, which is MMPose's rule.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..maps.geometry import FloatArray, pixel_to_cell

# scale_search in the authors' run_benchmark.m: 0.7:0.1:1.3
BENCHMARK_SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)


def octave_scales(start: float = 0.8, end: float = 1.2, octave: int = 6) -> tuple[float, ...]:
    """Return scales from 1 to at most ``end / start``, with equal ratios.

    Source: ``multiplier`` in the authors' ``applyModel.m``, relative to its first scale. The
    defaults are those of their ``config.m``: 2 ** (0, 1/6, 2/6, 3/6).

    Args:
        start: Smallest scale of the authors' list, which becomes 1.
        end: Largest scale of the authors' list.
        octave: Number of scales for each doubling.

    Returns:
        The scales, in ascending order.

    Raises:
        ValueError: Unless 0 < start <= end and octave >= 1.

    Examples:
        >>> from cpm_plugin.core.evaluation import octave_scales
        >>> [round(scale, 2) for scale in octave_scales()]
        [1.0, 1.12, 1.26, 1.41]
    """
    if not 0 < start <= end or octave < 1:
        raise ValueError(
            f'start={start}, end={end}, octave={octave}: give 0 < start <= end and octave >= 1'
        )
    # As MATLAB's colon operator; 1e-9 allows for rounding at a last scale that is just reached.
    steps = math.floor(math.log2(end / start) * octave + 1e-9)
    return tuple(2 ** (step / octave) for step in range(steps + 1))


def bicubic_weights(positions: npt.ArrayLike, length: int) -> FloatArray:
    """Compute the weights of bicubic interpolation along a line of cells.

    The cubic is that of MATLAB's ``imresize`` (a = -0.5). Beyond its ends, the line is mirrored.

    Args:
        positions: (M,), positions in cells.
        length: Number of cells of the line.

    Returns:
        (M, length), weights; each row adds up to 1.
    """
    places = np.asarray(positions, dtype=np.float64)
    taps = np.floor(places)[:, None] + np.arange(-1, 3)
    distance = np.abs(places[:, None] - taps)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    values = np.where(distance <= 1, near, far)
    mirrored = np.concatenate([np.arange(length), np.arange(length)[::-1]])
    cells = mirrored[taps.astype(np.int64) % (2 * length)]
    weights = np.zeros((len(places), length))
    np.add.at(weights, (np.arange(len(places))[:, None], cells), values)
    return weights


def crop_weights(
    pixels: npt.ArrayLike,
    center: float,
    extents: npt.ArrayLike,
    *,
    input_length: int,
    num_cells: int,
    stride: int = 8,
    first_cell: float | None = None,
) -> FloatArray:
    """Compute the weights from the cells of S crops to image pixels, along one axis.

    Args:
        pixels: (M,), pixels of the image.
        center: Center of the crops in image pixels.
        extents: (S,), length of each crop in image pixels.
        input_length: Length of the network input in input pixels.
        num_cells: Number of cells of the belief maps.
        stride: Input pixels per cell.
        first_cell: Input pixel of the center of cell 0, see ``pixel_to_cell``.

    Returns:
        (S, M, num_cells), rows that add up to 1, or to 0 for a pixel outside the crop.
    """
    places = np.asarray(pixels, dtype=np.float64)
    weights = []
    for extent in np.asarray(extents, dtype=np.float64):
        crop_pixels = (places - center) / extent * input_length + input_length / 2
        inside = (crop_pixels >= -0.5) & (crop_pixels <= input_length - 0.5)
        cells = np.where(inside, pixel_to_cell(crop_pixels, stride, first_cell), 0.0)
        weights.append(bicubic_weights(cells, num_cells) * inside[:, None])
    return np.stack(weights)


def pixel_range(
    center: float, extents: npt.ArrayLike, input_length: int, image_length: int
) -> npt.NDArray[np.int64]:
    """List the image pixels along one axis that lie in the largest crop.

    Args:
        center: Center of the crops in image pixels.
        extents: (S,), length of each crop in image pixels.
        input_length: Length of the network input in input pixels.
        image_length: Length of the image in pixels.

    Returns:
        (M,), M >= 1. If no crop reaches the image, it is the nearest pixel of the image.
    """
    # The outer edges of the first and last pixel of the largest crop.
    ends = np.array([-0.5, input_length - 0.5]) / input_length - 0.5
    low, high = center + ends * np.max(extents)
    first = np.clip(math.floor(low), 0, image_length - 1)
    last = np.clip(math.ceil(high), 0, image_length - 1)
    return np.arange(first, last + 1)


def mean_over_scales(beliefs: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Compute the mean belief of S crops at the pixels of the image.

    It is the authors' sum, divided by S. A crop counts as 0 where it does not reach.

    Args:
        beliefs: (S, K, h, w).
        rows: (S, H, h), see ``crop_weights``.
        columns: (S, W, w), see ``crop_weights``.

    Returns:
        (K, H, W).
    """
    num_scales, num_joints = beliefs.shape[:2]
    along_y = torch.einsum('syh,skhw->kysw', rows, beliefs).reshape(num_joints, rows.shape[1], -1)
    along_x = columns.permute(0, 2, 1).reshape(-1, columns.shape[1])
    # One product sums over cells and scales.
    return along_y @ along_x / num_scales


def full_resolution_peaks(
    beliefs: Tensor,
    center: npt.ArrayLike,
    crop_scales: npt.ArrayLike,
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    *,
    stride: int = 8,
    first_cell: float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Find the keypoints: the pixel of the image with the largest mean belief over several crops.

    Only pixels inside the largest crop are considered. A map is as large as the image; keypoints
    are therefore processed one after the other.

    Args:
        beliefs: (S, K, h, w), belief maps of S crops of one person, without the background.
        center: (2,), x and y of the common center of the crops in image pixels.
        crop_scales: (S, 2), width and height of each crop in image pixels.
        image_size: (width, height) of the image.
        input_size: (width, height) of the network input.
        stride: Input pixels per cell.
        first_cell: Input pixel of the center of cell 0, see ``pixel_to_cell``.

    Returns:
        Positions (K, 2), whole numbers x and y in image pixels, and scores (K,), the mean belief
            there.

    Raises:
        ValueError: If the shapes do not fit, the center or a crop is not finite, a crop has no
            area, or the image is empty.

    Examples:
        One crop that is the whole image, of 48 x 48 pixels:

        >>> import torch
        >>> from cpm_plugin.core import ideal_belief_maps
        >>> from cpm_plugin.core.evaluation import full_resolution_peaks
        >>> maps = torch.from_numpy(ideal_belief_maps([[[12, 20]]], [[1]], size=(6, 6)))
        >>> positions, scores = full_resolution_peaks(
        ...     maps[None], (24, 24), [(48, 48)], image_size=(48, 48), input_size=(48, 48)
        ... )
        >>> positions
        array([[12., 20.]])
    """
    middle = np.asarray(center, dtype=np.float64)
    crops = np.asarray(crop_scales, dtype=np.float64)
    if beliefs.ndim != 4 or middle.shape != (2,) or crops.shape != (len(beliefs), 2):
        raise ValueError(
            f'beliefs {tuple(beliefs.shape)}, center {middle.shape} and crop_scales '
            f'{crops.shape} must be (S, K, h, w), (2,) and (S, 2)'
        )
    if not (np.isfinite(middle).all() and np.isfinite(crops).all() and (crops > 0).all()):
        raise ValueError(
            f'center {middle.tolist()} must be finite and crop_scales {crops.tolist()} positive; '
            "look at the person's box or scale in the annotations"
        )
    if min(image_size) < 1:
        raise ValueError(f'image_size {image_size}: width and height must be at least 1')
    pixels, weights = [], []
    for axis in (0, 1):
        pixels.append(pixel_range(middle[axis], crops[:, axis], input_size[axis], image_size[axis]))
        weights.append(
            crop_weights(
                pixels[axis],
                middle[axis],
                crops[:, axis],
                input_length=input_size[axis],
                num_cells=beliefs.shape[3 - axis],
                stride=stride,
                first_cell=first_cell,
            )
        )
    indices, scores = _largest(beliefs.detach().float(), *weights)
    y, x = np.divmod(indices, len(pixels[0]))
    return np.stack([pixels[0][x], pixels[1][y]], axis=1).astype(np.float64), scores


def _largest(
    beliefs: Tensor, along_x: FloatArray, along_y: FloatArray
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Find the pixel with the largest mean over scales.

    Args:
        beliefs: (S, K, h, w).
        along_x: (S, W, w), see ``crop_weights``.
        along_y: (S, H, h), see ``crop_weights``.

    Returns:
        Indices (K,) into the flattened mean (H, W), and the mean there (K,).
    """
    columns, rows = (torch.from_numpy(weights).to(beliefs) for weights in (along_x, along_y))
    # Half precision would move a peak by pixels.
    with torch.autocast(beliefs.device.type, enabled=False):
        peaks = [
            mean_over_scales(beliefs[:, joint, None], rows, columns).flatten().max(dim=0)
            for joint in range(beliefs.shape[1])
        ]
    values, indices = (torch.stack(parts).cpu().numpy() for parts in zip(*peaks))
    return indices, values.astype(np.float64)
