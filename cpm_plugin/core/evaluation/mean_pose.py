"""The mean pose, a baseline that does not look at the image: any model should be better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray


def mean_pose(keypoints: npt.ArrayLike, labeled: npt.ArrayLike, boxes: npt.ArrayLike) -> FloatArray:
    """Compute the mean position of each keypoint, relative to the bounding box.

    Args:
        keypoints: (N, K, 2), x and y in image pixels.
        labeled: (N, K); the mean is over labeled keypoints.
        boxes: (N, 4), bounding boxes x1, y1, x2, y2 in image pixels.

    Returns:
        (K, 2), x from 0 (left side of the box) to 1 (right side), y from 0 (top) to 1 (bottom). 0.5
            for a keypoint that is never labeled.

    Examples:
        Two people with one keypoint:

        >>> from cpm_plugin.core.evaluation import mean_pose
        >>> keypoints, boxes = [[[5, 5]], [[15, 10]]], [[0, 0, 10, 20], [10, 0, 20, 20]]
        >>> mean_pose(keypoints, [[1], [1]], boxes)
        array([[0.5  , 0.375]])
    """
    points = np.asarray(keypoints, dtype=np.float64)
    known = np.asarray(labeled, dtype=bool)[..., None]
    corners = np.asarray(boxes, dtype=np.float64)[:, None]
    relative = (points - corners[..., :2]) / (corners[..., 2:] - corners[..., :2])
    count = known.sum(axis=0)
    total = np.where(known, relative, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)


def place_pose(pose: npt.ArrayLike, boxes: npt.ArrayLike) -> FloatArray:
    """Place a relative pose in bounding boxes.

    Args:
        pose: (K, 2), x and y relative to the box, as from ``mean_pose``.
        boxes: (N, 4), bounding boxes x1, y1, x2, y2 in image pixels.

    Returns:
        (N, K, 2), x and y in image pixels.

    Examples:
        >>> from cpm_plugin.core.evaluation import place_pose
        >>> place_pose([[0.5, 0.375]], [[0, 0, 10, 20]])
        array([[[5. , 7.5]]])
    """
    corners = np.asarray(boxes, dtype=np.float64)[:, None]
    return corners[..., :2] + np.asarray(pose) * (corners[..., 2:] - corners[..., :2])
