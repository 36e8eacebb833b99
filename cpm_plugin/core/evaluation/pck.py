"""PCK relative to the torso: the metric of Leeds Sports Pose.

A joint is correct if its distance from the ground truth is at most a fraction (0.2) of
the torso, the distance from left shoulder to right hip (Yang & Ramanan, PAMI 2013; the
person-centric form is that of the LSP evaluation the CPM authors report).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..maps.geometry import FloatArray
from ..maps.joints import JointSet

# AUC: the mean PCK at 0, 0.01, ... 0.2 of the torso, the range of the LSP curves.
AUC_THRESHOLDS = np.linspace(0, 0.2, 21)


@dataclass(frozen=True)
class TorsoPCK:
    """Result of ``torso_pck``; accuracies in percent.

    ``per_joint`` and ``per_group`` hold NaN where no joint was counted.
    """

    mean: float
    auc: float
    per_joint: FloatArray
    per_group: dict[str, float]
    num_images: int
    num_left_out: int
    num_joints: int


def torso_lengths(keypoints: npt.ArrayLike, labeled: npt.ArrayLike, joints: JointSet) -> FloatArray:
    """Length of each person's torso in pixels.

    Left shoulder to right hip; where one of them is not labeled, right shoulder to left
    hip; where that fails too, or the length is 0, NaN.

    Args:
        keypoints: (N, K, 2) ground truth.
        labeled: (N, K), true where the position is known.
        joints: names; must have both shoulders and hips.

    Returns:
        (N,).

    Raises:
        ValueError: if a shoulder or hip is not among ``joints``.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    known = np.asarray(labeled, dtype=bool)
    lengths = np.full(len(points), np.nan)
    # the preferred diagonal is written last
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
    """PCK over all labeled joints of all people who have a torso.

    Args:
        predicted, keypoints: (N, K, 2) in the same pixels. Unsigned integers are safe.
        labeled: (N, K); joints that are not labeled are not counted.
        joints: names of the K joints.
        threshold: a joint is correct at a distance <= threshold * torso.

    Raises:
        ValueError: if shapes do not fit, or nobody has a torso.
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
    """How often the largest cell of a belief map is near that of its target, for a log.

    MMPose's ``pose_pck_accuracy``, whose rules are: near is a distance, x over the maps' height
    and y over their width, of less than ``threshold``; a map without positive values has its
    peak at cell (-1, -1); the mean is over those joints that are counted at all. Computed where
    the maps are: none is copied from a GPU.

    Args:
        beliefs, targets: (N, K, H, W).
        counted: (N, K) of bool.

    Returns:
        A tensor of one number from 0 to 1, in float32; 0 where nothing is counted.
    """
    height, width = beliefs.shape[2:]
    offset = _largest_cell(beliefs) - _largest_cell(targets)
    # whole numbers, so that a distance of exactly the threshold is not near on any device
    squares = (offset[..., 0] * width) ** 2 + (offset[..., 1] * height) ** 2
    near = (squares < (threshold * height * width) ** 2) & counted
    counts = counted.sum(dim=0)
    per_joint = near.sum(dim=0) / counts.clamp(min=1)
    return per_joint.sum() / (counts > 0).sum().clamp(min=1)


def _largest_cell(maps: Tensor) -> Tensor:
    """(N, K, H, W) -> (N, K, 2), x and y of the first largest cell."""
    value, index = maps.detach().flatten(2).max(dim=2)
    width = maps.shape[3]
    cells = torch.stack([index % width, index.div(width, rounding_mode='floor')], dim=-1)
    return cells.masked_fill((value <= 0)[..., None], -1)


def format_table(results: dict[str, TorsoPCK], threshold: float = 0.2) -> str:
    """A Markdown table, a row per result, a column per group."""
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
