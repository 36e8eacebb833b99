"""Everybody in an image: people proposed by one network, and looked at twice by another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.models import AffinityPoseMachine
from ..core.prediction import Poses, propose_people
from ..core.prediction.proposals import box_of

# Sizes of the image for a network for several people, as parts of its input size. With the second
# it finds more people on training images of COCO, and no fewer on images 7501-7540 of LSP Extended.
SCALED: dict[str, Any] = {'scales': (1.0, 1.5)}
# Smallest mean belief of a person whom the model sees in the whole image alone. It is for
# cpm_movenet_3s: on 110 training images of COCO, two of 183 people more are found than with 0.6,
# and on images 7501-7550 of LSP Extended two of 41 than with 0.7. Smaller models believe less.
_LEAST = 0.5

# Two poses are of one person if half of their joints are closer than this, as a part of the longer
# side around the joints of the larger. On images 7501-7550 of LSP Extended and 110 training images
# of COCO this leaves out 9 of 210 poses that the mean distance keeps, and no person is lost.
_SAME = 0.1


def look_for_people(
    image: np.ndarray,
    network: AffinityPoseMachine,
    look: Callable[[np.ndarray, bool], Poses],
    **proposal: Any,
) -> Poses:
    """Find all people of an image by a network for several people, and look at each twice.

    The network proposes people, by default from its maps at two sizes. A model for one person looks
    at the box of each, and again at the box of the joints that it sees. Of several poses of a
    person the surest stays. The model looks at the whole image, too, for the network may miss a
    person who fills it; what it sees in the second look there counts if its mean belief is 0.5 or
    more.

    Args:
        image: (H, W, 3), BGR.
        network: Trained network with joints and limbs, in evaluation mode.
        look: Function from boxes (N, 4), x1, y1, x2, y2 in image pixels, and whether to make the
            flip test, to the poses of N people.
        **proposal: Arguments of ``propose_people``.

    Returns:
        The poses of N people, by falling mean belief, and the boxes of the second look.

    Raises:
        ValueError: If the network cannot be used.
    """
    proposed = propose_people(image, network, **SCALED | proposal).boxes
    whole = [[0, 0, image.shape[1], image.shape[0]]]
    first = look(np.concatenate([proposed, whole]), False)
    boxes = [box_around(*person) for person in zip(first.keypoints, first.scores)]
    second = look(np.array(boxes), True)
    last = len(proposed)
    if second.scores[last].mean() < _LEAST:
        second = chosen(second, list(range(last)))
    return without_doubles(second)


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
                np.median(np.linalg.norm(poses.keypoints[kept] - points, axis=2), axis=1)
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
