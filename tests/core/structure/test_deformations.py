"""Offsets of made poses: their mean, variance and distances come back."""

import numpy as np
import pytest

from cpm_plugin.core.structure import fit_deformations
from cpm_plugin.core.structure.deformations import LEAST_DEVIATION, fit_distances, with_parts


def made_poses(mean, deviation, count=20000):
    """Two joints, the second at a Gaussian offset in units of sizes from 50 to 150 pixels."""
    generator = np.random.default_rng(9)
    sizes = generator.uniform(50, 150, count)
    first = generator.uniform(0, 300, (count, 2))
    offset = generator.normal(mean, deviation, (count, 2)) * sizes[:, None]
    return np.stack([first, first + offset], axis=1), sizes


def test_mean_and_variance_of_made_poses():
    poses, sizes = made_poses((0.25, -0.1), (0.05, 0.2))
    fitted = fit_deformations(poses, np.ones((len(poses), 2)), sizes, [(0, 1), (1, 0)])
    np.testing.assert_allclose(fitted.means, [(0.25, -0.1), (-0.25, 0.1)], atol=0.005)
    np.testing.assert_allclose(fitted.variances, [(0.0025, 0.04)] * 2, rtol=0.03)


def test_by_hand_only_poses_with_both_joints_count():
    poses = [[[0, 0], [2, 0]], [[0, 0], [4, 4]], [[0, 0], [99, 99]], [[np.nan, 0], [9, 9]]]
    labeled = [[1, 1], [1, 1], [1, 0], [0, 1]]
    fitted = fit_deformations(poses, labeled, [10, 10, 10, 10], [(0, 1)])
    np.testing.assert_allclose(fitted.means, [(0.3, 0.2)])
    np.testing.assert_allclose(fitted.variances, [(0.01, 0.04)])


def test_equal_poses_have_the_least_variance():
    fitted = fit_deformations([[[0, 0], [1, 1]]] * 2, np.ones((2, 2)), [1, 1], [(0, 1)])
    np.testing.assert_allclose(fitted.variances, LEAST_DEVIATION**2)


def test_distances_by_hand():
    poses = [[[0, 0], [3, 4]], [[0, 0], [0, 10]], [[0, 0], [20, 0]], [[0, 0], [0, 0]]]
    labeled = [[1, 1], [1, 1], [1, 1], [1, 0]]
    sizes = [10, 10, 10, 10]
    # lengths of 0.5, 1 and 2; the last pose does not count
    assert fit_distances(poses, labeled, sizes, [(0, 1)], 0.5).tolist() == [1.0]
    assert fit_distances(poses, labeled, sizes, [(0, 1)], 0.25) == pytest.approx(0.75)
    assert fit_distances(poses, labeled, sizes, [], 0.5).shape == (0,)
    with pytest.raises(ValueError, match='quantile 1 must be between 0 and 1'):
        fit_distances(poses, labeled, sizes, [(0, 1)], 1)


def test_a_part_is_at_the_mean_of_its_joints_if_all_are_labeled():
    points, known = with_parts(
        [[[0, 0], [6, 3], [3, 9]], [[0, 0], [2, 2], [np.nan, 5]]],
        [[1, 1, 1], [1, 1, 0]],
        [(0, 1, 2), (0, 1)],
    )
    assert points[:, 4].tolist() == [[3, 1.5], [1, 1]]
    assert points[0, 3].tolist() == [3, 4]
    assert known.tolist() == [[True] * 5, [True, True, False, False, True]]


@pytest.mark.parametrize(
    ('labeled', 'sizes', 'edges', 'message'),
    [
        ([[1, 1], [1, 0]], [1, 1], [(0, 1)], '1 poses with both hip and knee labeled'),
        ([[1, 1], [1, 1]], [1, 0], [(0, 1)], 'expected a positive size of each'),
        ([[1, 1], [1, 1]], [1, np.nan], [(0, 1)], 'expected a positive size of each'),
        ([[1, 1], [1, 1]], [1], [(0, 1)], r'sizes of shape \(1,\) for 2 people'),
        ([[1, 1], [1, 1]], [1, 1], [(0, 2)], r'edge \(0, 2\): the nodes are 0 to 1'),
        ([1, 1], [1, 1], [(0, 1)], r'labeled \(2,\)'),
    ],
)
def test_bad_input_is_named(labeled, sizes, edges, message):
    poses = [[[0, 0], [1, 1]]] * 2
    with pytest.raises(ValueError, match=message):
        fit_deformations(poses, labeled, sizes, edges, ['hip', 'knee'])
