"""Joint positions from the beliefs of several crops of one person, as the authors test.

They crop the person at several scales, move the beliefs of every crop back onto the
pixels of the image, add them up, and take the largest (``run_benchmark.m`` and
``applyModel.m`` of their ``testing/src``). Where a crop has no belief, outside it, it
adds 0.

A crop without rotation maps each axis by itself, so resizing is a matrix product a
side: rows (H, h) times beliefs (h, w) times columns (W, w) transposed. Positions are
(x, y); (0, 0) is the center of the first pixel. Image point p is at crop pixel
``(p - center) / crop_scale * input_size + input_size / 2``, MMPose's rule.
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
    """Scales from 1 to at most end / start, ``octave`` of them for each doubling.

    Source: ``multiplier`` in the authors' ``applyModel.m``, relative to its first one;
    defaults of their ``config.m``: 2 ** (0, 1/6, 2/6, 3/6).

    Raises:
        ValueError: unless 0 < start <= end and octave >= 1.
    """
    if not 0 < start <= end or octave < 1:
        raise ValueError(
            f'start={start}, end={end}, octave={octave}: give 0 < start <= end and octave >= 1'
        )
    # as MATLAB's colon, with room for rounding at a last scale that is just reached
    steps = math.floor(math.log2(end / start) * octave + 1e-9)
    return tuple(2 ** (step / octave) for step in range(steps + 1))


def bicubic_weights(positions: npt.ArrayLike, length: int) -> FloatArray:
    """Weights (M, length) that interpolate a line of ``length`` cells at M positions.

    The cubic of MATLAB's ``imresize`` (a = -0.5), which beyond the ends goes on with the
    line mirrored.

    Args:
        positions: (M,) in cells.
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
    """Weights (S, M, num_cells) from the cells of S crops to image pixels, along one axis.

    Args:
        pixels: (M,), of the image.
        center: of the crops, in image pixels.
        extents: (S,), length of each crop in image pixels.
        input_length: of the network input, in its pixels.
        num_cells: of the belief maps.
        stride: input pixels per cell.
        first_cell: input pixel of cell 0; by default that of
            ``cpm_plugin.core.maps.geometry``. It is 0 for MMPose's ``MSRAHeatmap``.

    Returns:
        Rows that add up to 1, or to 0 for a pixel outside the crop.
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
    """Image pixels (M,) along one axis that lie in the largest of the crops.

    M >= 1: where no crop reaches the image it is its nearest pixel.
    """
    # the outer edges of the first and last pixel of the largest crop
    ends = np.array([-0.5, input_length - 0.5]) / input_length - 0.5
    low, high = center + ends * np.max(extents)
    first = np.clip(math.floor(low), 0, image_length - 1)
    last = np.clip(math.ceil(high), 0, image_length - 1)
    return np.arange(first, last + 1)


def mean_over_scales(beliefs: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Beliefs of S crops -> their mean on image pixels.

    The authors' sum, divided by S: where a crop does not reach, it counts as 0.

    Args:
        beliefs: (S, K, h, w).
        rows: (S, H, h), see ``crop_weights``.
        columns: (S, W, w).

    Returns:
        (K, H, W).
    """
    num_scales, num_joints = beliefs.shape[:2]
    along_y = torch.einsum('syh,skhw->kysw', rows, beliefs).reshape(num_joints, rows.shape[1], -1)
    along_x = columns.permute(0, 2, 1).reshape(-1, columns.shape[1])
    # one product sums over cells and scales
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
    """Joint positions: the pixel of the image with the largest mean belief.

    Pixels outside the largest crop are not looked at. One joint after the other, for a
    map is as large as the image.

    Args:
        beliefs: (S, K, h, w) of S crops of one person, without background.
        center: (2,), x and y of the crops' common center in image pixels.
        crop_scales: (S, 2), width and height of each crop in image pixels.
        image_size: (width, height) of the image.
        input_size: (width, height) of the network input.
        stride, first_cell: see ``crop_weights``.

    Returns:
        positions (K, 2), whole numbers x and y in image pixels, and scores (K,), the
        mean belief there.

    Raises:
        ValueError: on other shapes, or for a center or crop that is not finite, a crop
            without area, or an empty image.
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
    """Index (K,) into the flattened mean over scales, and the mean there (K,)."""
    columns, rows = (torch.from_numpy(weights).to(beliefs) for weights in (along_x, along_y))
    # half precision would move a peak by pixels
    with torch.autocast(beliefs.device.type, enabled=False):
        peaks = [
            mean_over_scales(beliefs[:, joint, None], rows, columns).flatten().max(dim=0)
            for joint in range(beliefs.shape[1])
        ]
    values, indices = (torch.stack(parts).cpu().numpy() for parts in zip(*peaks))
    return indices, values.astype(np.float64)
