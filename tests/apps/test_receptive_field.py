"""Rows of receptive fields: of sizes alone, and of gradients on an image."""

import numpy as np
import pytest
from PIL import Image

from cpm_plugin.apps.receptive_field import field_rows


def test_a_row_for_each_stage():
    assert field_rows('cpm_slim_3s') == [
        ('cpm_slim_3s', '1', '75', '5', ''),
        ('cpm_slim_3s', '2', '219', '19', ''),
        ('cpm_slim_3s', '3', '363', '19', ''),
    ]


def test_with_images_the_effective_field_is_measured(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / 'a.png')
    sizes = [int(row[4]) for row in field_rows('cpm_slim_3s', [tmp_path / 'a.png'])]
    assert 8 < sizes[0] <= 76 and sizes[0] < sizes[2] <= 2 * 128


def test_networks_for_several_people_are_refused():
    with pytest.raises(ValueError, match="'openpose_coco' is for several people"):
        field_rows('openpose_coco')
