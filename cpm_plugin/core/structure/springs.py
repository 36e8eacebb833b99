"""Springs between the nodes of a model, their order in a tree, and scores of single nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..maps.belief_maps import TRUNCATION, as_array
from ..maps.geometry import FloatArray
from .distance_transform import IntArray


class Springs(NamedTuple):
    """Quadratic costs of the offsets between nodes, for a grid of cells.

    Attributes:
        pairs: (E, 2), the nodes i and j of each spring.
        means: (E, 2), the offset x, y from i to j that costs nothing, in cells.
        costs: (E, 2), cost of the squares of a cell along x and along y, positive.
    """

    pairs: IntArray
    means: FloatArray
    costs: FloatArray


class Level(NamedTuple):
    """The springs between the nodes of a tree at one depth and those above.

    Attributes:
        parents: (C,), the nodes above.
        children: (C,), the nodes below.
        means: (C, 2), offset from parent to child that costs nothing, in cells.
        costs: (C, 2), as in ``Springs``.
    """

    parents: IntArray
    children: IntArray
    means: FloatArray
    costs: FloatArray


def unary_scores(beliefs: npt.ArrayLike | torch.Tensor, *, floor: float = TRUNCATION) -> FloatArray:
    """Compute the scores of single joints: logarithms of their beliefs.

    Args:
        beliefs: (..., h, w), belief maps without background.
        floor: Smaller beliefs are set to this. It limits what a joint without evidence costs. By
            default it is the least value above 0 of an ideal belief map.

    Returns:
        (..., h, w), at least log(floor).

    Raises:
        ValueError: If the maps are empty or not finite, or ``floor`` is not positive.

    Examples:
        >>> from cpm_plugin.core.structure import unary_scores
        >>> unary_scores([[1.0, 0.5, -0.1]], floor=0.25).round(3)
        array([[ 0.   , -0.693, -1.386]])
    """
    maps = as_array(beliefs)
    if maps.ndim < 2 or 0 in maps.shape[-2:]:
        raise ValueError(f'belief maps of shape {maps.shape}: expected (..., height, width)')
    if floor <= 0:
        raise ValueError(f'floor {floor} must be positive, for its logarithm')
    if not np.isfinite(maps).all():
        where = np.argwhere(~np.isfinite(maps))[0].tolist()
        raise ValueError(
            f'belief maps have {maps[tuple(where)]} at {where} of {maps.shape}; all beliefs must '
            'be finite'
        )
    return np.log(maps.clip(floor))


def check_pairs(num_nodes: int, pairs: npt.ArrayLike) -> IntArray:
    """Check that edges join two different nodes that there are.

    Args:
        num_nodes: Number of nodes.
        pairs: (E, 2), the nodes of each edge.

    Returns:
        (E, 2).

    Raises:
        ValueError: If not; the message names the edge.
    """
    edges = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    for first, second in edges.tolist():
        if not (0 <= first < num_nodes and 0 <= second < num_nodes):
            raise ValueError(f'edge {(first, second)}: the nodes are 0 to {num_nodes - 1}')
        if first == second:
            raise ValueError(f'edge {(first, second)} joins a node to itself')
    return edges


def is_tree(num_nodes: int, pairs: npt.ArrayLike) -> bool:
    """Tell whether edges join all nodes without a cycle.

    Args:
        num_nodes: Number of nodes.
        pairs: (E, 2), the nodes of each edge.

    Returns:
        Whether they do.

    Examples:
        >>> from cpm_plugin.core.structure.springs import is_tree
        >>> is_tree(3, [(0, 1), (1, 2)]), is_tree(3, [(0, 1)]), is_tree(2, [(0, 1), (1, 0)])
        (True, False, False)
    """
    try:
        tree_levels(num_nodes, Springs(np.asarray(pairs), *np.ones((2, len(pairs), 2))))  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def tree_levels(num_nodes: int, springs: Springs, names: Sequence[str] = ()) -> list[Level]:
    """Order the springs of a tree by their depth under node 0.

    Args:
        num_nodes: Number of nodes.
        springs: Springs, each in either direction.
        names: Names of the nodes for errors.

    Returns:
        A level for each depth, from that of the children of node 0 on.

    Raises:
        ValueError: If the springs have a cycle, or leave a node apart. The message names it.
    """
    edges = check_pairs(num_nodes, springs.pairs).tolist()
    called = [repr(name) for name in names] or [f'node {node}' for node in range(num_nodes)]
    left = set(range(len(edges)))
    seen, above, levels = {0}, [0], []
    while above:
        parents, children, signs, taken = [], [], [], []
        for position in sorted(left):
            for parent, child, sign in ((*edges[position], 1), (*edges[position][::-1], -1)):
                if parent in above and position in left:
                    if child in seen:
                        raise ValueError(
                            f'the edges have a cycle through {called[parent]} and {called[child]}; '
                            'a tree has none: leave one edge out'
                        )
                    seen.add(child)
                    left.remove(position)
                    parents.append(parent)
                    children.append(child)
                    signs.append(sign)
                    taken.append(position)
        if children:
            means = springs.means[taken] * np.array(signs)[:, None]
            level = Level(np.array(parents), np.array(children), means, springs.costs[taken])
            levels.append(level)
        above = children
    if apart := [called[node] for node in range(num_nodes) if node not in seen]:
        raise ValueError(
            f'no edges lead from {called[0]} to {", ".join(apart)}; a tree joins all: add edges'
        )
    return levels
