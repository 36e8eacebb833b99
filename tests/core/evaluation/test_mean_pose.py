import numpy as np

from cpm_plugin.core.evaluation.mean_pose import mean_pose, place_pose


def test_mean_is_over_labeled_joints_relative_to_each_box():
    keypoints = [[[10, 20], [0, 0]], [[30, 60], [99, 99]]]
    labeled = [[1, 1], [1, 0]]
    boxes = [[0, 0, 20, 40], [10, 20, 50, 100]]
    # joint 0: (0.5, 0.5) in both; joint 1: (0, 0) in the first, not labeled in the second
    np.testing.assert_allclose(mean_pose(keypoints, labeled, boxes), [[0.5, 0.5], [0, 0]])


def test_joint_that_is_never_labeled_is_put_into_the_middle():
    pose = mean_pose([[[1, 1], [7, 7]]], [[1, 0]], [[0, 0, 4, 4]])
    np.testing.assert_array_equal(pose, [[0.25, 0.25], [0.5, 0.5]])


def test_placing_undoes_the_box():
    boxes = [[10, 20, 50, 100], [0, 0, 1, 2]]
    placed = place_pose([[0.25, 0.5]], boxes)
    np.testing.assert_allclose(placed, [[[20, 60]], [[0.25, 1.0]]])
