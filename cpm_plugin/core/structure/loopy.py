"""Loopy max-sum: positions of nodes whose springs have cycles, and nodes that repel each other.

Pairwise terms beyond a tree, such as those against counting one leg twice, are those of "non-tree"
models, such as Jiang & Martin, "Global Pose Estimation Using Non-Tree Models" (CVPR 2008).
Max-product belief propagation on graphs with cycles is described by Pearl, "Probabilistic Reasoning
in Intelligent Systems" (1988), section 4.4.1. It is exact on a tree. On other graphs it need
neither converge nor find the best positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray
from .distance_transform import IntArray, max_convolve
from .springs import Springs, check_pairs

# The share of the old message that is kept; half is the usual choice against oscillation.
DAMPING = 0.5
MAX_ITERATIONS = 50
TOLERANCE = 1e-3  # of scores, which are logarithms


class Repulsions(NamedTuple):
    """Pairs of nodes for which it costs to be close to each other.

    Attributes:
        pairs: (R, 2), the nodes of each pair.
        distances: (R,), in cells. Nodes closer than this pay.
        penalties: (R,), what they pay, at least 0.
    """

    pairs: IntArray
    distances: FloatArray
    penalties: FloatArray


NO_REPULSIONS = Repulsions(np.zeros((0, 2), dtype=np.int64), np.zeros(0), np.zeros(0))


class LoopyResult(NamedTuple):
    """Result of ``loopy_max_sum`` for N people.

    Attributes:
        marginals: (N, V, h, w), estimated max-marginals; the largest value of each map is 0.
        iterations: (N,), rounds of messages.
        converged: (N,), whether the messages came to rest.
    """

    marginals: FloatArray
    iterations: IntArray
    converged: npt.NDArray[np.bool_]


def loopy_max_sum(
    unaries: npt.ArrayLike,
    springs: Springs,
    repulsions: Repulsions = NO_REPULSIONS,
    *,
    damping: float = DAMPING,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> LoopyResult:
    """Estimate max-marginals by messages along all springs and repulsions.

    The schedule is synchronous: in each round, all messages are computed from those of the round
    before. A message is shifted so that its largest value is 0, and is then
    ``damping * old + (1 - damping) * new``. A person is done when no message changes by more than
    ``tolerance``. Others in the batch have no influence.

    Args:
        unaries: (N, V, h, w), scores of the single nodes.
        springs: Springs between any nodes.
        repulsions: Pairs of nodes that repel each other.
        damping: From 0, for none, to below 1.
        max_iterations: The largest number of rounds.
        tolerance: Positive.

    Returns:
        The max-marginals, and whether they converged.

    Raises:
        ValueError: If an argument is out of range, a score is not finite, or a spring or repulsion
            has a node that there is not.

    Examples:
        Two nodes with the same best cell, which repel each other. The second wants it less:

        >>> import numpy as np
        >>> from cpm_plugin.core.structure import Repulsions, Springs, loopy_max_sum
        >>> springs = Springs(np.zeros((0, 2), int), np.zeros((0, 2)), np.zeros((0, 2)))
        >>> apart = Repulsions(np.array([[0, 1]]), np.array([1.0]), np.array([9.0]))
        >>> found = loopy_max_sum([[[[5, 0, 0]], [[4, 0, 3]]]], springs, apart)
        >>> found.marginals.argmax(axis=-1).ravel(), found.converged
        (array([0, 2]), array([ True]))
    """
    scores = np.asarray(unaries, dtype=np.float64)
    if scores.ndim != 4 or 0 in scores.shape[2:]:
        raise ValueError(
            f'unaries of shape {scores.shape}: expected (people, nodes, height, width)'
        )
    if not 0 <= damping < 1 or tolerance <= 0 or max_iterations < 1:
        raise ValueError(
            f'damping {damping} must be from 0 to below 1, tolerance {tolerance} positive, and '
            f'max_iterations {max_iterations} at least 1'
        )
    if not np.isfinite(scores).all():
        raise ValueError(f'unaries have {scores[~np.isfinite(scores)][0]}; all must be finite')
    graph = _Graph(scores.shape[1], springs, repulsions)
    people, _, height, width = scores.shape
    messages = np.zeros((people, len(graph.sources), height, width))
    iterations = np.zeros(people, dtype=np.int64)
    converged = np.zeros(people, dtype=bool)
    for _ in range(max_iterations):
        if not len(active := np.flatnonzero(~converged)):
            break
        old = messages[active]
        new = graph.answers(scores[active], old)
        new -= new.max(axis=(2, 3), keepdims=True)
        new = damping * old + (1 - damping) * new
        messages[active] = new
        iterations[active] += 1
        converged[active] = np.abs(new - old).max(axis=(1, 2, 3), initial=0) <= tolerance
    marginals = graph.sums(scores, messages)
    marginals -= marginals.max(axis=(2, 3), keepdims=True)
    return LoopyResult(marginals, iterations, converged)


class _Graph:
    """The messages of a graph: first those along the springs, then those of the repulsions.

    Each edge (i, j) has the message from i to j, and E messages later that from j to i.
    """

    def __init__(self, num_nodes: int, springs: Springs, repulsions: Repulsions) -> None:
        ends = [check_pairs(num_nodes, part.pairs) for part in (springs, repulsions)]
        both = [np.concatenate([pairs, pairs[:, ::-1]]) for pairs in ends]
        self.sources, self.targets = np.concatenate(both).T
        self.num_springs = 2 * len(ends[0])
        # the message of the same edge in the other direction
        turned = [np.roll(np.arange(len(pairs)), len(pairs) // 2) for pairs in both]
        self.reverse = np.concatenate([turned[0], turned[1] + self.num_springs])
        # seen from the target of a message: where its source should be
        self.means = np.concatenate([-springs.means, springs.means])
        self.costs = np.concatenate([springs.costs] * 2)
        self.distances = np.concatenate([repulsions.distances] * 2)
        self.penalties = np.concatenate([repulsions.penalties] * 2)

    def sums(self, scores: FloatArray, messages: FloatArray) -> FloatArray:
        """Add its messages to the scores of each node."""
        total = scores.copy()
        for number, target in enumerate(self.targets):
            total[:, target] += messages[:, number]
        return total

    def answers(self, scores: FloatArray, messages: FloatArray) -> FloatArray:
        """Compute the next messages, each from all but that in the other direction."""
        known = self.sums(scores, messages)[:, self.sources] - messages[:, self.reverse]
        new = np.empty_like(messages)
        if split := self.num_springs:
            new[:, :split] = max_convolve(known[:, :split], self.means, self.costs).values
        for number, (distance, penalty) in enumerate(zip(self.distances, self.penalties), split):
            new[:, number] = repelled(known[:, number], distance, penalty)
        return new


def repelled(scores: FloatArray, distance: float, penalty: float) -> FloatArray:
    """Find for each cell the best other cell, where those closer than a distance cost a penalty.

    The best cell outside a disc of n cells is among the n + 1 best of the map.

    Args:
        scores: (N, h, w).
        distance: In cells. The cell itself is at distance 0.
        penalty: At least 0.

    Returns:
        (N, h, w).

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core.structure.loopy import repelled
        >>> repelled(np.array([[[5.0, 4.0, 0.0]]]), distance=1.5, penalty=3.0)
        array([[[2., 2., 5.]]])
    """
    count, height, width = scores.shape
    reach = np.arange(-max(height, width), max(height, width) + 1) ** 2
    disc = int((reach[:, None] + reach < distance**2).sum()) if distance > 0 else 0
    number = min(disc + 1, height * width)
    flat = scores.reshape(count, -1)
    best = np.argpartition(flat, -number, axis=1)[:, -number:]
    values = np.take_along_axis(flat, best, axis=1)
    rows, columns = (part[:, None, None] for part in np.divmod(best, width))
    y, x = np.arange(height)[:, None, None], np.arange(width)[:, None]
    close = (rows - y) ** 2 + (columns - x) ** 2 < distance**2
    found: FloatArray = (values[:, None, None] - penalty * close).max(axis=-1)
    return found
