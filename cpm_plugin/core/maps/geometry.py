"""Cell <-> pixel: the one place that states the coordinate convention.

A belief map is a grid of cells, ``stride`` network-input pixels apart. Pixel
coordinates follow OpenCV: pixel (0, 0) is centered at (0.0, 0.0). Cell ``g`` is
centered on the pixels it covers::

    pixel = stride * g + stride / 2 - 0.5          (3.5, 11.5, ... at stride 8)

Source: ``start = stride / 2.0 - 0.5`` in the authors' ``putGaussianMaps``
(``cpm_data_transformer.cpp`` of their Caffe fork). With this convention a mirrored
image has exactly the mirrored belief map. MMPose's ``MSRAHeatmap`` uses
``pixel = stride * g`` instead, 3.5 pixels away at stride 8; never mix the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def cell_to_pixel(cell: npt.ArrayLike, stride: int) -> FloatArray:
    """Pixel coordinate (network input) of a cell coordinate, any shape."""
    return np.asarray(cell, dtype=np.float64) * stride + (stride / 2 - 0.5)


def pixel_to_cell(pixel: npt.ArrayLike, stride: int, first_cell: float | None = None) -> FloatArray:
    """Cell coordinate (fractional) of a network-input pixel, any shape.

    Args:
        first_cell: pixel of cell 0, where a map has another convention than this one's
            stride / 2 - 0.5; 0 for MMPose's ``MSRAHeatmap``.
    """
    start = stride / 2 - 0.5 if first_cell is None else first_cell
    return (np.asarray(pixel, dtype=np.float64) - start) / stride


def pooled_size(size: int, num_pools: int = 3) -> int:
    """Length of a side after ``num_pools`` 3x3 stride-2 pools without padding.

    Caffe's ceil rule, ``out = ceil((in - 3) / 2) + 1``: 368 -> 46, 376 -> 47.
    """
    for _ in range(num_pools):
        if size < 3:
            raise ValueError(
                f'a side of {size} cells is too short for a 3x3 pool; use a larger input image'
            )
        size = -((3 - size) // 2) + 1
    return size
