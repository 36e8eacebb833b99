"""Predictions, PCK and a figure of each stage of a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.evaluation.pck import TorsoPCK, torso_lengths, torso_pck
from ..core.maps.joints import JointSet
from ..mmpose.datasets import dataset_info
from ..mmpose.labels import labeled_of
from ..mmpose.metrics import joints_of
from ..mmpose.stage_panels import crop_of, stage_beliefs

THRESHOLD = 0.2  # of the PCK, as a fraction of the torso


@dataclass(frozen=True)
class StagePredictions:
    """Predictions of T stages for N people.

    Attributes:
        keypoints: (T, N, K, 2), predictions in image pixels.
        truth: (N, K, 2), annotations in image pixels.
        labeled: (N, K), whether a keypoint is labeled.
    """

    keypoints: np.ndarray
    truth: np.ndarray
    labeled: np.ndarray

    def pck(self, joints: JointSet, threshold: float = THRESHOLD) -> dict[str, TorsoPCK]:
        """Compute the PCK of every stage.

        Args:
            joints: Joint set of the keypoints.
            threshold: Largest distance of a correct keypoint, as a fraction of the torso.

        Returns:
            ``'stage 1'``, ``'stage 2'`` ... -> PCK.
        """
        return {
            f'stage {stage}': torso_pck(
                keypoints, self.truth, self.labeled, joints, threshold=threshold
            )
            for stage, keypoints in enumerate(self.keypoints, start=1)
        }

    def most_helped(self, joints: JointSet) -> int:
        """Find the person for whom the last stage corrects most joints of stage 1.

        A joint is right within ``THRESHOLD`` torsos.

        Args:
            joints: Joint set of the keypoints.

        Returns:
            Number of the person, from 0.
        """
        torso = torso_lengths(self.truth, self.labeled, joints)
        with np.errstate(invalid='ignore'):
            right = [
                np.linalg.norm(stage - self.truth, axis=2) <= THRESHOLD * torso[:, None]
                for stage in (self.keypoints[0], self.keypoints[-1])
            ]
        gained = (right[1].astype(int) - right[0]) * (self.labeled > 0)
        return int(gained.sum(axis=1).argmax())


@torch.no_grad()
def predict_stages(model: Any, batches: Iterable[dict[str, Any]]) -> StagePredictions:
    """Predict with every stage, on all batches of a test data loader.

    Args:
        model: See ``stage_beliefs``.
        batches: Batches of the data loader.

    Returns:
        Predictions of all stages.
    """
    model.eval()
    keypoints, truth, labeled = [], [], []
    for batch in batches:
        beliefs, samples = stage_beliefs(model, batch)
        per_stage = []
        for maps in beliefs:
            found = [model.head.for_dataset(instance) for instance in model.head.decode(maps)]
            # converts the positions from input pixels to image pixels, in place
            decoded = model.add_pred_to_datasample(found, None, samples)
            per_stage.append(np.concatenate([s.pred_instances.keypoints for s in decoded]))
        keypoints.append(np.stack(per_stage))
        truth += [sample.gt_instances.keypoints for sample in samples]
        labeled += [labeled_of(sample.gt_instances.keypoints_visible) for sample in samples]
    people = np.concatenate(truth)[..., :2]
    return StagePredictions(
        np.concatenate(keypoints, axis=1)[..., :2],
        people,
        np.concatenate(labeled),
    )


@torch.no_grad()
def person_figure(model: Any, batch: dict[str, Any], meta: Mapping[str, Any]) -> Any:
    """Draw the stages for the one person in a batch of a test data loader; see ``draw_stages``.

    Args:
        model: See ``stage_beliefs``.
        batch: Batch with one person.
        meta: Meta information of the dataset. Joints and colors are taken from it, unless the head
            has ``joints``.

    Returns:
        A matplotlib figure.
    """
    beliefs, _ = stage_beliefs(model, batch)
    joints, colors = joints_of(meta), meta['skeleton_link_colors']
    if model.head.joints is not None:  # the channels of the maps are those of the head
        joints = model.head.joints
        colors = [link['color'] for link in dataset_info(joints)['skeleton_info'].values()]
    return draw_stages(
        crop_of(batch['inputs'][0]),
        [maps[0].cpu().numpy() for maps in beliefs],
        [model.head.decode(maps)[0].keypoints[0] for maps in beliefs],
        joints,
        np.asarray(colors),
    )


# Ends and middles of limbs, where stage 1 confuses left and right most. The first six are drawn.
_SHOWN = ('wrist', 'ankle', 'elbow', 'knee')
_HEAT: Any = {'cmap': 'hot', 'vmin': 0, 'vmax': 1.2}  # a belief of 1 is not yet white


def draw_stages(
    crop: np.ndarray,
    beliefs: Sequence[np.ndarray],
    keypoints: Sequence[np.ndarray],
    joints: JointSet,
    link_colors: np.ndarray,
) -> Any:
    """Draw one row for each stage: the skeleton, the beliefs of all joints, then of single joints.

    Args:
        crop: (H, W, 3), RGB, from 0 to 255, the network input.
        beliefs: T arrays (K, h, w).
        keypoints: T arrays (K, 2) in pixels of the crop.
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
    rows, columns = len(beliefs), 2 + len(shown)
    figure = Figure(figsize=(1.8 * columns + 0.6, 1.95 * rows + 0.3), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False)
    height, width = crop.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for stage, (maps, points, row) in enumerate(zip(beliefs, keypoints, axes), start=1):
        row[0].imshow(crop, extent=extent)
        for (start, end), color in zip(joints.links, link_colors):
            line = points[[joints.index(start), joints.index(end)]]
            row[0].plot(line[:, 0], line[:, 1], color=color / 255, linewidth=2.5)
        row[0].set_ylabel(f'stage {stage}', fontsize=11)
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
