"""Labels with exchanged sides: found by hand-made poses, and mended."""

import numpy as np
import pytest

from cpm_plugin.core.evaluation.swapped_sides import exchange_sides, swapped_sides
from cpm_plugin.core.maps.joint_sets import LSP, OPENPOSE_COCO
from cpm_plugin.core.maps.joints import JointSet

# Left joints at x = 100, right ones at x = 0. With exchanged legs the labels' torso, from the left
# shoulder to the right hip, is 100 pixels long.
HEIGHTS = dict(
    head_top=0, neck=20, shoulder=30, elbow=60, wrist=90, hip=130, knee=180, ankle=230
)  # fmt: skip


def pose():
    points = []
    for name in LSP.names:
        side, part = LSP.side(name), name.removeprefix('left_').removeprefix('right_')
        points.append((100 if side == 'left' else 0 if side else 50, HEIGHTS[part]))
    return np.array([points], float)


def exchanged(*parts):
    return exchange_sides(pose(), LSP, parts)


def found(labels, known=None, predicted=None, **settings):
    known = np.ones((1, 14)) if known is None else known
    predicted = pose() if predicted is None else predicted
    return swapped_sides(predicted, labels, known, LSP, **settings)[0].tolist()


def test_arms_and_legs_are_told_apart():
    assert found(pose()) == [False, False]
    assert found(exchanged('arms')) == [True, False]
    assert found(exchanged('legs')) == [False, True]
    assert found(exchanged('arms', 'legs')) == [True, True]


def test_a_prediction_that_fits_neither_way_says_nothing():
    labels = exchanged('legs')
    away = pose() + np.array([0, 40])  # of a torso of 100 pixels: 0.4
    assert found(labels, predicted=away) == [False, False]
    assert found(labels, predicted=away, near=0.41) == [False, True]


def test_the_difference_counts_at_most_a_torso_for_each_joint():
    """Legs 300 pixels apart are 3 torsos away before, which count as 1, and 0 after."""
    wide = np.array([3, 1])
    labels, predicted = exchanged('legs') * wide, pose() * wide
    assert found(labels, predicted=predicted, gain=1.0) == [False, True]
    assert found(labels, predicted=predicted, gain=1.01) == [False, False]


def test_joints_without_labels_on_both_sides_do_not_count():
    labels, known = exchanged('legs'), np.ones((1, 14))
    for name in ('left_knee', 'right_ankle'):
        known[0, LSP.index(name)] = 0  # the hips alone are left
    assert found(labels, known) == [False, False]
    known[0, LSP.index('left_knee')] = 1
    assert found(labels, known) == [False, True]


def test_without_a_torso_nothing_is_said():
    known = np.ones((1, 14))
    for name in ('left_shoulder', 'right_shoulder'):
        known[0, LSP.index(name)] = 0
    assert found(exchanged('legs'), known) == [False, False]


def test_exchange_is_of_the_part_alone_and_of_any_array():
    points = pose()
    mended = exchange_sides(exchanged('arms'), LSP, ('arms',))
    np.testing.assert_array_equal(mended, points)
    known = np.arange(14)[None]
    legs = exchange_sides(known, LSP, ('legs',))[0]
    assert legs.tolist() == [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 10, 11, 12, 13]
    numbers = np.arange(18)[None]
    wrists = [OPENPOSE_COCO.index(f'{side}_wrist') for side in ('left', 'right')]
    assert exchange_sides(numbers, OPENPOSE_COCO, ('arms',))[0, wrists].tolist() == wrists[::-1]


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r'poses \(1, 14, 2\), labels \(1, 13, 2\)'):
        swapped_sides(pose(), pose()[:, 1:], np.ones((1, 14)), LSP)
    with pytest.raises(ValueError, match="no part 'feet'; there are: arms, legs"):
        exchange_sides(pose(), LSP, ('feet',))
    with pytest.raises(ValueError, match='_hip'):
        swapped_sides(
            np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), np.ones((1, 2)),
            JointSet(('left_shoulder', 'right_shoulder')),
        )  # fmt: skip
