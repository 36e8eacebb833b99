"""Pictures of the page, pixel by pixel, by hand."""

import numpy as np
import pytest

pytest.importorskip('PIL')
from cpm_plugin.apps.page_pictures import (
    belief_picture,
    heat_colors,
    people_picture,
    pose_picture,
    resized,
)
from cpm_plugin.core import JointSet, Poses

HIPS = JointSet(('right_hip', 'left_hip'), links=(('right_hip', 'left_hip'),))
ORANGE, GREEN, WHITE, BLACK = (255, 128, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)
ANY = (1, 10000)  # sides: no image is resized
# BGR; its mean is 60, so that it is 30 where nothing is believed
CROP = np.full((2, 2, 3), (30, 60, 90), np.uint8)


def test_heat_goes_from_black_over_red_and_yellow_to_white():
    found = heat_colors([[-1, 0, 3 / 16], [3 / 8, 9 / 16, 3 / 4], [7 / 8, 1, 2]])
    expected = [
        [BLACK, BLACK, (127.5, 0, 0)],
        [(255, 0, 0), (255, 127.5, 0), (255, 255, 0)],
        [(255, 255, 127.5), WHITE, WHITE],
    ]
    np.testing.assert_allclose(found, expected)


def test_beliefs_are_mixed_with_the_gray_crop():
    """Two cells become four pixels: 0, 0.25, 0.75 and 1. Shares are 0, 1/2, sqrt(3)/2 and 1.

    At 0.25 red is 170: 0.5 * 30 + 0.5 * 170 = 100. At 0.75 it is 255, and green, too:
    0.134 * 30 + 0.866 * 255 = 224.9; blue is 0.134 * 30 = 4.02.
    """
    maps = np.array([[[0.0, 1.0], [0.0, 1.0]]])
    row = [(30, 30, 30), (100, 15, 15), (225, 225, 4), WHITE]
    assert belief_picture(CROP, maps, side=4).tolist() == [[list(color) for color in row]] * 4


def test_one_joint_or_the_largest_of_all():
    maps = np.zeros((2, 2, 2))
    maps[0, 0, 0], maps[1, 1, 1] = 1, 7  # above 1 is 1
    maps[1, 0, 1] = -5  # below 0 is 0
    both = belief_picture(CROP, maps, side=2)
    assert both.tolist() == [[list(WHITE), [30] * 3], [[30] * 3, list(WHITE)]]
    assert belief_picture(CROP, maps, 0, side=2)[1, 1].tolist() == [30] * 3
    assert belief_picture(CROP, maps, 1, side=2)[0, 0].tolist() == [30] * 3


def test_the_skeleton_is_where_the_crop_has_it():
    """Of 8 pixels 64 are made: the middle of pixel (1, 2) is at (11.5, 19.5)."""
    crop = np.full((8, 8, 3), (10, 20, 30), np.uint8)
    points, scores = np.array([[1, 2], [5.5, 2]]), np.array([0.9, 0.9])
    picture = pose_picture(crop, points, scores, HIPS, side=64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    colored = (picture != (30, 20, 10)).any(axis=2)  # the crop, in RGB
    rows, columns = np.nonzero(colored)
    # a joint has a radius of 2 pixels
    assert (rows.min() + rows.max()) / 2 == pytest.approx(19.5, abs=0.5)
    assert np.ptp(rows) <= 5 and columns.min() == pytest.approx(9.5, abs=0.6)
    assert columns.max() == pytest.approx(49.5, abs=0.6)
    assert tuple(picture[19, 11]) == ORANGE and tuple(picture[19, 47]) == GREEN


def test_doubtful_joints_are_pale_but_never_left_out():
    """At 0.3 the opacity is a half, at any less 0.3."""
    crop, points = np.zeros((8, 8, 3), np.uint8), np.array([[1, 2], [6, 6]])
    joints = JointSet(HIPS.names)  # without the link
    half = pose_picture(crop, points, np.array([0.3, -0.1]), joints, side=64)
    assert half[19, 11].tolist() == pytest.approx([128, 64, 0], abs=1)
    assert half[51, 51].tolist() == pytest.approx([0, 76, 0], abs=1)


def poses(count, size=(100, 200)):
    points = np.array([[[20, 40], [20, 60]], [[120, 50], [120, 30]]], float)[:count]
    boxes = np.array([[5, 10, 45, 90], [100, 20, 230, 80]], float)[:count]
    image = np.full((*size, 3), (10, 20, 30), np.uint8)
    return Poses(points, np.full((count, 2), 0.9), boxes, HIPS, image)


def test_one_person_has_no_number():
    alone = poses(1)
    np.testing.assert_array_equal(people_picture(alone, 0, sides=ANY), np.asarray(alone.draw()))


def test_the_chosen_one_of_several_has_a_box_and_a_white_number():
    """Numbers are 12 pixels large here, and end 6 above the highest joint."""
    picture = people_picture(poses(2), 1, sides=ANY)
    # x from 100 to the border, y from 20 to 80, two pixels wide
    for x, y in ((100, 50), (101, 50), (150, 20), (150, 80), (199, 50), (198, 79)):
        assert tuple(picture[y, x]) == WHITE
    assert tuple(picture[50, 103]) == tuple(picture[95, 150]) == (30, 20, 10)
    assert tuple(picture[50, 5]) == (30, 20, 10)  # no box of the other
    assert tuple(picture[23, 14]) == tuple(picture[34, 26]) == BLACK  # around (20, 40)
    assert tuple(picture[13, 114]) == tuple(picture[24, 126]) == WHITE  # around (120, 30)
    assert (picture[13:24, 115:126] < 128).all(axis=2).any()  # its number, smooth at the edges
    assert tuple(people_picture(poses(2), 0, sides=ANY)[23, 14]) == WHITE


def test_numbers_stay_in_the_picture():
    one = poses(2)
    high = Poses(one.keypoints - (20, 40), one.scores, one.boxes, HIPS, one.image)
    assert tuple(people_picture(high, 0, sides=ANY)[1, 1]) == WHITE


def test_a_large_image_is_reduced_with_what_is_in_it():
    """By 4: pixel 20 has its middle at 20.5 of 200, and so at 5.125 of 50, which is pixel 4.625."""
    small = resized(poses(2), 50)
    assert small.image.shape == (25, 50, 3) and small.image[0, 0].tolist() == [10, 20, 30]
    assert small.keypoints[0].tolist() == [[4.625, 9.625], [4.625, 14.625]]
    assert small.boxes[0].tolist() == [1.25, 2.5, 11.25, 22.5]
    same = poses(1)
    assert resized(same, 200) is same


def test_pictures_of_people_are_neither_tiny_nor_huge():
    """The middle of pixel 20 is at 20.5 of 200 pixels, and so at 61.5 of 600, which is pixel 61."""
    assert people_picture(poses(2), 0, sides=(20, 50)).shape == (25, 50, 3)
    assert people_picture(poses(2), 0, sides=(600, 900)).shape == (300, 600, 3)
    large = resized(poses(1), 600)
    assert large.image.shape == (300, 600, 3) and large.keypoints[0, 0].tolist() == [61, 121]
    assert large.boxes.tolist() == [[15, 30, 135, 270]]
    assert people_picture(poses(1), 0).shape == (256, 512, 3)
