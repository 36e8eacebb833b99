"""Predictions and PCK of each stage of a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.structures import InstanceData

from ..core.evaluation.double_counting import NEAR, Doubled, double_counting, doubled_pairs
from ..core.evaluation.pck import TorsoPCK, torso_lengths, torso_pck
from ..core.maps.joints import JointSet
from ..mmpose.codec import CPMHeatmap
from ..mmpose.labels import labeled_of
from ..mmpose.stage_panels import stage_beliefs
from ..mmpose.structured_codec import StructuredHeatmap

THRESHOLD = 0.2  # of the PCK, as a fraction of the torso


def people_with_most(numbers: np.ndarray, count: int) -> list[int]:
    """Find the people with the largest numbers.

    Args:
        numbers: (N,), a number for each person.
        count: Largest number of people.

    Returns:
        Indices of at most ``count`` people with numbers above 0, the first with most.
    """
    order = np.argsort(-np.asarray(numbers), kind='stable')[:count]
    return [int(person) for person in order if numbers[person] > 0]


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
        return people_with_most(-gained if broken else gained, count)


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
        first, last = self._right(joints, threshold)
        known = np.asarray(self.labeled) > 0
        return Changes(known & ~first & last, known & first & ~last)

    def separated(
        self, joints: JointSet, near: float = NEAR, threshold: float = THRESHOLD
    ) -> np.ndarray:
        """Count the pairs that are at the same place at stage 1, and both right at the last.

        Args:
            joints: Joint set of the keypoints.
            near: See ``double_counting``.
            threshold: See ``changes``.

        Returns:
            (N,), numbers of pairs of each person.
        """
        last = self._right(joints, threshold)[1]
        pairs = doubled_pairs(self.keypoints[0], self.truth, self.labeled, joints, near=near)
        counts = np.zeros(len(self.truth), int)
        for (left, right), _, doubled in pairs.values():
            counts += doubled & last[:, left] & last[:, right]
        return counts

    def _right(self, joints: JointSet, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Find the joints (N, K) that are right at stage 1 and at the last stage."""
        reach = threshold * torso_lengths(self.truth, self.labeled, joints)[:, None]
        first, last = (
            np.linalg.norm(stage - self.truth, axis=2) <= reach  # of NaN, False
            for stage in (self.keypoints[0], self.keypoints[-1])
        )
        return first, last

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
    stage = structured_stage(model)
    keypoints, truth, labeled, others = [], [], [], []
    for batch in batches:
        beliefs, samples = stage_beliefs(model, batch)
        decoded = [decode_plain(head, maps) for maps in beliefs]
        if stage:
            others.append(_in_image(model, head.decode(beliefs[stage - 1]), samples))
        keypoints.append(np.stack([_in_image(model, found, samples) for found in decoded]))
        truth += [sample.gt_instances.keypoints for sample in samples]
        labeled += [labeled_of(sample.gt_instances.keypoints_visible) for sample in samples]
    people = np.concatenate(truth)[..., :2]
    return StagePredictions(
        np.concatenate(keypoints, axis=1),
        people,
        np.concatenate(labeled),
        {f'stage {stage}, structured': np.concatenate(others)} if stage else {},
    )


def structured_stage(model: Any) -> int | None:
    """Return the stage that is decoded with a structure.

    Args:
        model: A model with a ``CPMStageHead``.

    Returns:
        That of ``test_cfg``, by default the last; None if the decoder has no structure.

    Raises:
        ValueError: If ``test_cfg`` names a stage that there is not.
    """
    stage = (model.test_cfg or {}).get('stage', last := model.head.stages.num_stages)
    if stage not in range(1, last + 1):
        raise ValueError(f'test_cfg has stage={stage!r}; the model has stages 1 to {last}')
    return stage if isinstance(model.head.decoder, StructuredHeatmap) else None


def decode_plain(head: Any, maps: torch.Tensor) -> list[InstanceData]:
    """Decode as ``head.decode``, but without the structure of a ``StructuredHeatmap``.

    Args:
        head: A ``CPMStageHead``.
        maps: (N, K, h, w), belief maps.

    Returns:
        N predictions in input pixels.
    """
    if not isinstance(head.decoder, StructuredHeatmap):
        return head.decode(maps)
    keypoints, scores = CPMHeatmap.batch_decode(head.decoder, maps)
    return [InstanceData(keypoints=k, keypoint_scores=s) for k, s in zip(keypoints, scores)]


def _in_image(model: Any, found: Sequence[InstanceData], samples: Any) -> np.ndarray:
    """Convert predictions of a head from input pixels to image pixels: (N, K, 2)."""
    instances = [model.head.for_dataset(instance) for instance in found]
    decoded = model.add_pred_to_datasample(instances, None, samples)  # in place
    return np.concatenate([s.pred_instances.keypoints for s in decoded])[..., :2]
