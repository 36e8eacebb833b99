"""Belief maps that know of a structure: max-marginals, for the decoder that reads belief maps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..maps.belief_maps import TRUNCATION, as_array, refine_peaks
from ..maps.geometry import FloatArray
from .loopy import DAMPING, MAX_ITERATIONS, loopy_max_sum
from .pictorial import best_positions, max_marginals
from .springs import unary_scores
from .structures import Structure


class StructuredMaps(NamedTuple):
    """Result of ``structured_maps`` for N people.

    Attributes:
        maps: (N, K, h, w), positive. The value of the largest cell is the belief there, at least
            ``floor``.
        iterations: (N,), rounds of messages; 0 for a tree.
        converged: (N,), whether they came to rest; True for a tree.
    """

    maps: FloatArray
    iterations: npt.NDArray[np.int64]
    converged: npt.NDArray[np.bool_]


def structured_maps(
    beliefs: npt.ArrayLike | torch.Tensor,
    structure: Structure,
    *,
    weight: float = 1.0,
    floor: float = TRUNCATION,
    damping: float = DAMPING,
    max_iterations: int = MAX_ITERATIONS,
) -> StructuredMaps:
    """Turn belief maps into max-marginals of a structure.

    The score of a pose is the sum of the logarithms of its beliefs, less ``weight`` times the costs
    of springs and repulsions. Trees are computed exactly, others by loopy max-sum.

    Args:
        beliefs: (N, K, h, w), without background, in the order of ``structure.joints``.
        structure: See ``Structure``.
        weight: Factor on the costs, positive. At a small one the beliefs decide.
        floor: See ``unary_scores``.
        damping: See ``loopy_max_sum``.
        max_iterations: See ``loopy_max_sum``.

    Returns:
        The maps, whose largest cells are the joints of the best pose, for ``decode_peaks``.

    Raises:
        ValueError: If the number of maps is not that of the joints, a belief is not finite, or an
            argument is out of range.

    Examples:
        The knee is four cells below the hip. Its belief has a higher peak elsewhere:

        >>> import numpy as np
        >>> from cpm_plugin.core.structure import Structure, structured_maps
        >>> legs = Structure(('hip', 'knee'), (), (('hip', 'knee'),), ((0, 0.5),), ((0.01, 0.01),))
        >>> beliefs = np.zeros((1, 2, 8, 8))
        >>> beliefs[0, 0, 1, 2] = 0.9
        >>> beliefs[0, 1, 5, 2], beliefs[0, 1, 0, 7] = 0.5, 0.6
        >>> maps = structured_maps(beliefs, legs).maps
        >>> np.divmod(maps[0, 1].argmax(), 8), maps[0, 1].max().round(2)
        ((5, 2), 0.5)
    """
    maps, unaries, joints = _unaries(beliefs, structure, floor)
    side = maps.shape[-2]
    springs = structure.springs_in_cells(side, weight)
    count = len(maps)
    if structure.exact:
        marginals = max_marginals(unaries, springs)[:, :joints]
        iterations, converged = np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool)
    else:
        found = loopy_max_sum(
            unaries,
            springs,
            structure.repulsions_in_cells(side, weight),
            damping=damping,
            max_iterations=max_iterations,
        )
        marginals, iterations, converged = found.marginals[:, :joints], *found[1:]
    flat = marginals.reshape(count, joints, -1)
    best = flat.argmax(axis=2)[..., None]
    # the belief at the best cell is the score of the joint, as it is without a structure
    there = np.take_along_axis(maps.reshape(flat.shape), best, axis=2).clip(floor)
    relative = np.exp(flat - np.take_along_axis(flat, best, axis=2))
    return StructuredMaps((there * relative).reshape(maps.shape), iterations, converged)


def best_pose(
    beliefs: npt.ArrayLike | torch.Tensor,
    structure: Structure,
    *,
    weight: float = 1.0,
    floor: float = TRUNCATION,
) -> tuple[FloatArray, FloatArray]:
    """Find the best pose of a tree, exactly.

    It is the pose that ``structured_maps`` and ``decode_peaks`` give, where only one is best. Here
    also equally good poses are not mixed.

    Args:
        beliefs: (N, K, h, w); see ``structured_maps``.
        structure: A structure that is a tree.
        weight: See ``structured_maps``.
        floor: See ``unary_scores``.

    Returns:
        Positions (N, K, 2), x and y in cells, and the scores (N,). Positions lie between cells, at
            the vertex of the max-marginals as ``decode_peaks`` takes it of beliefs.

    Raises:
        ValueError: As ``structured_maps``, and if the structure is no tree.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core.structure import Structure, best_pose
        >>> legs = Structure(('hip', 'knee'), (), (('hip', 'knee'),), ((0, 0.5),), ((0.01, 0.01),))
        >>> beliefs = np.zeros((1, 2, 8, 8))
        >>> beliefs[0, 0, 1, 2] = beliefs[0, 1, 5, 2] = 0.5
        >>> best_pose(beliefs, legs)[0].tolist()
        [[[2.0, 1.0], [2.0, 5.0]]]
    """
    _, unaries, joints = _unaries(beliefs, structure, floor)
    if structure.repulsions:
        raise ValueError('a structure with repulsions is no tree; use structured_maps')
    springs = structure.springs_in_cells(unaries.shape[-2], weight)
    cells, scores = best_positions(unaries, springs)
    marginals = max_marginals(unaries, springs)[:, :joints]
    relative = np.exp(marginals - marginals.max(axis=(2, 3), keepdims=True))
    columns, rows = cells[:, :joints].reshape(-1, 2).T
    shape = marginals.shape[2:]
    found = refine_peaks(relative.reshape(-1, *shape), np.arange(len(rows)), rows, columns)
    return found.reshape(len(unaries), joints, 2), scores


def _unaries(
    beliefs: npt.ArrayLike | torch.Tensor, structure: Structure, floor: float
) -> tuple[FloatArray, FloatArray, int]:
    """Return the beliefs, the scores of all nodes (N, V, h, w), and the number of joints."""
    maps = as_array(beliefs)
    joints = len(structure.joints)
    if maps.ndim != 4 or maps.shape[1] != joints:
        raise ValueError(
            f'belief maps of shape {maps.shape}: the structure has {joints} joints and takes '
            f'(people, {joints}, height, width); fit one for the joints of these maps'
        )
    latent = np.zeros((len(maps), len(structure.parts), *maps.shape[2:]))
    return maps, np.concatenate([unary_scores(maps, floor=floor), latent], axis=1), joints
