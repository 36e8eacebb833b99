"""MMPose's drawing of target heatmaps, without the background channel of ours."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from mmpose.visualization import PoseLocalVisualizer


def without_background(heatmaps: Any) -> Any:
    """Leave the background out of target maps that have it as the last channel.

    It is told by its values, which are 1 minus the largest of the others in every cell.

    Args:
        heatmaps: (K, h, w) or (K + 1, h, w), an array or tensor.

    Returns:
        (K, h, w); maps without a background as they are.

    Examples:
        >>> import numpy as np
        >>> maps = np.array([[[0.0, 0.25]], [[0.5, 0.0]], [[0.5, 0.75]]])
        >>> without_background(maps).shape, without_background(maps[:2]).shape
        ((2, 1, 2), (2, 1, 2))
    """
    maps: Tensor = torch.as_tensor(heatmaps)
    if maps.ndim != 3 or len(maps) < 2:
        return heatmaps
    rest = 1 - maps[:-1].amax(dim=0)
    return heatmaps[:-1] if torch.allclose(maps[-1], rest, atol=1e-5) else heatmaps


def install() -> None:
    """Let MMPose's visualizer draw target maps without their background, once.

    It draws the largest channel in each cell, which otherwise is the background nearly everywhere:
    ``browse_dataset.py --mode transformed`` showed an image in dark red.
    """
    draw = PoseLocalVisualizer._draw_instance_heatmap
    if hasattr(draw, '__wrapped__'):
        return

    @functools.wraps(draw)
    def draw_joints(self: Any, fields: Any, overlaid_image: Any = None) -> Any:
        if 'heatmaps' in fields:
            fields = fields.clone()
            maps = without_background(fields.heatmaps)
            del fields.heatmaps
            fields.heatmaps = maps
        return draw(self, fields, overlaid_image)

    PoseLocalVisualizer._draw_instance_heatmap = draw_joints
