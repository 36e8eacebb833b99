"""Boxes around sure joints, and poses of the same person, by hand."""

import numpy as np
import pytest

from cpm_plugin.apps.second_look import box_around, chosen, without_doubles
from cpm_plugin.core.maps.joints import JointSet
from cpm_plugin.core.prediction import Poses

IMAGE = np.zeros((200, 200, 3), np.uint8)


def poses(points, scores):
    scores = np.repeat(np.array(scores, float)[:, None], 2, axis=1)
    boxes = np.arange(4 * len(points)).reshape(-1, 4)
    return Poses(np.array(points, float), scores, boxes, JointSet(('neck', 'hip')), IMAGE)


def test_the_box_around_leaves_out_what_is_not_believed():
    """The sure joints are 20 x 40 pixels apart: a margin of 4 on every side."""
    keypoints = np.array([[10, 20], [30, 60], [500, 500]], float)
    assert box_around(keypoints, np.array([0.8, 0.6, 0.2])).tolist() == [6, 16, 34, 64]


@pytest.mark.parametrize('scores', [[0, 0, 0], [-0.1, -0.2, 0.0], [np.nan] * 3])
def test_without_any_belief_all_joints_count(scores):
    keypoints = np.array([[10, 20], [30, 60], [20, 40]], float)
    assert box_around(keypoints, np.array(scores)).tolist() == [6, 16, 34, 64]


def test_the_surer_of_two_poses_of_a_person_stays():
    """The second is 9 pixels away, of 100; the third 10.5."""
    near, far = [[0, 9], [100, 9]], [[0, 10.5], [100, 10.5]]
    found = without_doubles(poses([[[0, 0], [100, 0]], near], [0.5, 0.7]))
    assert found.scores[:, 0].tolist() == [0.7] and found.boxes.tolist() == [[4, 5, 6, 7]]
    found = without_doubles(poses([[[0, 0], [100, 0]], far], [0.5, 0.7]))
    assert found.scores[:, 0].tolist() == [0.7, 0.5]


def test_the_larger_of_both_is_the_measure():
    """A part of a person, 50 pixels long, lies 8 pixels beside the whole of 100."""
    whole, part = [[0, 0], [100, 0]], [[0, 8], [100, 8]]
    assert len(without_doubles(poses([whole, part], [0.5, 0.4]))) == 1
    small = [[0, 0], [10, 0]], [[0, 3], [10, 3]]  # two small people 3 pixels apart
    assert len(without_doubles(poses(small, [0.5, 0.4]))) == 2


def test_nobody_and_a_choice():
    nobody = poses(np.zeros((0, 2, 2)), [])
    assert len(without_doubles(nobody)) == 0
    both = poses([[[0, 0], [9, 9]], [[50, 50], [90, 90]]], [0.1, 0.2])
    assert chosen(both, [1]).keypoints.tolist() == [[[50, 50], [90, 90]]]
    assert chosen(both, []).boxes.shape == (0, 4)


def test_left_for_right_is_the_same_person():
    joints = JointSet(('left_hip', 'right_hip'))
    points = np.array([[[0, 0], [100, 0]], [[100, 0], [0, 0]]], float)
    both = Poses(points, np.array([[0.4, 0.4], [0.5, 0.5]]), np.zeros((2, 4)), joints, IMAGE)
    assert without_doubles(both).scores[:, 0].tolist() == [0.5]


@pytest.mark.parametrize(('wrong', 'people'), [(1, 1), (2, 2)])
def test_a_pose_of_a_person_may_have_a_joint_elsewhere(wrong, people):
    """Of three joints, one or two lie 80 pixels away, of 100."""
    joints = JointSet(('neck', 'hip', 'knee'))
    points = np.array([[[0, 0], [100, 0], [50, 0]]] * 2, float)
    points[1, :wrong, 1] += 80
    both = Poses(points, np.full((2, 3), 0.5), np.zeros((2, 4)), joints, IMAGE)
    assert len(without_doubles(both)) == people
