"""Cells and pixels, and the size of the network's output."""

import numpy as np
import pytest
import torch

from cpm_plugin.core.maps.geometry import cell_to_pixel, pixel_to_cell, pooled_size
from cpm_plugin.core.models.settings import TrunkSettings
from cpm_plugin.core.models.trunks import FeatureTrunk


@pytest.mark.parametrize(
    'cell, stride, pixel',
    [(0, 8, 3.5), (1, 8, 11.5), (45, 8, 363.5), (0, 4, 1.5), (3, 4, 13.5), (5, 1, 5.0)],
)
def test_cell_is_centered_on_the_pixels_it_covers(cell, stride, pixel):
    assert cell_to_pixel(cell, stride) == pixel
    assert pixel_to_cell(pixel, stride) == cell


def test_pixel_zero_is_left_of_the_first_cells_center():
    assert pixel_to_cell(0, 8) == -0.4375
    assert pixel_to_cell(7, 8) == 0.4375


def test_any_shape_and_unsigned_integers():
    pixels = np.array([[[0, 4], [8, 255]]], dtype=np.uint8)
    cells = pixel_to_cell(pixels, 8)
    np.testing.assert_array_equal(cells, [[[-0.4375, 0.0625], [0.5625, 31.4375]]])
    np.testing.assert_array_equal(cell_to_pixel(cells, 8), pixels)
    np.testing.assert_array_equal(cell_to_pixel(np.uint8([40]), 8), [323.5])


@pytest.mark.parametrize(
    'size, expected',
    # 369: ceil(366 / 2) + 1 = 184, ceil(181 / 2) + 1 = 92, ceil(89 / 2) + 1 = 46
    [(368, 46), (376, 47), (375, 46), (369, 46), (256, 32), (192, 24), (130, 16), (12, 1)],
)
def test_pooled_size_at_stride_8(size, expected):
    assert pooled_size(size) == expected


@pytest.mark.parametrize('size, pools, expected', [(368, 0, 368), (3, 1, 1), (4, 1, 2), (9, 2, 2)])
def test_pooled_size_of_other_depths(size, pools, expected):
    assert pooled_size(size, pools) == expected


@pytest.mark.parametrize('size, pools, stuck_at', [(2, 1, 2), (5, 2, 2), (11, 3, 2), (0, 3, 0)])
def test_too_short_a_side_is_named(size, pools, stuck_at):
    with pytest.raises(ValueError, match=f'a side of {stuck_at} cells is too short'):
        pooled_size(size, pools)


@pytest.mark.parametrize('height, width', [(97, 104), (105, 130), (12, 13), (368, 15)])
def test_trunk_gives_what_pooled_size_says(height, width):
    trunk = FeatureTrunk(TrunkSettings(in_channels=1, channels=2, kernel_size=1))
    features = trunk(torch.zeros(1, 1, height, width))
    assert features.shape == (1, 2, pooled_size(height), pooled_size(width))
