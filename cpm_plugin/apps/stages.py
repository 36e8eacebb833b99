"""Predictions, PCK and a figure of each stage of a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.structures import InstanceData

from ..core.evaluation.double_counting import NEAR, Doubled, double_counting
from ..core.evaluation.pck import TorsoPCK, torso_lengths, torso_pck
from ..core.maps.joints import JointSet
from ..mmpose.codec import CPMHeatmap
from ..mmpose.datasets import dataset_info
from ..mmpose.labels import labeled_of
from ..mmpose.metrics import joints_of
from ..mmpose.stage_panels import crop_of, stage_beliefs
from ..mmpose.structured_codec import StructuredHeatmap

THRESHOLD = 0.2  # of the PCK, as a fraction of the torso


class Changes(NamedTuple):
    """Labeled joints that the last stage has repaired and broken, against stage 1.

    Attributes:
        repaired: (N, K), wrong at stage 1 and right at the last.
        broken: (N, K), right at stage 1 and wrong at the last.
    """

    repaired: np.ndarray
    broken: np.ndarray

    def most(self, count: int, *, broken: bool = False) -> list[int]:
        """Find the people with most joints repaired, less those broken.

        Args:
            count: Largest number of people.
            broken: Those with most joints broken, less those repaired, instead.

        Returns:
            Numbers of the people, from 0, the first with most. All have gained a joint, or with
                ``broken`` lost one.
        """
        gained = self.repaired.sum(axis=1).astype(int) - self.broken.sum(axis=1)
        gained = -gained if broken else gained
        order = np.argsort(-gained, kind='stable')[:count]
        return [int(person) for person in order if gained[person] > 0]


@dataclass(frozen=True)
class StagePredictions:
    """Predictions of T stages for N people.

    Attributes:
        keypoints: (T, N, K, 2), predictions in image pixels.
        truth: (N, K, 2), annotations in image pixels.
        labeled: (N, K), whether a keypoint is labeled.
        others: Further predictions (N, K, 2), by their names.
    """

    keypoints: np.ndarray
    truth: np.ndarray
    labeled: np.ndarray
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    def by_name(self) -> dict[str, np.ndarray]:
        """Return all predictions by name.

        Returns:
            ``'stage 1'``, ``'stage 2'`` ..., and the names of the others -> (N, K, 2).
        """
        stages = {f'stage {stage}': found for stage, found in enumerate(self.keypoints, start=1)}
        return {**stages, **self.others}

    def pck(self, joints: JointSet, threshold: float = THRESHOLD) -> dict[str, TorsoPCK]:
        """Compute the PCK of every stage.

        Args:
            joints: Joint set of the keypoints.
            threshold: Largest distance of a correct keypoint, as a fraction of the torso.

        Returns:
            Names of ``by_name`` -> PCK.
        """
        return {
            name: torso_pck(found, self.truth, self.labeled, joints, threshold=threshold)
            for name, found in self.by_name().items()
        }

    def doubled(self, joints: JointSet, near: float = NEAR) -> dict[str, dict[str, Doubled]]:
        """Count the pairs, such as ankles, that a stage puts at the same place.

        Args:
            joints: Joint set of the keypoints.
            near: See ``double_counting``.

        Returns:
            Names of ``by_name`` -> counts of each pair and of all.
        """
        return {
            name: double_counting(found, self.truth, self.labeled, joints, near=near)
            for name, found in self.by_name().items()
        }

    def changes(self, joints: JointSet, threshold: float = THRESHOLD) -> Changes:
        """Find the joints that the last stage has repaired and broken, against stage 1.

        People without a torso have none.

        Args:
            joints: Joint set of the keypoints.
            threshold: Largest distance of a right joint, as a fraction of the torso.

        Returns:
            The joints of each person.
        """
        reach = threshold * torso_lengths(self.truth, self.labeled, joints)[:, None]
        first, last = (
            np.linalg.norm(stage - self.truth, axis=2) <= reach  # of NaN, False
            for stage in (self.keypoints[0], self.keypoints[-1])
        )
        known = np.asarray(self.labeled) > 0
        return Changes(known & ~first & last, known & first & ~last)

    def most_helped(self, joints: JointSet) -> int:
        """Find the person for whom the last stage corrects most joints of stage 1.

        A joint is right within ``THRESHOLD`` torsos.

        Args:
            joints: Joint set of the keypoints.

        Returns:
            Number of the person, from 0.
        """
        return next(iter(self.changes(joints).most(1)), 0)


@torch.no_grad()
def predict_stages(model: Any, batches: Iterable[dict[str, Any]]) -> StagePredictions:
    """Predict with every stage, on all batches of a test data loader.

    With a ``StructuredHeatmap`` as decoder, all stages are decoded without the structure. The one
    that ``test_cfg['stage']`` names, by default the last, is also decoded with it.

    Args:
        model: See ``stage_beliefs``.
        batches: Batches of the data loader.

    Returns:
        Predictions of all stages.

    Raises:
        ValueError: If ``test_cfg`` names a stage that there is not.
    """
    model.eval()
    head = model.head
    structured = isinstance(head.decoder, StructuredHeatmap)
    stage = (model.test_cfg or {}).get('stage', last := head.stages.num_stages)
    if stage not in range(1, last + 1):
        raise ValueError(f'test_cfg has stage={stage!r}; the model has stages 1 to {last}')
    keypoints, truth, labeled, others = [], [], [], []
    for batch in batches:
        beliefs, samples = stage_beliefs(model, batch)
        decoded = [_plain(head, maps) if structured else head.decode(maps) for maps in beliefs]
        if structured:
            others.append(_in_image(model, head.decode(beliefs[stage - 1]), samples))
        keypoints.append(np.stack([_in_image(model, found, samples) for found in decoded]))
        truth += [sample.gt_instances.keypoints for sample in samples]
        labeled += [labeled_of(sample.gt_instances.keypoints_visible) for sample in samples]
    people = np.concatenate(truth)[..., :2]
    return StagePredictions(
        np.concatenate(keypoints, axis=1),
        people,
        np.concatenate(labeled),
        {f'stage {stage}, structured': np.concatenate(others)} if structured else {},
    )


def _plain(head: Any, maps: torch.Tensor) -> list[InstanceData]:
    """Decode as ``head.decode``, with the decoder that a ``StructuredHeatmap`` is without its own.

    Args:
        head: A ``CPMStageHead`` with a ``StructuredHeatmap``.
        maps: (N, K, h, w).

    Returns:
        N predictions in input pixels.
    """
    keypoints, scores = CPMHeatmap.batch_decode(head.decoder, maps)
    return [InstanceData(keypoints=k, keypoint_scores=s) for k, s in zip(keypoints, scores)]


def _in_image(model: Any, found: Sequence[InstanceData], samples: Any) -> np.ndarray:
    """Convert predictions of a head from input pixels to image pixels: (N, K, 2)."""
    instances = [model.head.for_dataset(instance) for instance in found]
    decoded = model.add_pred_to_datasample(instances, None, samples)  # in place
    return np.concatenate([s.pred_instances.keypoints for s in decoded])[..., :2]


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
