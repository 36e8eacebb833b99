"""Loopy max-sum: exact on trees, and two legs that one place cannot hold."""

import numpy as np
import pytest
from cpm_testing.structures import marginals_of_all, springs

from cpm_plugin.core.structure import Repulsions, loopy_max_sum, max_marginals
from cpm_plugin.core.structure.loopy import repelled


def highest_is_0(marginals):
    return marginals - marginals.max(axis=(-2, -1), keepdims=True)


def apart(pairs, distance=1.0, penalty=5.0):
    count = len(pairs)
    return Repulsions(np.array(pairs), np.full(count, distance), np.full(count, penalty))


@pytest.mark.parametrize(
    'pairs', [[(0, 1), (1, 2), (2, 3), (4, 2)], [(4, 0), (0, 3), (0, 1), (2, 0)]], ids=str
)
@pytest.mark.parametrize(('damping', 'atol'), [(0.0, 1e-9), (0.5, 1e-6)])
def test_a_tree_is_exact(pairs, damping, atol):
    unaries = np.random.default_rng(4).normal(size=(3, 5, 4, 6)) * 3
    model = springs(pairs)
    found = loopy_max_sum(unaries, model, damping=damping, tolerance=1e-9, max_iterations=200)
    assert found.converged.all()
    if not damping:  # the messages cross the tree once, and one round shows that they rest
        assert (found.iterations <= len(pairs) + 1).all()
    exact = highest_is_0(max_marginals(unaries, model))
    np.testing.assert_allclose(found.marginals, exact, atol=atol)


@pytest.mark.parametrize(('distance', 'penalty'), [(1.0, 2.0), (1.5, 0.7), (9.0, 2.0), (0.0, 2.0)])
def test_a_repulsion_in_a_tree_is_exact(distance, penalty):
    unaries = np.random.default_rng(5).normal(size=(3, 2, 3)) * 2
    model, repulsions = springs([(0, 1)]), apart([(2, 1)], distance, penalty)
    found = loopy_max_sum(unaries[None], model, repulsions, tolerance=1e-9, max_iterations=99)
    expected, _ = marginals_of_all(unaries, model, repulsions)
    np.testing.assert_allclose(found.marginals[0], highest_is_0(expected), atol=1e-6)


def test_repelled_is_the_best_of_all_cells():
    scores = np.random.default_rng(6).normal(size=(2, 5, 7)) * 3
    rows, columns = (part.ravel() for part in np.indices((5, 7)))
    away = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    for distance, penalty in ((1.0, 1.0), (2.3, 4.0), (2.3, 0.5), (3.0, 9.0), (50.0, 9.0)):
        pairs = scores.reshape(2, 1, -1) - penalty * (away < distance)
        expected = pairs.max(axis=2).reshape(scores.shape)
        np.testing.assert_allclose(repelled(scores, distance, penalty), expected)


def test_one_leg_is_not_counted_twice():
    """A right and a left hip with a knee each, which are seen in the same place first.

    The place is below the right hip, which is therefore the leg that keeps it. Without repulsion
    the left knee takes it, too.
    """
    unaries = np.zeros((1, 4, 6, 7))
    unaries[0, 0, 1, 2] = unaries[0, 1, 1, 4] = 9  # hips
    unaries[0, 2:, 4, 2] = 4  # both knees
    unaries[0, 3, 4, 4] = 2.5  # the left one, seen less
    legs = springs([(0, 2), (1, 3), (0, 1)])._replace(
        means=np.array([(0, 3.0), (0, 3.0), (2.0, 0)]), costs=np.full((3, 2), 0.3)
    )
    for repulsions, left_knee in ((apart([]), (4, 2)), (apart([(2, 3)], 1.5), (4, 4))):
        found = loopy_max_sum(unaries, legs, repulsions)
        assert found.converged.all()
        peaks = found.marginals[0].reshape(4, -1).argmax(axis=1)
        rows, columns = np.divmod(peaks, 7)
        assert (rows[2], columns[2]) == (4, 2)
        assert (rows[3], columns[3]) == left_knee


def test_a_person_does_not_depend_on_the_batch():
    unaries = np.random.default_rng(7).normal(size=(3, 4, 5, 5)) * 3
    model, repulsions = springs([(0, 1), (1, 2), (2, 3), (3, 0)]), apart([(0, 2)], 2.0)
    together = loopy_max_sum(unaries, model, repulsions)
    for person in range(3):
        alone = loopy_max_sum(unaries[person : person + 1], model, repulsions)
        assert alone.iterations[0] == together.iterations[person]
        np.testing.assert_allclose(alone.marginals[0], together.marginals[person], atol=1e-12)


def test_what_has_not_come_to_rest_says_so():
    unaries = np.random.default_rng(8).normal(size=(1, 3, 4, 4))
    found = loopy_max_sum(unaries, springs([(0, 1), (1, 2), (2, 0)]), max_iterations=2)
    assert found.iterations.tolist() == [2] and not found.converged.any()
    none = loopy_max_sum(unaries, springs([]))
    assert none.converged.all() and none.iterations.tolist() == [1]
    np.testing.assert_allclose(none.marginals, highest_is_0(unaries))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(damping=1.0), 'damping 1.0 must be from 0 to below 1'),
        (dict(tolerance=0), 'tolerance 0 positive'),
        (dict(max_iterations=0), 'max_iterations 0 at least 1'),
        (dict(unaries=np.full((1, 2, 2, 2), np.nan)), 'unaries have nan'),
        (dict(unaries=np.zeros((2, 2, 2))), 'expected .people, nodes, height, width.'),
        (dict(springs=springs([(0, 5)])), r'edge \(0, 5\): the nodes are 0 to 1'),
        (dict(repulsions=apart([(1, 1)])), r'edge \(1, 1\) joins a node to itself'),
    ],
)
def test_bad_input_is_named(arguments, message):
    given = dict(unaries=np.zeros((1, 2, 2, 2)), springs=springs([(0, 1)])) | arguments
    with pytest.raises(ValueError, match=message):
        loopy_max_sum(**given)
