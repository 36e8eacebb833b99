"""Peaks of belief maps with several people: positions, plateaus, limits."""

import numpy as np
import pytest
import torch

from cpm_plugin.core import decode_peaks, ideal_belief_maps
from cpm_plugin.core.maps import find_peaks

SIZE = (46, 46)


def cells_of(maps, **options):
    """(column, row) in cells of all peaks of one map."""
    peaks = find_peaks(np.array([maps], dtype=float), **options)
    return [tuple(cell) for cell in ((peaks.positions - 3.5) / 8).round(6).tolist()]


@pytest.mark.parametrize(
    'position',
    [
        (100, 200), (11.5, 19.5), (15.5, 23.5), (15.5, 20), (7.4, 7.6), (0.5, 180), (180, 1.0),
        (366, 180), (180, 366.5), (0, 0), (367, 367), (367, 0), (3.5, 363.5),
    ],
)  # fmt: skip
def test_a_peak_is_where_the_joint_is(position):
    maps = ideal_belief_maps([[position]], [[1]], SIZE)
    peaks = find_peaks(maps)
    np.testing.assert_allclose(peaks.positions, [position], atol=1e-3)
    positions, scores = decode_peaks(maps)
    np.testing.assert_array_equal(peaks.positions, positions)
    np.testing.assert_array_equal(peaks.scores, scores)


def test_peaks_of_several_people():
    rng = np.random.default_rng(0)
    # 45 pixels and more from each other: no Gaussian reaches into another
    points = np.stack(np.meshgrid([20, 80, 140, 200], [30, 90, 150]), -1).reshape(12, 1, 2)
    points = points + rng.uniform(-7, 7, (12, 3, 2))
    seen = rng.random((12, 3)) < 0.7
    peaks = find_peaks(ideal_belief_maps(points, seen, SIZE))
    assert np.bincount(peaks.joints).tolist() == seen.sum(axis=0).tolist()
    for joint in range(3):
        found = peaks.positions[peaks.joints == joint]
        expected = points[seen[:, joint], joint]
        distances = np.linalg.norm(found[:, None] - expected, axis=2)
        np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-3)
        assert sorted(distances.argmin(axis=1)) == list(range(len(expected)))
        assert (np.diff(peaks.scores[peaks.joints == joint]) <= 0).all()


def test_two_cells_apart_are_two_people():
    maps = np.zeros((5, 7))
    maps[2] = [0, 0.4, 0.9, 0.6, 0.8, 0.4, 0]
    assert len(cells_of(maps)) == 2
    maps[2, 3] = 0.85
    assert len(cells_of(maps)) == 1
    # diagonally, too
    maps[:] = 0
    maps[1, 1], maps[2, 2] = 0.9, 0.8
    assert len(cells_of(maps)) == 1


@pytest.mark.parametrize(
    ('cells', 'middle'),
    [
        ([(2, 2), (2, 3)], (2.5, 2)),  # (row, column) of equal cells; (x, y) of the peak
        ([(2, 2), (3, 2)], (2, 2.5)),
        ([(2, 2), (2, 3), (3, 2), (3, 3)], (2.5, 2.5)),
        ([(2, 2), (2, 3), (2, 4)], (3, 2)),
        ([(1, 1), (2, 2), (3, 3)], (2, 2)),
        ([(1, 1), (2, 2), (1, 3)], (2, 2)),  # two of which have no equal cell before them
        ([(0, 0), (0, 1)], (0.5, 0)),
    ],
)
def test_equal_cells_side_by_side_are_one_peak(cells, middle):
    maps = np.full((6, 6), 0.1)
    for row, column in cells:
        maps[row, column] = 0.8
    assert cells_of(maps, threshold=0.2) == [middle]


def test_plateau_with_a_larger_cell_at_its_edge_is_no_peak():
    maps = np.zeros((5, 9))
    maps[2, 1:7], maps[2, 7] = 0.5, 0.6
    ((column, row),) = cells_of(maps)
    assert row == 2 and 6.5 <= column <= 7.5
    # and two plateaus are two
    maps[2, 1:9] = [0.5, 0.5, 0.2, 0.1, 0.2, 0.5, 0.5, 0]
    assert cells_of(maps) == [(1.5, 2), (6.5, 2)]


def test_a_map_of_equal_values_has_one_peak_in_its_middle():
    assert cells_of(np.ones((5, 7))) == [(3, 2)]
    assert cells_of(np.zeros((5, 7))) == []
    assert cells_of(np.ones((1, 1))) == [(0, 0)]


def test_a_peak_is_larger_than_the_threshold():
    maps = np.zeros((5, 5))
    maps[2, 2] = 0.3
    assert len(cells_of(maps, threshold=0.29)) == 1
    assert cells_of(maps, threshold=0.3) == []
    maps[2, 2] = 0.051
    assert len(cells_of(maps)) == 1
    maps[2, 2] = 0.05
    assert cells_of(maps) == []


def test_the_strongest_peaks_of_each_map_are_kept():
    maps = np.zeros((2, 3, 9))
    maps[0, 1, 1::2] = [0.3, 0.9, 0.5, 0.7]
    maps[1, 1, 1::2] = [0.4, 0.2, 0.6, 0]
    peaks = find_peaks(maps, max_peaks=2)
    assert peaks.joints.tolist() == [0, 0, 1, 1]
    assert peaks.scores.tolist() == [0.9, 0.7, 0.6, 0.4]
    assert ((peaks.positions[:, 0] - 3.5) / 8).round().tolist() == [3, 7, 5, 1]
    assert find_peaks(maps).scores.tolist() == [0.9, 0.7, 0.5, 0.3, 0.6, 0.4, 0.2]


def test_tensors_of_any_type():
    maps = ideal_belief_maps([[[100, 200]]], [[1]], SIZE)
    tensor = torch.from_numpy(maps).requires_grad_()
    np.testing.assert_array_equal(find_peaks(tensor).positions, find_peaks(maps).positions)
    found = find_peaks(tensor.bfloat16()).positions
    np.testing.assert_allclose(found, [[100, 200]], atol=0.1)


def test_stride():
    maps = ideal_belief_maps([[[30, 41]]], [[1]], SIZE, stride=4, sigma=3)
    np.testing.assert_allclose(find_peaks(maps, stride=4).positions, [[30, 41]], atol=1e-3)


def test_mistakes_are_named():
    with_nan = np.zeros((2, 3, 4))
    with_nan[1, 2, 3] = np.nan
    for maps, options, message in (
        (np.zeros((3, 4)), {}, r'heatmaps of shape \(3, 4\): expected \(channels, height, width\)'),
        (np.zeros((2, 0, 4)), {}, r'shape \(2, 0, 4\)'),
        (with_nan, {}, 'heatmaps have nan in channel 1, row 2, column 3'),
        (-np.full((1, 2, 2), np.inf), {}, 'heatmaps have -inf in channel 0, row 0'),
        (np.zeros((2, 3, 4)), {'max_peaks': 0}, 'max_peaks is 0; it must be 1 or more'),
    ):
        with pytest.raises(ValueError, match=message):
            find_peaks(maps, **options)
    assert find_peaks(np.zeros((0, 3, 4))).positions.shape == (0, 2)
