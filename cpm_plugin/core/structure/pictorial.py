"""Pictorial structures: the best positions of the nodes of a tree of springs, exactly.

Source: Felzenszwalb & Huttenlocher, "Pictorial Structures for Object Recognition" (IJCV 61, 2005),
section 4. The max-sum of section 4.1 goes up the tree, from the leaves to node 0. For max-marginals
it goes down again. Both take the time of a distance transform for each spring.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray
from .distance_transform import Convolved, IntArray, max_convolve
from .springs import Level, Springs, tree_levels


class BestPositions(NamedTuple):
    """The best positions of all nodes together.

    Attributes:
        cells: (..., V, 2), column and row of each node.
        scores: (...), the sum of the scores there less the costs of the springs.
    """

    cells: IntArray
    scores: FloatArray


def max_marginals(unaries: npt.ArrayLike, springs: Springs) -> FloatArray:
    """Compute the max-marginals of a tree.

    The max-marginal of a node at a cell is the best score of all nodes, if this node is there.

    Args:
        unaries: (..., V, h, w), scores of the single nodes.
        springs: V - 1 springs, which make a tree.

    Returns:
        (..., V, h, w). The largest value of each map is the score of the best positions.

    Raises:
        ValueError: If the springs are no tree, or a score is not finite.

    Examples:
        The second node wants to be two cells to the right of the first:

        >>> import numpy as np
        >>> from cpm_plugin.core.structure import Springs, max_marginals
        >>> springs = Springs(np.array([[0, 1]]), np.array([[2.0, 0.0]]), np.ones((1, 2)))
        >>> max_marginals([[[3, 0, 0]], [[1, 0, 0]]], springs)
        array([[[ 3., -1., -4.]],
        <BLANKLINE>
               [[ 0.,  2.,  3.]]])
    """
    scores, up, levels = _upward(unaries, springs)
    marginals = scores.copy()
    for level, found in zip(levels, up):
        # of all that the parent knows, what it does not know from this child
        rest = marginals[..., level.parents, :, :] - found.values
        down = max_convolve(rest, -level.means, level.costs).values
        marginals[..., level.children, :, :] += down
    return marginals


def best_positions(unaries: npt.ArrayLike, springs: Springs) -> BestPositions:
    """Find the best positions of the nodes of a tree.

    Args:
        unaries: (..., V, h, w), scores of the single nodes.
        springs: V - 1 springs, which make a tree.

    Returns:
        The positions, and their score. Of equally good ones it is any.

    Raises:
        ValueError: If the springs are no tree, or a score is not finite.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core.structure import Springs, best_positions
        >>> springs = Springs(np.array([[0, 1]]), np.array([[2.0, 0.0]]), np.ones((1, 2)))
        >>> cells, score = best_positions([[[3, 0, 0]], [[1, 0, 0]]], springs)
        >>> cells.tolist(), float(score)
        ([[0, 0], [2, 0]], 3.0)
    """
    scores, up, levels = _upward(unaries, springs)
    *lead, nodes, height, width = scores.shape
    flat = scores.reshape(-1, nodes, height, width)
    people = np.arange(len(flat))
    root = flat[:, 0].reshape(len(flat), -1)
    rows, columns = np.zeros((2, len(flat), nodes), dtype=np.int64)
    rows[:, 0], columns[:, 0] = np.divmod(root.argmax(axis=1), width)
    for level, found in zip(levels, up):
        for number, (parent, child) in enumerate(zip(level.parents, level.children)):
            here = (people, number, rows[:, parent], columns[:, parent])
            for kept, given in ((rows, found.rows), (columns, found.columns)):
                kept[:, child] = given.reshape(len(flat), -1, height, width)[here]
    cells = np.stack([columns, rows], axis=-1)
    return BestPositions(cells.reshape(*lead, nodes, 2), root.max(axis=1).reshape(lead))


def _upward(
    unaries: npt.ArrayLike, springs: Springs
) -> tuple[FloatArray, list[Convolved], list[Level]]:
    """Sum the scores of each node and of the best positions of all below it.

    Returns:
        The sums (..., V, h, w), and for each level what it gives to the level above.
    """
    scores = np.array(unaries, dtype=np.float64)
    if scores.ndim < 3:
        raise ValueError(f'unaries of shape {scores.shape}: expected (..., nodes, height, width)')
    levels = tree_levels(scores.shape[-3], springs)
    up: list[Convolved] = []
    for level in reversed(levels):
        found = max_convolve(scores[..., level.children, :, :], level.means, level.costs)
        for number, parent in enumerate(level.parents):
            scores[..., parent, :, :] += found.values[..., number, :, :]
        up.insert(0, found)
    return scores, up, levels
