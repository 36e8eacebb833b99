"""Keypoints divided by the size of the image, and boxes as corners."""

import numpy as np
import pytest

from cpm_plugin.apps.check_units import check_box, check_corners, check_units

BOX = np.array([10.0, 20, 40, 30])  # to (50, 50)
POINTS = [[10, 20, 2], [50, 50, 1], [30, 60, 2], [9, 30, 2]]


def found(points, box=BOX):
    return list(check_units(np.array(points, float), box))


@pytest.mark.parametrize(
    ('points', 'value'),
    [
        (POINTS, None),  # half of them, and the edges belong to the box
        ([*POINTS, [51, 30, 2]], '3 of 5 keypoints'),
        ([*POINTS, [51, 30, 0]], None),  # not labeled
        ([*POINTS, [np.nan, 30, 2]], None),  # another error
        ([[99, 99, 0]], None),
    ],
)
def test_most_keypoints_outside_their_box(points, value):
    assert found(points) == ([] if value is None else [('outside_box', value)])
    assert found(points, None) == []


def test_keypoints_divided_by_the_size_of_the_image():
    whole = [[0.2, 0.5, 2], [1, 0, 1], [7, 7, 0]]
    expected = [('fractions', '2 keypoints, the largest value 1')]
    assert found(whole) == found(whole, np.array([0.1, 0.1, 0.5, 0.5])) == expected
    assert found([*whole, [1.1, 0, 2]], None) == []
    assert found(whole[:1], None) == []  # one keypoint may be there
    assert found([[0, 0, 2], [0, 0, 2]], None) == []  # that is at_origin
    assert found([[0.2, -0.5, 2], [0, 1, 2]], None) == []


def test_a_box_is_compared_with_the_image_where_its_size_is_known():
    over = np.array([-2.0, 5, 40, 60])
    assert list(check_box(over, None, clipped=True)) == []
    assert list(check_box(over, (100, 80), clipped=False)) == []
    told = [('box_over_edge', '[-2, 5, 40, 60] in 100x80')]
    assert list(check_box(over, (100, 80), clipped=True)) == told


def test_boxes_as_two_corners():
    size = (100, 80)
    corners = [[20, 30, 90, 70], [60, 10, 99, 60], [5, 5, 30, 30]]  # the third could be either
    told = check_corners([(np.array(box, float), size) for box in corners])
    assert told == '2 of 3 boxes'
    right = [[20, 30, 70, 40], [60, 10, 39, 50], [5, 5, 30, 30]]
    assert check_corners([(np.array(box, float), size) for box in right]) == ''
    # one that cannot be two corners; and no majority
    assert check_corners([(np.array(b, float), size) for b in [*corners, [50, 5, 40, 9]]]) == ''
    assert check_corners([(np.array(b, float), size) for b in [*corners, corners[2]]]) == ''
    assert check_corners([(np.array([np.nan] * 4), size)]) == check_corners([]) == ''
