"""Decoding inside a network finds what decode_peaks finds, for each kind of peak."""

import numpy as np
import pytest
import torch

from cpm_plugin.core import decode_peaks
from cpm_plugin.core.maps import ideal_belief_maps
from cpm_plugin.core.prediction.decoded import DecodedPeaks, peaks_apart


def decoded(maps, stride=8, num_keypoints=None):
    maps = torch.as_tensor(maps)
    return DecodedPeaks(torch.nn.Identity(), num_keypoints or maps.shape[1], stride)(maps)


def assert_decoded(maps, stride=8, atol=1e-3):
    points, scores = decoded(maps, stride)
    expected, beliefs = decode_peaks(maps, stride=stride)
    assert points.dtype == scores.dtype == torch.float32
    np.testing.assert_allclose(points.numpy(), expected, rtol=0, atol=atol)
    np.testing.assert_allclose(scores.numpy(), beliefs, rtol=1e-6)
    return points.numpy()


@pytest.mark.parametrize('stride', [4, 8])
def test_gaussians_are_found_between_cells(stride):
    truth = np.array(
        [[[12.0, 20.0], [23.3, 17.1], [30.9, 9.6]], [[8.0, 8.0], [20.5, 25.0], [9, 31]]]
    )
    maps = np.stack([ideal_belief_maps(one[None], np.ones((1, 3)), (12, 10), stride=stride)
                     for one in truth])  # fmt: skip
    inside = truth / stride < np.array([11.5, 9.5])  # else the keypoint is outside the maps
    points = assert_decoded(maps, stride)
    np.testing.assert_allclose(points[inside], truth[inside], atol=2e-3)


def test_keypoints_in_pixels_by_hand():
    maps = np.zeros((1, 2, 4, 5), np.float32)
    maps[0, 0, 1, 2] = 1  # a lone cell: its neighbors are equal
    # beliefs e^0, e^-1, e^-3 from the peak to the right, e^-3 on the left: (l - r) / (2 bend)
    # = (-3 + 1) / (2 * (-3 - 1)) = 1/4 of a cell
    maps[0, 1, 2, 1:4] = np.exp([-3.0, 0.0, -1.0])
    points, scores = decoded(maps)
    np.testing.assert_allclose(points[0], [[2 * 8 + 3.5, 8 + 3.5], [2.25 * 8 + 3.5, 2 * 8 + 3.5]])
    assert scores.tolist() == [[1, 1]]


@pytest.mark.parametrize('row', [0, 1, 6])
@pytest.mark.parametrize('column', [0, 1, 8])
def test_peaks_at_borders_and_corners(row, column):
    maps = torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.1
    maps[0, 0, row, column] = 0.9
    assert_decoded(maps)


@pytest.mark.parametrize(
    'maps',
    [
        np.zeros((1, 1, 4, 4)),
        np.full((1, 1, 4, 4), 0.5),
        np.array([[[[0.1, 0.7, 0.7, 0.1]] * 3]]),
        np.full((1, 1, 4, 4), -0.2),
        np.array([[[[0.2, 0.9]]]]),
        np.array([[[[0.2, 0.9, 0.3], [0.1, 0.3, 0.2]]]]),
    ],
    ids=['zero', 'plateau', 'two equal cells', 'negative', 'one row', 'two rows'],
)
def test_maps_without_a_parabola(maps):
    assert_decoded(maps.astype(np.float32))


def test_random_maps():
    maps = torch.randn(20, 5, 16, 12, generator=torch.Generator().manual_seed(3)) * 0.3
    assert_decoded(maps)


def test_the_background_is_left_out_and_float16_computed_in_float32():
    maps = torch.rand(2, 4, 32, 32, generator=torch.Generator().manual_seed(4)).half()
    points, scores = decoded(maps, num_keypoints=3)
    assert points.shape == (2, 3, 2) and scores.shape == (2, 3)
    np.testing.assert_allclose(points, decode_peaks(maps[:, :3])[0], rtol=0, atol=1e-3)


PEAK = torch.tensor(ideal_belief_maps([[[19.5, 11.5]]], [[1]], size=(6, 6)))[None]


@pytest.mark.parametrize(
    ('move', 'score', 'expected'),
    [
        ((0, 0), 0, 0),
        ((0, 0), 0.01, 0.01),
        # Beliefs of the neighbors are exp(-32 / 49) = 0.5205, so logarithms bend by 64 / 49; a
        # tenth of a cell is 0.1 * 2 * 64 / 49 * 0.5205
        ((0.8, 0), 0, 0.13597),
        ((0, -0.8), 0.01, 0.13597),
        ((8, 0), 0, 1 - 0.52044),  # the next cell
    ],
)
def test_what_a_file_may_miss_is_measured_in_beliefs(move, score, expected):
    points, scores = torch.tensor([[[19.5, 11.5]]]) + torch.tensor(move), torch.tensor([[1.0]])
    assert peaks_apart((points, scores - score), PEAK, 8) == pytest.approx(expected, abs=2e-5)


def test_equal_peaks_may_be_exchanged():
    maps = torch.zeros(1, 1, 5, 9)
    maps[0, 0, 2, [1, 6]] = torch.tensor([0.7, 0.7 - 1e-6])
    other = torch.tensor([[[6 * 8 + 3.5, 2 * 8 + 3.5]]])
    assert peaks_apart((other, torch.tensor([[0.7]])), maps, 8) < 1e-5
    assert peaks_apart((other - 8, torch.tensor([[0.7]])), maps, 8) == pytest.approx(1)


@pytest.mark.parametrize(
    ('points', 'scores'),
    [
        (torch.full((1, 1, 2), torch.nan), torch.ones(1, 1)),
        (torch.tensor([[[19.5, 11.5]]]), torch.full((1, 1), torch.nan)),
        (torch.tensor([[[-1.0, 11.5]]]), torch.ones(1, 1)),
        (torch.tensor([[[19.5, 48.0]]]), torch.ones(1, 1)),
        (torch.tensor([[[19.5, 11.5]]] * 2), torch.ones(2, 1)),
        (torch.tensor([[[19.5, 11.5, 0]]]), torch.ones(1, 1)),
    ],
    ids=['NaN', 'NaN score', 'left of the maps', 'below the maps', 'batch', 'axes'],
)
def test_other_shapes_and_places_are_infinitely_different(points, scores):
    assert peaks_apart((points, scores), PEAK, 8) == np.inf
