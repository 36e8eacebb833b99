"""Where the one person of an image is, by the model alone.

A top-down model wants a box, and a detector is another network. Where there is none, the model
looks at windows of several sizes, takes the one in which it believes most in its joints, and then
looks again at the box of the joints that it found. It finds one person; with several it may mix
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..mmpose.datasets import box_of_joints

# Sides of the windows, in parts of the longer side of the image; and from one to the next, in
# parts of the window. Chosen by eye, on a few images.
_SIDES = (1.0, 0.7, 0.5, 0.35)
_STEP = 0.5
# Of the box of the joints, to each side: as of LspDataset's boxes in training.
_MARGIN = 0.1


def windows(width: int, height: int) -> np.ndarray:
    """Square windows over an image of that many pixels, (N, 4): x1, y1, x2, y2.

    The first is the whole image's; none goes over its border where it need not.
    """
    longer = max(width, height)
    found = []
    for part in _SIDES:
        side = part * longer
        found += [
            (x, y, x + side, y + side) for y in _starts(height, side) for x in _starts(width, side)
        ]
    return np.array(found, np.float32)


def _starts(length: int, side: float) -> np.ndarray:
    """Where windows begin along an axis, evenly from end to end; a larger one is in the middle."""
    if side >= length:
        return np.array([(length - side) / 2])
    count = int(np.ceil((length - side) / (side * _STEP))) + 1
    return np.linspace(0, length - side, count)


def box_around(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The box around joints, with a margin: (4,), x1, y1, x2, y2.

    Args:
        keypoints: (K, 2) in pixels.
        scores: (K,); joints below half of the median are left out.
    """
    scores = np.nan_to_num(scores).clip(0)  # beliefs are not rectified
    sure = scores >= 0.5 * np.median(scores)
    return box_of_joints(keypoints, sure, _MARGIN)


def find_person(
    predict: Callable[[np.ndarray], Any], width: int, height: int, looks: int = 2
) -> np.ndarray:
    """The box of the person whose joints are believed most, (4,).

    Args:
        predict: Boxes (N, 4) -> ``keypoints`` (N, K, 2) and ``keypoint_scores`` (N, K).
        width, height: Of the image.
        looks: How often to look again at the box of the joints.
    """
    boxes = windows(width, height)
    found = predict(boxes)
    best = int(found.keypoint_scores.mean(axis=1).argmax())
    keypoints, scores = found.keypoints[best], found.keypoint_scores[best]
    for _ in range(looks):
        box = box_around(keypoints, scores)
        found = predict(box[None])
        keypoints, scores = found.keypoints[0], found.keypoint_scores[0]
    return box_around(keypoints, scores)
