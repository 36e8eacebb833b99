"""Ideal belief maps, center map and decoding, against numbers computed by hand."""

import math

import numpy as np
import pytest
import torch

from cpm_plugin.core import background_map, center_map, decode_peaks, ideal_belief_maps
from cpm_plugin.core.maps.belief_maps import position_in_map


def one_joint(x, y, size=(8, 6), **options):
    """The (height, width) map of a single joint."""
    return ideal_belief_maps([[[x, y]]], [[1]], size, **options)[0]


def gaussian(x, y, size, stride, sigma):
    """Written a second time, cell by cell and without truncation."""
    width, height = size
    return np.array(
        [
            [
                math.exp(
                    -((stride * u + (stride - 1) / 2 - x) ** 2) / (2 * sigma**2)
                    - (stride * v + (stride - 1) / 2 - y) ** 2 / (2 * sigma**2)
                )
                for u in range(width)
            ]
            for v in range(height)
        ]
    )


# Ideal maps


def test_values_around_a_joint_at_a_cells_center():
    belief = one_joint(3.5 + 8 * 3, 3.5 + 8 * 2)  # cell (3, 2)
    assert belief.shape == (6, 8)
    assert belief.dtype == np.float32
    assert belief[2, 3] == 1
    next_cell = 0.5204501  # exp(-64 / 98)
    for row, column in [(2, 2), (2, 4), (1, 3), (3, 3)]:
        assert belief[row, column] == pytest.approx(next_cell, rel=1e-6)
    assert belief[1, 2] == pytest.approx(0.2708683, rel=1e-6)  # exp(-128 / 98)
    assert belief[2, 5] == pytest.approx(0.07336965, rel=1e-6)  # exp(-256 / 98)
    assert belief[4, 5] == 0  # exp(-512 / 98) = 0.005 < 0.01
    assert np.count_nonzero(belief) == 21  # the 5 x 5 cells around it but for the corners


def test_values_off_the_center_tell_x_from_y():
    belief = one_joint(10, 20)  # cell (1, 2) is at (11.5, 19.5)
    assert belief[2, 1] == pytest.approx(math.exp(-(1.5**2 + 0.5**2) / 98), rel=1e-6)
    assert belief[1, 1] == pytest.approx(math.exp(-(1.5**2 + 8.5**2) / 98), rel=1e-6)
    assert belief[2, 2] == pytest.approx(math.exp(-(9.5**2 + 0.5**2) / 98), rel=1e-6)


def test_sigma_and_stride_are_in_input_pixels():
    belief = one_joint(5.5, 1.5, stride=4, sigma=5)  # cell (1, 0)
    assert belief[0, 1] == 1
    assert belief[0, 0] == pytest.approx(0.7261490, rel=1e-6)  # exp(-16 / 50)
    assert belief[2, 1] == pytest.approx(0.2780373, rel=1e-6)  # exp(-64 / 50)


# sqrt(2 ln 100) sigma = 21.2439 pixels at sigma 7
@pytest.mark.parametrize('distance, value', [(21.24, 0.01001727), (21.25, 0.0)])
@pytest.mark.parametrize('direction', [(1, 0), (0, 1), (-1, 0), (0.6, -0.8)])
def test_truncated_at_one_hundredth(distance, value, direction):
    x, y = 27.5 + distance * direction[0], 27.5 + distance * direction[1]
    assert one_joint(x, y)[3, 3] == pytest.approx(value, rel=1e-6)


def test_truncation_is_an_option():
    assert one_joint(27.5, 3.5 + 40, truncation=0)[0, 3] == pytest.approx(8.119e-8, rel=1e-3)
    assert np.count_nonzero(one_joint(27.5, 19.5, truncation=0.5)) == 5


def test_joint_that_is_not_labeled_has_an_empty_map():
    points = [[[27.5, 19.5], [27.5, 19.5], [np.nan, np.nan], [3.5, 3.5]]]
    maps = ideal_belief_maps(points, [[0, 0.4, 0, 0.5]], (8, 6))
    assert maps.shape == (4, 6, 8)
    np.testing.assert_array_equal(maps[:3], 0)  # NaN would fail here too
    assert maps[3, 0, 0] == 1


@pytest.mark.parametrize('value', [np.nan, np.inf], ids=str)
def test_labeled_joint_that_is_not_finite_is_named(value):
    points = np.full((2, 3, 2), 5.0)
    points[1, 2] = (4, value)
    message = rf'keypoint 2 of person 1 is labeled, but at \[4\.0, {value}\], which is not finite'
    with pytest.raises(ValueError, match=message):
        ideal_belief_maps(points, np.ones((2, 3)), (8, 6))


def test_two_people_give_the_sum_of_their_beliefs_cut_at_one():
    first, second = one_joint(19.5, 19.5), one_joint(35.5, 22)
    both = ideal_belief_maps([[[19.5, 19.5]], [[35.5, 22]]], [[1], [1]], (8, 6))[0]
    np.testing.assert_allclose(both, np.minimum(first + second, 1), atol=1e-7)
    # cell (3, 2) is 8 pixels from the first; 8 and 2.5 from the second: 0.52 + 0.49 is cut
    assert first[2, 3] + second[2, 3] == pytest.approx(
        math.exp(-64 / 98) + math.exp(-70.25 / 98), rel=1e-6
    )
    assert both[2, 3] == 1
    # cell (5, 2) is out of the first one's reach: 24 pixels
    assert both[2, 5] == second[2, 5] > 0


def test_person_without_the_joint_does_not_change_the_others_map():
    points = [[[19.5, 19.5]], [[0, 0]]]
    both = ideal_belief_maps(points, [[1], [0]], (8, 6))[0]
    np.testing.assert_array_equal(both, one_joint(19.5, 19.5))


def test_no_people_give_empty_maps():
    maps = ideal_belief_maps(np.zeros((0, 2, 2)), np.zeros((0, 2)), (4, 3))
    np.testing.assert_array_equal(maps, np.zeros((2, 3, 4)))


def test_background_is_one_minus_the_largest_belief():
    maps = np.float32([[[0, 0.25, 1]], [[0.5, 0.75, 0.5]]])
    background = background_map(maps)
    np.testing.assert_array_equal(background, [[[0.5, 0.25, 0]]])
    assert background.dtype == np.float32


@pytest.mark.parametrize('stride', [4, 8])
def test_mirrored_image_has_exactly_the_mirrored_map(stride):
    size = (8, 6)
    points = np.array([[[9.25, 30.5], [0, 17]], [[26.75, 3.125], [31, 8]]])
    mirrored = points.copy()
    mirrored[..., 0] = stride * size[0] - 1 - points[..., 0]
    upside_down = points.copy()
    upside_down[..., 1] = stride * size[1] - 1 - points[..., 1]
    maps, mirrored_maps, upside_down_maps = (
        ideal_belief_maps(p, np.ones((2, 2)), size, stride=stride)
        for p in (points, mirrored, upside_down)
    )
    np.testing.assert_array_equal(mirrored_maps, maps[:, :, ::-1])
    np.testing.assert_array_equal(upside_down_maps, maps[:, ::-1])


def test_joint_outside_the_image_draws_the_part_inside():
    belief = one_joint(-4.5, 19.5)  # 8 pixels left of cell (0, 2)
    assert belief[2, 0] == pytest.approx(math.exp(-64 / 98), rel=1e-6)
    assert belief[2, 1] == pytest.approx(math.exp(-256 / 98), rel=1e-6)
    np.testing.assert_array_equal(belief[2, 2:], 0)
    np.testing.assert_array_equal(one_joint(-30, 19.5), 0)
    np.testing.assert_array_equal(one_joint(1e6, -1e6), 0)


@pytest.mark.parametrize(
    'points, labeled',
    [((3, 2), (3,)), ((1, 3, 3), (1, 3)), ((2, 3, 2), (3, 2)), ((2, 3, 2), (2, 3, 1))],
)
def test_shapes_that_do_not_fit_are_named(points, labeled):
    with pytest.raises(ValueError, match='must be') as error:
        ideal_belief_maps(np.zeros(points), np.ones(labeled), (4, 4))
    assert str(points) in str(error.value)
    assert str(labeled) in str(error.value)


@pytest.mark.parametrize('option', [{'sigma': 0}, {'sigma': -7}, {'stride': 0}])
def test_sigma_and_stride_must_be_positive(option):
    with pytest.raises(ValueError, match=str(next(iter(option.values()))) + r'\b.*positive'):
        one_joint(1, 1, **option)


# Center map


def test_center_map_is_one_in_the_middle_and_symmetric():
    heat = center_map((9, 5))
    assert heat.shape == (5, 9)
    assert heat.dtype == np.float32
    assert heat[2, 4] == 1
    assert heat[2, 5] == pytest.approx(0.9988669, rel=1e-6)  # exp(-1 / 882)
    np.testing.assert_array_equal(heat, heat[::-1])
    np.testing.assert_array_equal(heat, heat[:, ::-1])


def test_center_map_of_even_sides_is_centered_between_pixels():
    heat = center_map((64, 32))
    np.testing.assert_array_equal(heat[15:17, 31:33], np.float32(math.exp(-0.5 / 882)))
    np.testing.assert_array_equal(heat, heat[::-1, ::-1])
    assert heat.max() == heat[15, 31]


def test_center_map_of_another_center_and_sigma():
    heat = center_map((64, 48), (10, 30))
    assert heat[30, 10] == 1
    assert heat[30, 31] == pytest.approx(math.exp(-0.5), rel=1e-6)  # one sigma
    assert heat[9, 31] == pytest.approx(math.exp(-1), rel=1e-6)
    narrow = center_map((64, 48), (10, 30), sigma=4)
    assert narrow[30, 18] == pytest.approx(math.exp(-2), rel=1e-6)


# Decoding


def test_vertex_of_the_log_parabola_computed_by_hand():
    belief = np.full((3, 5), 1e-4)
    belief[1, 1:4] = np.exp([-1.0, 0.0, -3.0])  # vertex at -1/4
    belief[:, 2] = np.exp([-5.0, 0.0, -3.0])  # vertex at +1/8
    positions, scores = decode_peaks(belief[None])
    np.testing.assert_allclose(positions, [[8 * 1.75 + 3.5, 8 * 1.125 + 3.5]], rtol=1e-12)
    assert scores == [1]


GRIDS = [(8, 7.0), (8, 5.0), (8, 14.0), (4, 5.0), (4, 3.0), (1, 1.0)]


@pytest.mark.parametrize('stride, sigma', GRIDS)
def test_gaussian_decodes_to_exactly_its_position(stride, sigma):
    """Inside, in each border row and column, and in the corners, out to the last pixel."""
    width, height = 9, 7
    along_x = [0, 0.3 * stride, 3.3 * stride, 4.5 * stride, 8.4 * stride, width * stride - 1]
    along_y = [0, 0.2 * stride, 3.9 * stride, 6.3 * stride, height * stride - 1]
    points = np.array([(x, y) for x in along_x for y in along_y])
    maps = np.stack([gaussian(x, y, (width, height), stride, sigma) for x, y in points])
    positions, scores = decode_peaks(maps, stride=stride)
    np.testing.assert_allclose(positions, points, atol=1e-4, rtol=0)
    np.testing.assert_array_equal(scores, maps.max(axis=(1, 2)))


@pytest.mark.parametrize('stride, sigma', [(8, 7.0), (4, 3.5)])
def test_ideal_map_decodes_to_the_joint(stride, sigma):
    """Truncated, single-precision maps as they are trained on, anywhere in the image."""
    size = (23, 17)
    limits = np.array(size) * stride - 1
    points = np.random.default_rng(3).uniform(0, limits, (2, 60, 2))
    points[1, :4] = [(0, 0), (0, limits[1]), (limits[0], 0), limits]
    maps = np.stack(
        [
            ideal_belief_maps(p[None], np.ones((1, 60)), size, stride=stride, sigma=sigma)
            for p in points
        ]
    )
    positions, scores = decode_peaks(maps, stride=stride)
    assert positions.shape == (2, 60, 2)
    assert scores.shape == (2, 60)
    np.testing.assert_allclose(positions, points, atol=1e-4, rtol=0)


def test_height_and_shape_of_the_peak_do_not_matter_only_its_place():
    belief = gaussian(30.2, 20.9, (8, 6), 8, 7)
    positions, scores = decode_peaks(np.stack([belief, 0.3 * belief]))
    np.testing.assert_allclose(positions, [[30.2, 20.9]] * 2, atol=1e-9)
    assert scores[1] == pytest.approx(0.3 * belief.max(), rel=1e-12)


def test_batches_keep_their_order():
    maps = np.zeros((2, 3, 4, 5))
    cells = np.array([[(0, 0), (1, 2), (4, 3)], [(2, 1), (3, 0), (0, 3)]])
    for n in range(2):
        for k in range(3):
            maps[n, k, cells[n, k, 1], cells[n, k, 0]] = 1 + n + 10 * k
    positions, scores = decode_peaks(maps, subpixel=False)
    np.testing.assert_array_equal(positions, 8 * cells + 3.5)
    np.testing.assert_array_equal(scores, [[1, 11, 21], [2, 12, 22]])
    single, single_score = decode_peaks(maps[1, 2])
    assert single.shape == (2,)
    assert single_score == 22


def test_empty_batch():
    positions, scores = decode_peaks(np.zeros((0, 3, 4, 5)))
    assert positions.shape == (0, 3, 2)
    assert scores.shape == (0, 3)


def test_without_subpixel_the_center_of_the_cell():
    belief = gaussian(30.2, 20.9, (8, 6), 8, 7)
    positions, _ = decode_peaks(belief, subpixel=False)
    np.testing.assert_array_equal(positions, [27.5, 19.5])
    positions, _ = decode_peaks(belief, subpixel=False, stride=4)
    np.testing.assert_array_equal(positions, [13.5, 9.5])


@pytest.mark.parametrize('value', [0.0, 0.3, 1.0, -0.2])
def test_constant_map_gives_its_first_cell(value):
    positions, score = decode_peaks(np.full((4, 5), value))
    np.testing.assert_array_equal(positions, [3.5, 3.5])
    assert score == value


def test_plateau_along_one_direction_moves_along_the_other_only():
    belief = np.exp([[-1.0] * 5, [0.0] * 5, [-3.0] * 5])
    positions, _ = decode_peaks(belief)
    np.testing.assert_allclose(positions, [3.5, 8 * 0.75 + 3.5], rtol=1e-12)


def test_two_equal_cells_give_the_place_between_them():
    belief = np.full((3, 6), 0.1)
    belief[1, 2:4] = 0.8
    np.testing.assert_allclose(decode_peaks(belief)[0], [8 * 2.5 + 3.5, 11.5], rtol=1e-9)


@pytest.mark.parametrize(
    'line, cell',
    [
        ([1.0, 0.1, 0.09, 0.0], 0.0),  # bends upwards at the border: stays
        ([1.0, 0.3, 0.08, 0.0], -0.5),  # the vertex is 10 cells outside: half a cell at most
        ([0.0, 0.08, 0.3, 1.0], 3.5),
        ([0.0, -1.0, 2.0, -3.0], 2.0),  # both neighbors are noise
        ([0.0, 0.0, 2.0, 0.0], 2.0),
        ([-1.0, -3.0, -2.0, -4.0], 0.0),
    ],
)
def test_lines_that_are_no_gaussian(line, cell):
    """Rows and columns alike; negative and zero beliefs have no logarithm."""
    belief = np.array([line] * 4)
    np.testing.assert_array_equal(decode_peaks(belief)[0], [8 * cell + 3.5, 3.5])
    np.testing.assert_array_equal(decode_peaks(belief.T)[0], [3.5, 8 * cell + 3.5])


def test_one_negative_neighbor_pulls_away_by_less_than_half_a_cell():
    x, y = decode_peaks(np.array([[-1.0, 1.0, 0.9]] * 3))[0]
    assert 8 * 1.4 + 3.5 < x < 8 * 1.5 + 3.5
    assert y == 3.5


@pytest.mark.parametrize('width', [1, 2])
def test_maps_narrower_than_a_parabola(width):
    belief = np.full((5, width), 1e-4)
    belief[1:4, width - 1] = np.exp([-1.0, 0.0, -3.0])
    positions, score = decode_peaks(belief)
    np.testing.assert_allclose(positions, [8 * (width - 1) + 3.5, 8 * 1.75 + 3.5], rtol=1e-12)
    assert score == 1


@pytest.mark.parametrize('shape', [(5,), (3, 0, 4), (3, 4, 0)])
def test_no_map_to_decode_is_named(shape):
    with pytest.raises(ValueError, match=r'expected \(\.\.\., height, width\)') as error:
        decode_peaks(np.zeros(shape))
    assert str(shape) in str(error.value)


# Joints near a map


def test_position_in_map_reaches_three_sigma_beyond_the_outer_cells():
    # 10 x 6 cells: centers from 3.5 to 75.5 and to 43.5; 3 sigma = 21 pixels
    inside = [[-17.5, 20], [96.5, 20], [30, -17.5], [30, 64.5], [0, 0]]
    outside = [[-17.6, 20], [96.6, 20], [30, -17.6], [30, 64.6], [1e5, 1e5]]
    answer = position_in_map([inside, outside], (10, 6))
    np.testing.assert_array_equal(answer, [[True] * 5, [False] * 5])
    assert position_in_map([-4.5, 1.5], (3, 3), stride=4, sigma=2)
    assert not position_in_map([-4.6, 1.5], (3, 3), stride=4, sigma=2)
    assert not position_in_map([np.nan, 5], (10, 6))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('gradient', [False, True])
def test_tensors_decode_as_arrays_of_the_same_numbers(dtype, gradient):
    maps = ideal_belief_maps([[[12.0, 20.0], [33.0, 9.0]]], [[1, 1]], size=(6, 5))
    tensor = torch.from_numpy(maps).to(dtype).requires_grad_(gradient)
    expected = decode_peaks(tensor.detach().float().numpy())
    for found, same in zip(decode_peaks(tensor), expected, strict=True):
        assert found.dtype == np.float64 and (found == same).all()
    assert tensor.requires_grad == gradient
    with pytest.raises(ValueError, match=r'of shape \(5,\)'):
        decode_peaks(torch.zeros(5, dtype=dtype))
