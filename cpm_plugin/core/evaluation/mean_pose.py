"""The mean pose: what can be had without looking at the image, the floor of any result."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray


def mean_pose(keypoints: npt.ArrayLike, labeled: npt.ArrayLike, boxes: npt.ArrayLike) -> FloatArray:
    """Mean position of each joint in the box.

    Args:
        keypoints: (N, K, 2) in pixels.
        labeled: (N, K); the mean is over labeled joints.
        boxes: (N, 4), x1, y1, x2, y2 in pixels.

    Returns:
        (K, 2), 0 to 1 from left to right and from top to bottom of the box; 0.5 for a joint
        that is never labeled.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    known = np.asarray(labeled, dtype=bool)[..., None]
    corners = np.asarray(boxes, dtype=np.float64)[:, None]
    relative = (points - corners[..., :2]) / (corners[..., 2:] - corners[..., :2])
    count = known.sum(axis=0)
    total = np.where(known, relative, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)


def place_pose(pose: npt.ArrayLike, boxes: npt.ArrayLike) -> FloatArray:
    """A pose (K, 2) relative to the box, in pixels of each of (N, 4) boxes: (N, K, 2)."""
    corners = np.asarray(boxes, dtype=np.float64)[:, None]
    return corners[..., :2] + np.asarray(pose) * (corners[..., 2:] - corners[..., :2])
