"""Belief maps of every stage, and how they are drawn."""

import numpy as np
import torch
from cpm_testing.heads import FLIP, SIZE, estimator, samples

from cpm_plugin.mmpose import stage_panels
from cpm_plugin.mmpose.stage_panels import crop_of, draw_belief_rows, stage_beliefs


def test_beliefs_are_those_of_the_joints_with_the_mirrored_image_if_the_config_says_so():
    inputs = torch.rand(2, 3, SIZE[1], SIZE[0])
    batch = dict(inputs=inputs, data_samples=samples([[1, 1, 1]] * 2))
    for flip in (False, True):
        model = estimator(flip_test=flip, flip_mode='heatmap', shift_heatmap=False)
        with torch.no_grad():
            found, people = stage_beliefs(model, batch)
            plain, mirrored = (model.head(model.extract_feat(x)) for x in (inputs, inputs.flip(-1)))
        assert len(people) == 2 and len(found) == len(plain) == 2
        for maps, one, other in zip(found, plain, mirrored, strict=True):
            expected = one[:, :3]
            if flip:
                expected = (expected + other[:, :3].flip(-1)[:, FLIP]) / 2
            torch.testing.assert_close(maps, expected)


def test_crop_is_rgb_without_the_center_map():
    inputs = torch.arange(4.0)[:, None, None].expand(4, 2, 3)
    crop = crop_of(inputs)
    assert crop.shape == (2, 3, 3) and crop.dtype == np.uint8
    assert (crop == [2, 1, 0]).all()


def test_rows_are_people_and_columns_the_crop_and_the_maps_over_it(monkeypatch):
    monkeypatch.setattr(stage_panels, 'SIDE', 32)
    crops = [np.full((48, 64, 3), value, np.uint8) for value in (200, 100)]
    maps = np.zeros((2, 3, 6, 8), np.float32)
    maps[1, 2] = 1.0
    image = draw_belief_rows(crops, [maps, maps[::-1]])
    assert image.shape == (2 * 24, 3 * 32, 3) and image.dtype == np.uint8
    tiles = image.reshape(2, 24, 3, 32, 3).swapaxes(1, 2)
    # the crop, half of it where the maps are 0, and white where the largest of them is 1
    expected = [[200, 100, 255], [100, 255, 50]]
    assert [[set(tile.ravel().tolist()) for tile in row] for row in tiles] == [
        [{value} for value in row] for row in expected
    ]
