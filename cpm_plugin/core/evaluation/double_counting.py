"""How often both joints of a pair, such as the ankles, are put at the same place.

Two belief maps of one kind of joint look alike, and both may be highest at the same limb. Models of
parts call it double counting.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..maps.joints import JointSet
from .pck import torso_lengths

# Hips and shoulders are often close to each other in the image, as in people seen from the side.
PAIRED = ('ankle', 'knee', 'wrist', 'elbow')
NEAR = 0.2  # of the torso: a joint is right within it, by the PCK for LSP


class Doubled(NamedTuple):
    """How many pairs were put at the same place.

    Attributes:
        doubled: Number of pairs whose predictions are at the same place.
        counted: Number of pairs whose labels are apart.
    """

    doubled: int
    counted: int

    @property
    def percent(self) -> float:
        """Share of the pairs, in percent; NaN where none is counted."""
        return 100 * self.doubled / self.counted if self.counted else float('nan')


class PairPlaces(NamedTuple):
    """A pair of joints, such as the ankles, of N people.

    Attributes:
        channels: Indices of the left and of the right joint.
        counted: (N,), whether both are labeled, and apart.
        doubled: (N,), whether it counts and both are predicted at the same place.
    """

    channels: tuple[int, int]
    counted: npt.NDArray[np.bool_]
    doubled: npt.NDArray[np.bool_]


def doubled_pairs(
    predicted: npt.ArrayLike,
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    joints: JointSet,
    *,
    near: float = NEAR,
) -> dict[str, PairPlaces]:
    """Find the people of whom both joints of a pair are predicted at the same place.

    It is the same place if the two predictions are at most ``near`` torsos apart. People count
    whose two labels are more than ``2 * near`` torsos apart.

    Args:
        predicted: (N, K, 2), predicted x and y in image pixels.
        keypoints: (N, K, 2), ground truth, in the same pixels; any values where not labeled.
        labeled: (N, K), true where the position is known.
        joints: Names of the K joints; both shoulders and hips must be among them.
        near: Largest distance of one place, as a fraction of the torso.

    Returns:
        Those of ``PAIRED`` whose left and right are among the joints -> people.

    Raises:
        ValueError: If the shapes do not fit, ``near`` is not positive, or a shoulder or hip is not
            among ``joints``.
    """
    found, truth = (np.asarray(points, dtype=np.float64) for points in (predicted, keypoints))
    known = np.asarray(labeled, dtype=bool)
    count = len(joints.names)
    if not found.shape == truth.shape == (*known.shape, 2) or known.shape[1:] != (count,):
        raise ValueError(
            f'predicted {found.shape}, keypoints {truth.shape} and labeled {known.shape} must be '
            f'(N, {count}, 2) twice and (N, {count})'
        )
    if not near > 0:
        raise ValueError(f'near={near} must be positive, a fraction of the torso')
    torsos = torso_lengths(truth, known, joints)
    pairs = {}
    for part in PAIRED:
        names = (f'left_{part}', f'right_{part}')
        if not set(names) <= set(joints.names):
            continue
        left, right = map(joints.index, names)
        # Without a torso the distances are NaN, and the comparisons false.
        labels, place = (
            np.linalg.norm(points[:, left] - points[:, right], axis=1) / torsos
            for points in (truth, found)
        )
        counted = known[:, left] & known[:, right] & (labels > 2 * near)
        pairs[part] = PairPlaces((left, right), counted, counted & (place <= near))
    return pairs


def double_counting(
    predicted: npt.ArrayLike,
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    joints: JointSet,
    *,
    near: float = NEAR,
) -> dict[str, Doubled]:
    """Count the people of whom both joints of a pair are predicted at the same place.

    Args:
        predicted: See ``doubled_pairs``, as for the others.
        keypoints: See there.
        labeled: See there.
        joints: See there.
        near: See there.

    Returns:
        Counts for each pair of ``doubled_pairs``, and of all these pairs together as ``'all'``.

    Raises:
        ValueError: As ``doubled_pairs``.

    Examples:
        Both ankles are predicted at the left one:

        >>> import numpy as np
        >>> from cpm_plugin.core.evaluation.double_counting import double_counting
        >>> from cpm_plugin.core.maps.joint_sets import LSP
        >>> truth = np.random.default_rng(0).uniform(0, 100, (1, 14, 2))
        >>> predicted = truth.copy()
        >>> predicted[:, LSP.index('right_ankle')] = truth[:, LSP.index('left_ankle')]
        >>> double_counting(predicted, truth, np.ones((1, 14)), LSP)['ankle']
        Doubled(doubled=1, counted=1)
    """
    pairs = doubled_pairs(predicted, keypoints, labeled, joints, near=near)
    results = {
        part: Doubled(int(pair.doubled.sum()), int(pair.counted.sum()))
        for part, pair in pairs.items()
    }
    doubled, counted = (sum(numbers) for numbers in zip((0, 0), *results.values()))
    return {**results, 'all': Doubled(doubled, counted)}
