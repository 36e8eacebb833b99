"""What training poses say about springs and repulsions: offsets between joints, and their spread.

Lengths are in units of a person's size, which the caller gives, such as the side of the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..maps.belief_maps import labeled_points
from ..maps.geometry import FloatArray
from .springs import check_pairs

# Standard deviations of offsets are at least this, so that costs stay finite. It is a tenth of a
# cell in a map of 100 cells.
LEAST_DEVIATION = 1e-3


class Deformations(NamedTuple):
    """Gaussians of the offsets along E edges, in units of the person's size.

    Attributes:
        means: (E, 2), mean of the offset x, y from the first joint to the second.
        variances: (E, 2), variances of the same.
    """

    means: FloatArray
    variances: FloatArray


def fit_deformations(
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    sizes: npt.ArrayLike,
    edges: Sequence[tuple[int, int]],
    names: Sequence[str] = (),
) -> Deformations:
    """Compute mean and variance of the offsets between joints over the training poses.

    Source: Felzenszwalb & Huttenlocher (IJCV 61, 2005), section 5: the most likely parameters.

    Args:
        keypoints: (N, K, 2), x and y in pixels.
        labeled: (N, K). A pose counts for an edge if both of its joints are labeled.
        sizes: (N,), size of each person in pixels.
        edges: The joints that each edge leads from and to.
        names: Names of the joints for errors.

    Returns:
        The Gaussians.

    Raises:
        ValueError: If shapes do not fit, a labeled keypoint is not finite, a size is not positive,
            or an edge has fewer than two poses. The message names it.

    Examples:
        Offsets of 0.5 and 0.7 to the right:

        >>> from cpm_plugin.core.structure import fit_deformations
        >>> poses = [[[0, 0], [5, 0]], [[0, 0], [14, 0]]]
        >>> fit = fit_deformations(poses, [[1, 1], [1, 1]], sizes=[10, 20], edges=[(0, 1)])
        >>> fit.means.round(3), fit.variances.round(3)
        (array([[0.6, 0. ]]), array([[0.01, 0.  ]]))
    """
    offsets, counts = _offsets(keypoints, labeled, sizes, edges, names)
    number = counts.sum(axis=0)[:, None]
    means = (offsets * counts[..., None]).sum(axis=0) / number
    squares = ((offsets - means) ** 2 * counts[..., None]).sum(axis=0) / number
    return Deformations(means, squares.clip(LEAST_DEVIATION**2))


def fit_distances(
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    sizes: npt.ArrayLike,
    edges: Sequence[tuple[int, int]],
    quantile: float,
    names: Sequence[str] = (),
) -> FloatArray:
    """Compute a quantile of the distances between joints over the training poses.

    Args:
        keypoints: See ``fit_deformations``.
        labeled: See ``fit_deformations``.
        sizes: See ``fit_deformations``.
        edges: Pairs of joints.
        quantile: Share of the poses whose joints are closer, between 0 and 1.
        names: Names of the joints for errors.

    Returns:
        (E,), in units of the person's size.

    Raises:
        ValueError: As ``fit_deformations``, and if the quantile is not between 0 and 1.

    Examples:
        >>> from cpm_plugin.core.structure.deformations import fit_distances
        >>> poses = [[[0, 0], [3, 4]], [[0, 0], [0, 9]]]
        >>> fit_distances(poses, [[1, 1], [1, 1]], [10, 10], [(0, 1)], quantile=0.5)
        array([0.7])
    """
    if not 0 < quantile < 1:
        raise ValueError(f'quantile {quantile} must be between 0 and 1')
    offsets, counts = _offsets(keypoints, labeled, sizes, edges, names)
    lengths = np.where(counts, np.linalg.norm(offsets, axis=-1), np.nan)
    return np.nanquantile(lengths, quantile, axis=0) if len(edges) else np.zeros(0)


def with_parts(
    keypoints: npt.ArrayLike, labeled: npt.ArrayLike, parts: Sequence[Sequence[int]]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Add larger parts to poses: each is at the mean of its joints.

    Args:
        keypoints: (N, K, 2).
        labeled: (N, K). A part is labeled if all of its joints are.
        parts: Joints of each of P parts.

    Returns:
        (N, K + P, 2) and (N, K + P).

    Examples:
        >>> from cpm_plugin.core.structure.deformations import with_parts
        >>> points, labeled = with_parts([[[0, 0], [4, 2]]], [[1, 1]], [(0, 1)])
        >>> points[0, 2], labeled[0, 2]
        (array([2., 1.]), True)
    """
    points, known = labeled_points(keypoints, labeled)
    members = [list(part) for part in parts]
    middles = [points[:, part].mean(axis=1, keepdims=True) for part in members]
    complete = [known[:, part].all(axis=1, keepdims=True) for part in members]
    return np.concatenate([points, *middles], axis=1), np.concatenate([known, *complete], axis=1)


def _offsets(
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    sizes: npt.ArrayLike,
    edges: Sequence[tuple[int, int]],
    names: Sequence[str],
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return offsets (N, E, 2) in units of the sizes, and whether each counts (N, E)."""
    points, known = labeled_points(keypoints, labeled)
    lengths = np.asarray(sizes, dtype=np.float64)
    if lengths.shape != points.shape[:1] or not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(
            f'sizes of shape {lengths.shape} for {len(points)} people: expected a positive size of '
            'each; correct or leave out boxes without a size'
        )
    pairs = check_pairs(points.shape[1], edges)
    first, second = pairs.T
    counts = known[:, first] & known[:, second]
    for pair, number in zip(pairs.tolist(), counts.sum(axis=0)):
        if number < 2:
            ends = ' and '.join(str(names[end]) if len(names) else str(end) for end in pair)
            raise ValueError(
                f'{number} poses with both {ends} labeled, and an edge needs two or more; leave '
                'this edge out, or give poses that have it'
            )
    return (points[:, second] - points[:, first]) / lengths[:, None, None], counts
