"""The order of a tree, its mistakes by name, and the scores of beliefs."""

import numpy as np
import pytest
import torch
from cpm_testing.structures import springs

from cpm_plugin.core.structure import unary_scores
from cpm_plugin.core.structure.springs import check_pairs, is_tree, tree_levels


def test_levels_go_down_from_node_0_and_turn_springs_round():
    model = springs([(2, 1), (0, 1), (3, 0)])
    first, second = tree_levels(4, model)
    assert first.parents.tolist() == [0, 0] and first.children.tolist() == [1, 3]
    np.testing.assert_array_equal(first.means, [model.means[1], -model.means[2]])
    assert second.parents.tolist() == [1] and second.children.tolist() == [2]
    np.testing.assert_array_equal(second.means, [-model.means[0]])
    np.testing.assert_array_equal(second.costs, model.costs[:1])
    assert tree_levels(1, springs([])) == []


@pytest.mark.parametrize(
    ('pairs', 'message'),
    [
        ([(0, 1), (1, 2), (0, 2)], "cycle through '(knee|hip)' and '(knee|hip)'"),
        ([(0, 1), (1, 0)], "cycle through '(neck|hip)' and '(neck|hip)'"),
        ([(0, 1)], "no edges lead from 'neck' to 'knee'; a tree joins all"),
    ],
)
def test_what_is_no_tree_is_named(pairs, message):
    with pytest.raises(ValueError, match=message):
        tree_levels(3, springs(pairs), ['neck', 'hip', 'knee'])
    assert not is_tree(3, pairs)


def test_pairs_are_of_nodes_that_there_are():
    assert check_pairs(2, []).shape == (0, 2)
    for pair in ((0, 2), (-1, 0)):
        with pytest.raises(ValueError, match='the nodes are 0 to 1'):
            check_pairs(2, [pair])


def test_scores_are_logarithms_above_a_floor():
    beliefs = torch.tensor([[[1.0, 0.1], [0.02, -0.3]]], dtype=torch.bfloat16)
    scores = unary_scores(beliefs)
    assert scores.shape == (1, 2, 2)
    expected = [[0, np.log(0.1)], [np.log(0.02), np.log(0.01)]]
    np.testing.assert_allclose(scores[0], expected, atol=0.01)


@pytest.mark.parametrize(
    ('beliefs', 'floor', 'message'),
    [
        ([[[0, 1], [np.nan, 0]]], 0.01, r'nan at \[0, 1, 0\] of \(1, 2, 2\)'),
        ([[1.0]], 0, 'floor 0 must be positive'),
        (np.zeros((2, 0, 3)), 0.01, r'\(2, 0, 3\): expected \(..., height, width\)'),
    ],
)
def test_maps_without_logarithms_are_named(beliefs, floor, message):
    with pytest.raises(ValueError, match=message):
        unary_scores(beliefs, floor=floor)
