"""Features of cells, worked out by hand."""

import cv2
import numpy as np
import pytest

from cpm_plugin.apps.forest_features import (
    BINS,
    CHANNELS,
    all_cells,
    belief_patches,
    cell_maps,
    image_features,
    offset_features,
    patches,
    strongest_peaks,
)

RED = np.array([53.24, 80.09, 67.20]) / 100  # L, a and b of pure red in sRGB


def beliefs_with(*peaks, size=(6, 8)):
    """Maps with a belief at cells: ``(joint, row, column, belief)``."""
    maps = np.zeros((1 + max(peak[0] for peak in peaks), *size))
    for joint, row, column, belief in peaks:
        maps[joint, row, column] = belief
    return maps


def test_colors_are_those_of_the_cell_and_of_the_border_beyond():
    crop = np.zeros((24, 40, 3), np.uint8)
    crop[8:16, 32:40] = (0, 0, 255)  # BGR: cell (1, 4), at the right border
    colors = cell_maps(crop, margin=2)[..., BINS:].astype(float)
    assert colors.shape == (7, 9, 3)
    expected = np.zeros((7, 9, 3))
    expected[1 + 2, 4 + 2 :] = RED
    np.testing.assert_allclose(colors, expected, atol=2e-3)


@pytest.mark.parametrize(
    ('edge', 'cells', 'bins'),
    [
        # from the left to the right: 0 degrees, between the last direction and the first
        ((slice(None), slice(16, None)), (slice(None), slice(1, 3)), [0, 8]),
        # downwards: 90 degrees, the middle of the fifth direction
        ((slice(8, None), slice(None)), (slice(0, 2), slice(None)), [4]),
    ],
)
def test_gradients_are_at_the_edge_and_across_it(edge, cells, bins):
    crop = np.zeros((24, 40, 3), np.uint8)
    crop[edge] = 200
    histograms = cell_maps(crop, margin=0)[..., :BINS].astype(float)
    assert histograms.shape == (3, 5, BINS)
    beside = np.ones((3, 5), bool)
    beside[cells] = False
    assert (histograms[~beside][:, bins] > 0.1).all()
    assert (np.delete(histograms, bins, axis=2) == 0).all()
    # trilinear weights lay a small part on the cells next to these
    assert histograms[beside].max() < 0.5 * histograms[~beside][:, bins].min()


def test_a_diagonal_edge_has_its_own_direction():
    crop = np.uint8(200) * (np.add.outer(range(32), range(32)) > 31).astype(np.uint8)
    histogram = cell_maps(np.stack([crop] * 3, axis=2), margin=0)[1, 2, :BINS].astype(float)
    assert histogram.argmax() == 2  # 45 degrees, among 40 to 60


def test_patches_by_hand():
    maps = np.arange(2 * 30).reshape(2, 5, 6).transpose(1, 2, 0)  # a cell (r, c) has 6 r + c
    cut = patches(maps, np.array([[0, 0], [2, 3]]), radius=1, margin=1)
    square = np.array([0, 1, 2, 6, 7, 8, 12, 13, 14])
    assert cut[0].tolist() == [*square, *(square + 30)]
    assert cut[1].tolist() == [*(square + 15), *(square + 45)]
    assert patches(maps, np.array([[0, 0]]), radius=0, margin=1).tolist() == [[7, 37]]


def test_image_features_end_with_the_place():
    maps = cell_maps(np.zeros((16, 24, 3), np.uint8), margin=1)
    features = image_features(maps, np.array([[1, 2], [0, 0]]), radius=1, margin=1)
    assert features.shape == (2, 9 * CHANNELS + 2) and features.dtype == np.float32
    assert features[:, -2:].tolist() == [[1, 2], [0, 0]]
    assert (features[:, :-2] == 0).all()


def test_beliefs_beyond_the_maps_are_0():
    beliefs = np.arange(1, 13, dtype=np.float32).reshape(1, 3, 4)
    corner, middle = belief_patches(beliefs, np.array([[0, 3], [1, 1]]), radius=1)
    assert corner.tolist() == [0, 0, 0, 3, 4, 0, 7, 8, 0]
    assert middle.tolist() == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert belief_patches(beliefs, np.array([[2, 0]]), radius=3)[0].sum() == 78


def test_peaks_are_the_strongest_in_order_and_the_last_fills_up():
    maps = beliefs_with((0, 1, 1, 0.4), (0, 4, 6, 0.9), (0, 4, 3, 0.6), (1, 2, 5, 0.7))
    positions, scores = strongest_peaks(maps, 2)
    strongest, second = [8 * 6 + 3.5, 8 * 4 + 3.5], [8 * 3 + 3.5, 8 * 4 + 3.5]
    np.testing.assert_allclose(positions, [[strongest, second], [[43.5, 19.5]] * 2])
    np.testing.assert_allclose(scores, [[0.9, 0.6], [0.7, 0.7]])
    positions, scores = strongest_peaks(maps[:1], 5)
    assert scores[0].tolist() == [0.9, 0.6, 0.4, 0.4, 0.4]
    assert positions[0, 2:].tolist() == [[11.5, 11.5]] * 3


def test_a_map_without_beliefs_has_a_peak():
    positions, scores = strongest_peaks(np.zeros((2, 3, 3)), 2)
    assert positions.tolist() == [[[11.5, 11.5]] * 2] * 2 and (scores == 0).all()


def test_offsets_to_a_known_peak():
    maps = beliefs_with((1, 2, 5, 0.5))
    cells = np.array([[2, 2], [5, 5], [2, 5], [1, 6]])
    features = offset_features(maps, cells, 1).reshape(4, 2, 3)[:, 1]
    assert features.dtype == np.float32
    np.testing.assert_allclose(
        features,
        [
            [np.log(4), 0, 0.5],  # three cells to the right
            [np.log(4), -np.pi / 2, 0.5],  # three cells above
            [0, 0, 0.5],
            [np.log(1 + np.sqrt(2)), 3 * np.pi / 4, 0.5],  # to the left, and below
        ],
        atol=1e-6,
    )


def test_cells_go_row_by_row():
    assert all_cells((2, 3)).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_what_is_no_crop_is_refused(monkeypatch):
    with pytest.raises(ValueError, match='20 x 16 pixels: both must be multiples of 8'):
        cell_maps(np.zeros((16, 20, 3), np.uint8), 1)
    with pytest.raises(ValueError, match=r'shape \(16, 16, 3\) in float64: give \(H, W, 3\)'):
        cell_maps(np.zeros((16, 16, 3)), 1)
    with pytest.raises(ValueError, match='radius 2: must be from 0 to the margin, 1'):
        patches(np.zeros((3, 3, 1)), np.zeros((1, 2), int), 2, 1)
    monkeypatch.delattr(cv2, 'HOGDescriptor')
    with pytest.raises(ValueError, match=r'has no HOGDescriptor; pip install'):
        cell_maps(np.zeros((16, 16, 3), np.uint8), 1)
