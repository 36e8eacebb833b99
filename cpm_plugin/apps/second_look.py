"""Boxes for a second look at people, and poses that are of the same person."""

from __future__ import annotations

import numpy as np

from ..core.prediction import Poses
from ..core.prediction.proposals import box_of

# Two poses are of one person if their joints are in the mean closer than this, as a part of the
# longer side around the joints of the larger. A guess; people in a crowd are farther apart.
_SAME = 0.1


def box_around(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Compute the bounding box of the surer joints, with a margin.

    Args:
        keypoints: (K, 2) in image pixels.
        scores: (K,). Joints with less than half of the median are left out.

    Returns:
        (4,), x1, y1, x2, y2 in image pixels.
    """
    scores = np.nan_to_num(scores).clip(0)  # beliefs may be negative
    sure = scores >= 0.5 * np.median(scores)
    return box_of(keypoints[sure])


def without_doubles(poses: Poses) -> Poses:
    """Leave out poses of a person who has a surer pose, also one with left and right exchanged.

    Args:
        poses: Poses of N people.

    Returns:
        Those of M <= N people, by falling mean score.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core import JointSet
        >>> from cpm_plugin.core.prediction import Poses
        >>> points = np.array([[[0, 0], [100, 0]], [[8, 0], [100, 0]], [[0, 50], [100, 50]]])
        >>> image, joints = np.zeros((60, 120, 3), np.uint8), JointSet(('neck', 'hip'))
        >>> scores = np.array([[0.5, 0.5], [0.6, 0.6], [0.4, 0.4]])
        >>> without_doubles(Poses(points, scores, np.zeros((3, 4)), joints, image)).scores[:, 0]
        array([0.6, 0.4])
    """
    sides = np.ptp(poses.keypoints, axis=1).max(axis=1, initial=0)
    kept: list[int] = []
    for number in np.argsort(-poses.scores.mean(axis=1), kind='stable').tolist():
        own = poses.keypoints[number]
        apart = np.minimum(
            *(
                np.linalg.norm(poses.keypoints[kept] - points, axis=2).mean(axis=1)
                for points in (own, own[list(poses.joints.flip_indices)])
            )
        )
        if (apart > _SAME * np.maximum(sides[kept], sides[number])).all():
            kept.append(number)
    return chosen(poses, kept)


def chosen(poses: Poses, numbers: list[int]) -> Poses:
    """Return some of the poses.

    Args:
        poses: Poses of N people.
        numbers: Which of them, in this order.

    Returns:
        The poses of these people.
    """
    return Poses(
        poses.keypoints[numbers], poses.scores[numbers], poses.boxes[numbers], poses.joints,
        poses.image,
    )  # fmt: skip
