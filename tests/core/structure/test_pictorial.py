"""Max-sum over trees, compared with the score of every pose."""

import numpy as np
import pytest
from cpm_testing.structures import marginals_of_all, springs

from cpm_plugin.core.structure import best_positions, max_marginals

TREES = {
    'chain': [(0, 1), (1, 2), (2, 3)],
    'star': [(0, 1), (0, 2), (0, 3)],
    'upwards': [(3, 2), (2, 0), (1, 2)],  # edges that lead from children to parents
}


@pytest.mark.parametrize('pairs', TREES.values(), ids=TREES)
def test_a_tree_is_exact(pairs):
    unaries = np.random.default_rng(2).normal(size=(2, 4, 2, 3)) * 2
    model = springs(pairs)
    marginals, best = max_marginals(unaries, model), best_positions(unaries, model)
    for person in range(2):
        expected, cells = marginals_of_all(unaries[person], model)
        np.testing.assert_allclose(marginals[person], expected, atol=1e-9)
        assert best.cells[person].tolist() == cells.tolist()
        assert best.scores[person] == pytest.approx(expected.max())


def test_a_latent_node_without_scores_carries_what_its_children_know():
    """Two joints under a part without a map: the peak of one moves the other."""
    model = springs([(2, 0), (2, 1)], seed=3)
    unaries = np.zeros((3, 2, 4))
    unaries[:2] = np.random.default_rng(3).normal(size=(2, 2, 4)) * 3
    expected, cells = marginals_of_all(unaries, model)
    np.testing.assert_allclose(max_marginals(unaries, model), expected, atol=1e-9)
    assert best_positions(unaries, model).cells.tolist() == cells.tolist()
    changed = unaries.copy()
    changed[0] = -changed[0]
    differs = max_marginals(changed, model)[1] - expected[1]
    assert np.ptp(differs) > 0.1


def test_equally_good_poses_are_not_mixed():
    """Both nodes at the left or both at the right: single best cells could be one of each."""
    model = springs([(0, 1)])._replace(means=np.zeros((1, 2)), costs=np.full((1, 2), 9.0))
    unaries = np.array([[[1.0, 0, 1]], [[1.0, 0, 1]]])
    cells, score = best_positions(unaries, model)
    assert cells[0].tolist() == cells[1].tolist() and score == 2


@pytest.mark.parametrize(
    ('unaries', 'pairs', 'message'),
    [
        (np.zeros((3, 2, 2)), [(0, 1)], 'no edges lead from node 0 to node 2'),
        (np.zeros((3, 2, 2)), [(0, 1), (1, 2), (2, 0)], 'a cycle through'),
        (np.zeros((2, 2, 2)), [(0, 2)], r'edge \(0, 2\): the nodes are 0 to 1'),
        (np.zeros((2, 2, 2)), [(1, 1)], r'edge \(1, 1\) joins a node to itself'),
        (np.full((2, 2, 2), np.nan), [(0, 1)], 'nan; all must be finite'),
        (np.zeros((2, 2)), [(0, 1)], r'\(2, 2\): expected \(..., nodes, height, width\)'),
    ],
)
@pytest.mark.parametrize('function', [max_marginals, best_positions])
def test_bad_input_is_named(function, unaries, pairs, message):
    with pytest.raises(ValueError, match=message):
        function(unaries, springs(pairs))
