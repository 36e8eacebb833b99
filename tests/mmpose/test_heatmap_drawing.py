"""Targets are drawn without the background, which would cover them."""

import numpy as np
import torch
from mmengine.structures import PixelData

from cpm_plugin.mmpose import CPMHeatmap
from cpm_plugin.mmpose.heatmap_drawing import install, without_background

from mmpose.visualization import PoseLocalVisualizer


def targets(background):
    codec = CPMHeatmap((64, 64), (8, 8), sigma=8.0, background=background)
    keypoints = np.array([[[11.5, 11.5], [43.5, 51.5]]])
    return codec.encode(keypoints)['heatmaps']


def test_the_background_is_told_by_its_values():
    with_it, without = targets(True), targets(False)
    assert with_it.shape == (3, 8, 8)
    np.testing.assert_array_equal(without_background(with_it), without)
    assert without_background(without) is without
    assert torch.equal(without_background(torch.from_numpy(with_it)), torch.from_numpy(without))


def test_stocks_visualizer_draws_what_it_draws_without_a_background():
    install()  # again
    image = np.full((64, 64, 3), 90, np.uint8)
    drawn = [
        PoseLocalVisualizer()._draw_instance_heatmap(
            PixelData(heatmaps=torch.from_numpy(targets(background))), image
        )
        for background in (True, False)
    ]
    np.testing.assert_array_equal(*drawn)
    assert (drawn[0][11, 11] != drawn[0][11, 50]).any()  # the peak is another color


def test_the_fields_of_the_sample_are_as_before():
    fields = PixelData(heatmaps=torch.from_numpy(targets(True)))
    PoseLocalVisualizer()._draw_instance_heatmap(fields, np.zeros((64, 64, 3), np.uint8))
    assert len(fields.heatmaps) == 3
