"""PCK relative to the torso, the metric of Leeds Sports Pose (LSP).

A keypoint is correct if its distance from the ground truth is at most a fraction (0.2) of the
torso. The torso is the distance from left shoulder to right hip (Yang & Ramanan, PAMI 2013).
Annotations are person-centric, as in the LSP evaluation that the authors of CPM report: left and
right are those of the person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..maps.geometry import FloatArray
from ..maps.joints import JointSet

# AUC is the mean PCK at 0, 0.01, ... 0.2 of the torso, the range of the curves for LSP.
AUC_THRESHOLDS = np.linspace(0, 0.2, 21)


@dataclass(frozen=True)
class TorsoPCK:
    """Result of ``torso_pck``; accuracies are in percent.

    Attributes:
        mean: PCK over all keypoints that are counted.
        auc: Mean PCK over the thresholds ``AUC_THRESHOLDS``.
        per_joint: (K,), PCK of each keypoint; NaN if it was never counted.
        per_group: PCK of each part of the body (``JointSet.groups``); NaN if it was never counted.
        num_images: Number of people who are counted.
        num_left_out: Number of people who are left out, since they have no labeled torso.
        num_joints: Number of keypoints that are counted.
    """

    mean: float
    auc: float
    per_joint: FloatArray
    per_group: dict[str, float]
    num_images: int
    num_left_out: int
    num_joints: int


def torso_lengths(keypoints: npt.ArrayLike, labeled: npt.ArrayLike, joints: JointSet) -> FloatArray:
    """Compute the length of each person's torso.

    It is the distance from left shoulder to right hip. If one of them is not labeled, or the
    distance is 0, it is the distance from right shoulder to left hip. If that fails too, it is
    NaN.

    Args:
        keypoints: (N, K, 2), ground truth, x and y in image pixels.
        labeled: (N, K), true where the position is known.
        joints: Names of the K keypoints; both shoulders and hips must be among them.

    Returns:
        (N,), in image pixels.

    Raises:
        ValueError: If a shoulder or hip is not among ``joints``.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    known = np.asarray(labeled, dtype=bool)
    lengths = np.full(len(points), np.nan)
    # The preferred diagonal comes last and replaces the other.
    for shoulder, hip in (('right_shoulder', 'left_hip'), ('left_shoulder', 'right_hip')):
        a, b = joints.index(shoulder), joints.index(hip)
        length = np.linalg.norm(points[:, a] - points[:, b], axis=1)
        usable = known[:, a] & known[:, b] & (length > 0)
        lengths[usable] = length[usable]
    return lengths


def torso_pck(
    predicted: npt.ArrayLike,
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    joints: JointSet,
    *,
    threshold: float = 0.2,
) -> TorsoPCK:
    """Compute PCK over all labeled keypoints of all people with a labeled torso.

    Args:
        predicted: (N, K, 2), predicted x and y in image pixels. Unsigned integers are safe.
        keypoints: (N, K, 2), ground truth, in the same pixels; any values where not labeled.
        labeled: (N, K); keypoints that are not labeled are not counted.
        joints: Names of the K keypoints; both shoulders and hips must be among them.
        threshold: A keypoint is correct at a distance of at most ``threshold`` torsos.

    Returns:
        Accuracies and counts.

    Raises:
        ValueError: If the shapes do not fit, a shoulder or hip is not among ``joints``, a labeled
            keypoint is not at a finite position, or nobody has a labeled torso.

    Examples:
        One person with a torso of 50 pixels; the second keypoint is 15 pixels away:

        >>> from cpm_plugin.core import JointSet, torso_pck
        >>> joints = JointSet(('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip'))
        >>> truth = [[[0, 0], [40, 0], [0, 80], [30, 40]]]
        >>> predicted = [[[0, 0], [40, 15], [0, 80], [30, 40]]]
        >>> result = torso_pck(predicted, truth, [[1, 1, 1, 1]], joints)
        >>> result.mean, result.per_group
        (75.0, {'shoulder': 50.0, 'hip': 100.0})
    """
    found = np.asarray(predicted, dtype=np.float64)
    truth = np.asarray(keypoints, dtype=np.float64)
    known = np.asarray(labeled, dtype=bool)
    expected = (len(truth), len(joints.names))
    if found.shape != (*expected, 2) or truth.shape != found.shape or known.shape != expected:
        raise ValueError(
            f'predicted {found.shape}, keypoints {truth.shape} and labeled {known.shape} must '
            f'be (N, {expected[1]}, 2) twice and (N, {expected[1]})'
        )
    wrong = known & ~np.isfinite(truth).all(axis=2)
    if wrong.any():  # it would count as a miss
        person, joint = np.argwhere(wrong)[0]
        raise ValueError(
            f'{wrong.sum()} labeled keypoints of the ground truth are not at finite positions: '
            f'first {joints.names[joint]} of person {person}, at {truth[person, joint].tolist()}; '
            'correct them, or mark them as not labeled'
        )
    torso = torso_lengths(truth, known, joints)
    usable = ~np.isnan(torso)
    if not usable.any():
        raise ValueError(
            f'none of {len(truth)} people has a labeled torso (a shoulder and the opposite '
            'hip); this metric cannot be computed on such data'
        )
    distance = np.linalg.norm(found - truth, axis=2)[usable] / torso[usable, None]
    counted = known[usable]
    correct = (distance <= threshold) & counted
    with np.errstate(invalid='ignore'):
        per_joint = 100 * correct.sum(axis=0) / counted.sum(axis=0)
        per_group = {
            part: float(100 * correct[:, list(ids)].sum() / counted[:, list(ids)].sum())
            for part, ids in joints.groups().items()
        }
    curve = [(distance[counted] <= t).mean() for t in AUC_THRESHOLDS]
    return TorsoPCK(
        mean=float(100 * correct.sum() / counted.sum()),
        auc=float(100 * np.mean(curve)),
        per_joint=per_joint,
        per_group=per_group,
        num_images=int(usable.sum()),
        num_left_out=int((~usable).sum()),
        num_joints=int(counted.sum()),
    )


def map_pck(beliefs: Tensor, targets: Tensor, counted: Tensor, threshold: float = 0.05) -> Tensor:
    """Compute how often the peak of a belief map is near that of its target, for a training log.

    This is MMPose's ``pose_pck_accuracy``, with its rules. The distance of two peaks has x divided
    by the height of the maps, and y by their width. It is near if it is less than ``threshold``.
    A map without positive values has its peak at cell (-1, -1). The mean is over the keypoints
    that are counted at all. It is computed on the device of the maps; none is copied from a GPU.

    Args:
        beliefs: (N, K, H, W), belief maps.
        targets: (N, K, H, W), target belief maps.
        counted: (N, K) of bool.
        threshold: Largest distance, exclusive.

    Returns:
        Tensor with one number from 0 to 1, in float32; 0 if nothing is counted.
    """
    height, width = beliefs.shape[2:]
    offset = _largest_cell(beliefs) - _largest_cell(targets)
    # Whole numbers, so that a distance of exactly the threshold is not near on any device.
    squares = (offset[..., 0] * width) ** 2 + (offset[..., 1] * height) ** 2
    near = (squares < (threshold * height * width) ** 2) & counted
    counts = counted.sum(dim=0)
    per_joint = near.sum(dim=0) / counts.clamp(min=1)
    return per_joint.sum() / (counts > 0).sum().clamp(min=1)


def _largest_cell(maps: Tensor) -> Tensor:
    """Return x and y of the first largest cell: (N, K, H, W) -> (N, K, 2)."""
    value, index = maps.detach().flatten(2).max(dim=2)
    width = maps.shape[3]
    cells = torch.stack([index % width, index.div(width, rounding_mode='floor')], dim=-1)
    return cells.masked_fill((value <= 0)[..., None], -1)


def format_table(results: dict[str, TorsoPCK], threshold: float = 0.2) -> str:
    """Format results as a Markdown table, with a row per result and a column per part of the body.

    Args:
        results: Results by their names; all have the same parts.
        threshold: Threshold of PCK, for the header.

    Returns:
        The table.
    """
    groups = list(next(iter(results.values())).per_group)
    header = ['', *groups, f'PCK@{threshold:g}', 'AUC', 'images (left out)', 'joints']
    rows = [header, ['---'] * len(header)]
    for name, result in results.items():
        rows.append(
            [
                name,
                *(f'{result.per_group[group]:.1f}' for group in groups),
                f'{result.mean:.2f}',
                f'{result.auc:.2f}',
                f'{result.num_images} ({result.num_left_out})',
                str(result.num_joints),
            ]
        )
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows)
