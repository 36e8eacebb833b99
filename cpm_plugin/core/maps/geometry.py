"""Conversion between cells of a belief map and pixels, the only place that states the convention.

A belief map is a grid of cells, ``stride`` pixels of the network input apart. Pixel coordinates
follow OpenCV: the center of the first pixel is at (0.0, 0.0). A cell ``g`` is centered on the
pixels that it covers::

    pixel = stride * g + stride / 2 - 0.5          (3.5, 11.5, ... at stride 8)

Source: ``start = stride / 2.0 - 0.5`` in the authors' ``putGaussianMaps``
(``cpm_data_transformer.cpp`` of their Caffe fork). With this convention, the belief map of a
mirrored image is exactly the mirrored belief map. MMPose's ``MSRAHeatmap`` uses
``pixel = stride * g`` instead, which is 3.5 pixels away at stride 8. Never mix the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def cell_to_pixel(cell: npt.ArrayLike, stride: int) -> FloatArray:
    """Convert cell coordinates of a belief map to pixel coordinates of the network input.

    Args:
        cell: Coordinates in cells, of any shape; fractions are allowed.
        stride: Input pixels per cell.

    Returns:
        Coordinates in input pixels, of the same shape, in float64.

    Examples:
        >>> from cpm_plugin.core.maps import cell_to_pixel
        >>> cell_to_pixel([0, 1, 45], stride=8)
        array([  3.5,  11.5, 363.5])
    """
    return np.asarray(cell, dtype=np.float64) * stride + (stride / 2 - 0.5)


def pixel_to_cell(pixel: npt.ArrayLike, stride: int, first_cell: float | None = None) -> FloatArray:
    """Convert pixel coordinates of the network input to cell coordinates of a belief map.

    This is the inverse of ``cell_to_pixel``.

    Args:
        pixel: Coordinates in input pixels, of any shape.
        stride: Input pixels per cell.
        first_cell: Input pixel of the center of cell 0. By default ``stride / 2 - 0.5``, the
            convention of this module; 0 is the convention of MMPose's ``MSRAHeatmap``.

    Returns:
        Coordinates in cells, of the same shape, in float64; they may be fractions.

    Examples:
        >>> from cpm_plugin.core.maps import pixel_to_cell
        >>> pixel_to_cell([3.5, 7.5, 363.5], stride=8)
        array([ 0. ,  0.5, 45. ])
        >>> pixel_to_cell([0, 12], stride=8, first_cell=0)
        array([0. , 1.5])
    """
    start = stride / 2 - 0.5 if first_cell is None else first_cell
    return (np.asarray(pixel, dtype=np.float64) - start) / stride


def pooled_size(size: int, num_pools: int = 3) -> int:
    """Compute the length of a side after 3x3 pools of stride 2 without padding.

    Caffe rounds up: ``out = ceil((in - 3) / 2) + 1``.

    Args:
        size: Length of the side before the pools, in cells or pixels.
        num_pools: Number of pools, one after the other.

    Returns:
        Length of the side after the last pool, in cells.

    Raises:
        ValueError: If a side is shorter than 3 before one of the pools.

    Examples:
        >>> from cpm_plugin.core.maps import pooled_size
        >>> pooled_size(368), pooled_size(376)
        (46, 47)
    """
    for _ in range(num_pools):
        if size < 3:
            raise ValueError(
                f'a side of {size} cells is too short for a 3x3 pool; use a larger input image'
            )
        size = -((3 - size) // 2) + 1
    return size
