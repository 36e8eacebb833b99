"""The generalized distance transform, compared with all pairs of cells."""

import itertools

import numpy as np
import pytest

from cpm_plugin.core.structure import max_convolve


def of_all_pairs(scores, mean, cost):
    """The definition, cell by cell."""
    height, width = scores.shape
    values = np.full(scores.shape, -np.inf)
    for y, x, row, column in itertools.product(*[range(height), range(width)] * 2):
        away = (column - x - mean[0]) ** 2 * cost[0] + (row - y - mean[1]) ** 2 * cost[1]
        values[y, x] = max(values[y, x], scores[row, column] - away)
    return values


@pytest.mark.parametrize('shape', [(1, 1), (1, 6), (5, 1), (4, 7), (6, 6)], ids=str)
@pytest.mark.parametrize(
    ('mean', 'cost'),
    [
        ((0, 0), (1, 1)), ((0.3, -1.7), (0.05, 2.0)), ((2.5, 1.0), (7.0, 1e-3)),
        ((-9.0, 12.25), (0.4, 0.6)), ((0.5, 0.5), (1e-6, 1e3)),
    ],
    ids=str,
)  # fmt: skip
def test_it_is_that_of_all_pairs_of_cells(shape, mean, cost):
    scores = np.random.default_rng(0).normal(size=shape) * 3
    found = max_convolve(scores, mean, cost)
    np.testing.assert_allclose(found.values, of_all_pairs(scores, mean, cost), atol=1e-9)
    rows, columns = np.indices(shape)
    away_x, away_y = found.columns - columns - mean[0], found.rows - rows - mean[1]
    there = scores[found.rows, found.columns] - cost[0] * away_x**2 - cost[1] * away_y**2
    np.testing.assert_allclose(there, found.values, atol=1e-9)  # the cells give the values


def test_equal_scores_and_a_single_peak():
    flat = max_convolve(np.zeros((3, 4)), (0, 0), (1, 1))
    assert not flat.values.any()
    assert flat.columns.tolist() == [[0, 1, 2, 3]] * 3  # each takes itself
    assert flat.rows.tolist() == [[0] * 4, [1] * 4, [2] * 4]
    scores = np.full((3, 4), -1e9)
    scores[2, 3] = 0
    found = max_convolve(scores, (1, 0), (1, 2))
    # the cell (2, 2) has the peak one to its right; (0, 0) is 2 and 2 away
    assert found.values[2, 2] == 0 and found.values[0, 0] == -(2**2) - 2 * 2**2
    assert (found.rows == 2).all() and (found.columns == 3).all()


def test_maps_have_means_and_costs_of_their_own():
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(2, 3, 4, 5))
    means, costs = generator.normal(size=(3, 2)), generator.uniform(0.1, 2, size=(3, 2))
    found = max_convolve(scores, means, costs)
    for person, part in itertools.product(range(2), range(3)):
        one = of_all_pairs(scores[person, part], means[part], costs[part])
        np.testing.assert_allclose(found.values[person, part], one, atol=1e-9)


@pytest.mark.parametrize(
    ('scores', 'mean', 'cost', 'message'),
    [
        ([[0, np.nan]], (0, 0), (1, 1), 'scores have nan; all must be finite'),
        ([[0, 1]], (np.inf, 0), (1, 1), 'means have inf'),
        ([[0, 1]], (0, 0), (1, 0), 'costs have 0.0; a cost must be positive'),
        ([0, 1], (0, 0), (1, 1), r'scores \(2,\)'),
        ([[0, 1]], (0, 0, 0), (1, 1), r'means \(3,\)'),
        ([[0, 1]], (0, 0), (1,), r'costs \(1,\)'),
    ],
)
def test_bad_input_is_named(scores, mean, cost, message):
    with pytest.raises(ValueError, match=message):
        max_convolve(scores, mean, cost)
