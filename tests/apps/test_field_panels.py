"""Panels of fields: directions are hues, strengths are saturations, at the image's places."""

import numpy as np
import pytest
import torch

from cpm_plugin.apps.field_panels import field_colors, fields_figure, strongest_field
from cpm_plugin.core.maps import JointSet
from cpm_plugin.core.prediction import Poses
from cpm_plugin.core.prediction.proposals import ImageMaps

JOINTS = JointSet(('neck', 'left_hip', 'right_hip'), limbs=(('neck', 'left_hip'),))


@pytest.mark.parametrize(
    ('vector', 'color'),
    [
        ((1, 0), (1, 0, 0)),  # right: red
        ((0, 1), (0.5, 1, 0)),  # down, a quarter on: between yellow and green
        ((-1, 0), (0, 1, 1)),  # left: cyan
        ((0, -1), (0.5, 0, 1)),  # up
        ((0.5, 0), (1, 0.5, 0.5)),  # half as strong: half as much color
        ((3, 0), (1, 0, 0)),  # stronger than a limb
        ((0, 0), (1, 1, 1)),
    ],
)
def test_directions_are_hues_and_strengths_saturations(vector, color):
    colors = field_colors(np.array(vector, float).reshape(2, 1, 1))
    assert colors.shape == (1, 1, 3) and colors[0, 0] == pytest.approx(color)


def test_the_strongest_limb_is_shown_at_each_cell():
    fields = np.zeros((4, 1, 3))
    fields[:2, 0] = [[0.6, 0.1, 0.0], [0.0, 0.0, 0.5]]  # x and y of the first limb
    fields[2:, 0] = [[0.5, 0.0, -0.3], [0.5, -0.2, 0.3]]
    assert strongest_field(fields)[:, 0].T.tolist() == [[0.5, 0.5], [0.0, -0.2], [0.0, 0.5]]


def test_a_figure_shows_maps_where_they_are_in_the_image():
    """The image of 80 x 40 pixels was halved, and filled up to 64 x 32 pixels."""
    fields = torch.zeros(2, 4, 8)
    fields[0, 1, 2] = 1
    maps = ImageMaps(torch.zeros(3, 4, 8), fields, np.array([0.5, 0.5]), 8)
    nobody = np.zeros((0, 3))
    image = np.zeros((40, 80, 3), np.uint8)
    poses = Poses(np.zeros((0, 3, 2)), nobody, np.zeros((0, 4)), JOINTS, image)
    figure = fields_figure(maps, poses)
    titles = [axis.get_title() for axis in figure.axes[:4]]
    assert titles[0] == '0 found' and titles[3] == 'direction'
    assert titles[2] == 'fields of 1 limbs, as neck to left hip'
    for axis in figure.axes[1:3]:
        assert axis.images[1].get_extent() == [-0.5, 127.5, 63.5, -0.5]
        assert axis.get_xlim() == (-0.5, 79.5) and axis.get_ylim() == (39.5, -0.5)
    shown = figure.axes[2].images[1]
    assert shown.get_array()[1, 2].tolist() == [1, 0, 0] and shown.get_alpha()[1, 2] == 1
    assert shown.get_alpha().sum() == 1
    figure.canvas.draw()
