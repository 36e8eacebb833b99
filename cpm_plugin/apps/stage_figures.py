"""A figure of the belief maps and skeletons of each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..core.maps.joints import JointSet
from ..mmpose.datasets import dataset_info
from ..mmpose.metrics import joints_of
from ..mmpose.stage_panels import crop_of, stage_beliefs
from .stages import decode_plain, structured_stage


@torch.no_grad()
def person_figure(model: Any, batch: dict[str, Any], meta: Mapping[str, Any]) -> Any:
    """Draw the stages for the one person in a batch of a test data loader; see ``draw_stages``.

    With a ``StructuredHeatmap`` as decoder, the last row has its max-marginals and keypoints.

    Args:
        model: See ``stage_beliefs``.
        batch: Batch with one person.
        meta: Meta information of the dataset. Joints and colors are taken from it, unless the head
            has ``joints``.

    Returns:
        A matplotlib figure.
    """
    head = model.head
    beliefs, _ = stage_beliefs(model, batch)
    rows = {
        f'stage {number}': (maps[0].cpu().numpy(), decode_plain(head, maps)[0].keypoints[0])
        for number, maps in enumerate(beliefs, start=1)
    }
    if stage := structured_stage(model):
        maps = beliefs[stage - 1]
        marginals = head.decoder.max_marginals(maps.cpu().numpy())
        rows[f'stage {stage}, structured'] = (marginals[0], head.decode(maps)[0].keypoints[0])
    if head.joints is None:
        joints, colors = joints_of(meta), meta['skeleton_link_colors']
    else:  # the channels of the maps are those of the head
        joints = head.joints
        colors = [link['color'] for link in dataset_info(joints)['skeleton_info'].values()]
    return draw_stages(crop_of(batch['inputs'][0]), rows, joints, np.asarray(colors))


# Ends and middles of limbs, where stage 1 confuses left and right most. The first six are drawn.
_SHOWN = ('wrist', 'ankle', 'elbow', 'knee')
_HEAT: Any = {'cmap': 'hot', 'vmin': 0, 'vmax': 1.2}  # a belief of 1 is not yet white


def draw_stages(
    crop: np.ndarray,
    predictions: Mapping[str, tuple[np.ndarray, np.ndarray]],
    joints: JointSet,
    link_colors: np.ndarray,
) -> Any:
    """Draw a row for each prediction: skeleton, beliefs of all joints, then of single joints.

    Args:
        crop: (H, W, 3), RGB, from 0 to 255, the network input.
        predictions: Names of the rows, such as ``'stage 1'`` -> belief maps (K, h, w), and
            keypoints (K, 2) in pixels of the crop.
        joints: Names and links of the K joints.
        link_colors: (links, 3), RGB, from 0 to 255.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    ends = [name for part in _SHOWN for name in joints.names if name.endswith(part)]
    shown = (ends or list(joints.names))[:6]
    rows, columns = len(predictions), 2 + len(shown)
    figure = Figure(figsize=(1.8 * columns + 0.6, 1.95 * rows + 0.3), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False)
    height, width = crop.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for row, (name, (maps, points)) in zip(axes, predictions.items()):
        row[0].imshow(crop, extent=extent)
        for (start, end), color in zip(joints.links, link_colors):
            line = points[[joints.index(start), joints.index(end)]]
            row[0].plot(line[:, 0], line[:, 1], color=color / 255, linewidth=2.5)
        row[0].set_ylabel(name.replace(', ', '\n'), fontsize=11)
        channels = [joints.index(name) for name in shown]
        seen = [maps[: len(joints.names)].max(axis=0), *maps[channels]]
        for axis, heat in zip(row[1:], seen):
            axis.imshow(crop.mean(axis=2), cmap='gray', vmin=-80, vmax=255, extent=extent)
            heat = heat.clip(0, 1)
            axis.imshow(heat, **_HEAT, alpha=heat**0.5, extent=extent, interpolation='bilinear')
        for axis, channel in zip(row[2:], channels):
            axis.plot(*points[channel], '+', color='cyan', markersize=9, markeredgewidth=1.5)
        for axis in row:
            axis.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
    titles = ['skeleton', 'all joints', *(name.replace('_', ' ') for name in shown)]
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=9)
    scale = figure.colorbar(
        ScalarMappable(Normalize(_HEAT['vmin'], _HEAT['vmax']), _HEAT['cmap']),
        ax=axes, label='belief', ticks=[0, 0.5, 1], aspect=18 * rows, pad=0.01,
    )  # fmt: skip
    scale.ax.set_ylim(0, 1)
    return figure
