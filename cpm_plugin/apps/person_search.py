"""Search for the one person of an image, by the model alone.

A top-down model needs a bounding box, and a detector is another network. If there is no box, the
model looks at windows of several sizes. It takes the window with the largest mean belief, then
looks again at the box of the joints that it has found. It finds one person; with several people
in the image it may mix them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..mmpose.lsp import box_of_joints

# Sides of the windows, as parts of the longer side of the image. The step from one window to the
# next is a part of the window. Both were chosen by eye, on a few images.
_SIDES = (1.0, 0.7, 0.5, 0.35)
_STEP = 0.5
# Margin of the box of the joints on every side, as in LspDataset's boxes for training.
_MARGIN = 0.1


def windows(width: int, height: int) -> np.ndarray:
    """Make square windows that cover an image.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.

    Returns:
        (N, 4), x1, y1, x2, y2. The first one is that of the whole image. A window goes beyond the
            border only where it is larger than the image.
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
    """Return where windows begin along an axis: evenly from end to end, or centered if larger."""
    if side >= length:
        return np.array([(length - side) / 2])
    count = int(np.ceil((length - side) / (side * _STEP))) + 1
    return np.linspace(0, length - side, count)


def box_around(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Compute the bounding box of joints, with a margin.

    Args:
        keypoints: (K, 2) in image pixels.
        scores: (K,). Joints with less than half of the median are left out.

    Returns:
        (4,), x1, y1, x2, y2 in image pixels.
    """
    scores = np.nan_to_num(scores).clip(0)  # beliefs may be negative
    sure = scores >= 0.5 * np.median(scores)
    return box_of_joints(keypoints, sure, _MARGIN)


def find_person(
    predict: Callable[[np.ndarray], Any], width: int, height: int, looks: int = 2
) -> np.ndarray:
    """Find the box of the person for which the model has the largest mean belief.

    Args:
        predict: Function from boxes (N, 4) to ``keypoints`` (N, K, 2) and ``scores`` (N, K).
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        looks: Number of times that the model looks again at the box of the joints.

    Returns:
        (4,), x1, y1, x2, y2 in image pixels.
    """
    boxes = windows(width, height)
    found = predict(boxes)
    best = int(found.scores.mean(axis=1).argmax())
    keypoints, scores = found.keypoints[best], found.scores[best]
    for _ in range(looks):
        box = box_around(keypoints, scores)
        found = predict(box[None])
        keypoints, scores = found.keypoints[0], found.scores[0]
    return box_around(keypoints, scores)
