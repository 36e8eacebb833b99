"""Labels in which left and right are exchanged, found by the poses of a trained model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..maps.joints import JointSet
from .pck import torso_lengths

# Joints that are exchanged together: who labels an arm as the left one does so from end to end.
ARMS_AND_LEGS = {
    'arms': ('shoulder', 'elbow', 'wrist'),
    'legs': ('hip', 'knee', 'ankle'),
}
# In torsos. A guess: of the labels it finds in LSP Extended, twelve were looked at.
NEAR = 0.25
GAIN = 0.25


def swapped_sides(
    predicted: npt.ArrayLike,
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    joints: JointSet,
    *,
    near: float = NEAR,
    gain: float = GAIN,
) -> npt.NDArray[np.bool_]:
    """Find arms and legs whose labels fit a prediction much better with the sides exchanged.

    The distance of a predicted joint from its label counts in torsos, at most 1. The mean is over
    the joints of the arms, or of the legs, that are labeled on both sides.

    Args:
        predicted: (N, K, 2), poses of a model, x and y in image pixels.
        keypoints: (N, K, 2), the labels, in the same pixels.
        labeled: (N, K), true where a label is known.
        joints: Names of the K joints, with both shoulders and hips.
        near: Largest mean distance with the sides exchanged. A prediction that is far from the
            labels either way says nothing.
        gain: Smallest difference of the two mean distances.

    Returns:
        (N, 2), true for arms and for legs that are exchanged. False where fewer than two pairs of
            joints are labeled, or there is no torso.

    Raises:
        ValueError: If the shapes do not fit, or a shoulder or hip is not among ``joints``.

    Examples:
        The arms are exchanged:

        >>> import numpy as np
        >>> from cpm_plugin.core.evaluation.swapped_sides import swapped_sides
        >>> from cpm_plugin.core.maps.joint_sets import LSP
        >>> pose = np.random.default_rng(0).uniform(0, 100, (1, 14, 2))
        >>> labels = pose.copy()
        >>> labels[:, 6:12] = labels[:, 11:5:-1]
        >>> swapped_sides(pose, labels, np.ones((1, 14)), LSP)
        array([[ True, False]])
    """
    found, truth = (np.asarray(points, dtype=np.float64) for points in (predicted, keypoints))
    known = np.asarray(labeled, dtype=bool)
    count = len(joints.names)
    if not found.shape == truth.shape == (*known.shape, 2) or known.shape[1:] != (count,):
        raise ValueError(
            f'poses {found.shape}, labels {truth.shape} and labeled {known.shape} must be '
            f'(N, {count}, 2) twice and (N, {count})'
        )
    torsos = torso_lengths(truth, known, joints)[:, None]
    partners = list(joints.flip_indices)
    direct, exchanged = (
        (np.linalg.norm(found - labels, axis=2) / torsos).clip(max=1)
        for labels in (truth, truth[:, partners])
    )
    result = np.zeros((len(found), len(ARMS_AND_LEGS)), dtype=bool)
    for column, parts in enumerate(ARMS_AND_LEGS.values()):
        channels = [joints.index(f'{side}_{part}') for part in parts for side in ('left', 'right')]
        both = (known & known[:, partners])[:, channels]
        # Without a torso the distances are NaN, and the comparisons false.
        before, after = (
            np.where(both, distances[:, channels], 0).sum(axis=1) / both.sum(axis=1).clip(min=1)
            for distances in (direct, exchanged)
        )
        clear = (after <= near) & (before - after >= gain)
        result[:, column] = clear & (both.sum(axis=1) >= 4)  # two joints of both sides
    return result


def exchange_sides(
    values: npt.NDArray[np.generic], joints: JointSet, parts: tuple[str, ...]
) -> npt.NDArray[np.generic]:
    """Exchange left and right of the joints of arms or legs.

    Args:
        values: (N, K, ...), something of each joint.
        joints: Names of the K joints.
        parts: Names of ``ARMS_AND_LEGS``.

    Returns:
        A new array, of the same shape.

    Raises:
        ValueError: If a part or a joint is unknown.
    """
    order = np.arange(len(joints.names))
    for part in parts:
        if part not in ARMS_AND_LEGS:
            raise ValueError(f'no part {part!r}; there are: {", ".join(ARMS_AND_LEGS)}')
        for name in ARMS_AND_LEGS[part]:
            left, right = joints.index(f'left_{name}'), joints.index(f'right_{name}')
            order[[left, right]] = right, left
    return values[:, order]
