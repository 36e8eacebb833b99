"""``TorsoPCKAccuracy``: PCK relative to the torso as an MMPose metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from ..core.evaluation.pck import format_table, torso_pck
from ..core.maps.joints import JointSet

from mmpose.registry import METRICS


def joints_of(dataset_meta: Mapping[str, Any]) -> JointSet:
    """The joint set that MMPose's dataset meta information describes."""
    names = dataset_meta['keypoint_id2name']
    return JointSet(
        tuple(names[channel] for channel in range(len(names))),
        tuple((names[a], names[b]) for a, b in dataset_meta.get('skeleton_links', ())),
    )


@METRICS.register_module()
class TorsoPCKAccuracy(BaseMetric):
    """PCK at a fraction of the torso, the metric of LSP (``cpm_plugin.core.evaluation.pck``).

    Torso: left shoulder to right hip of the ground truth; where one of them is not
    labeled, right shoulder to left hip; where that fails too, the image is left out.
    Labeled joints only. Works with every dataset that has shoulders and hips.
    (MMPose's ``PCKAccuracy(norm_item='torso')`` takes joints 4 and 5 of JHMDB's order
    and averages over joint types.)

    Gives, in percent, ``torso/PCK`` over all joints, ``torso/PCK_<group>``,
    ``torso/AUC`` (mean PCK over thresholds 0 to 0.2), and the numbers of images and
    joints counted; and logs a table.

    Args:
        thr: A joint is correct at a distance <= thr x torso.
        collect_device, prefix: See ``mmengine.evaluator.BaseMetric``.

    Examples:
        >>> val_evaluator = dict(type='TorsoPCKAccuracy', thr=0.2)
    """

    default_prefix = 'torso'

    def __init__(
        self, thr: float = 0.2, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if thr <= 0:
            raise ValueError(f'thr {thr} must be positive')
        self.thr = thr

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            truth = sample['gt_instances']
            # (1, K), or (1, K, 2) with a weight beside
            visible = np.asarray(truth['keypoints_visible'])
            visible = visible[..., 0] if visible.ndim == 3 else visible
            self.results.append(
                dict(
                    predicted=np.asarray(sample['pred_instances']['keypoints'])[..., :2],
                    keypoints=np.asarray(truth['keypoints'])[..., :2],
                    labeled=visible > 0,
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        arrays = {
            key: np.concatenate([result[key] for result in results])
            for key in ('predicted', 'keypoints', 'labeled')
        }
        pck = torso_pck(**arrays, joints=joints_of(self.dataset_meta), threshold=self.thr)
        MMLogger.get_current_instance().info('\n' + format_table({'': pck}, self.thr))
        return {
            'PCK': pck.mean,
            **{f'PCK_{group}': value for group, value in pck.per_group.items()},
            'AUC': pck.auc,
            # floats, because MMEngine leaves integers out of the JSON it writes
            'num_images': float(pck.num_images),
            'num_left_out': float(pck.num_left_out),
            'num_joints': float(pck.num_joints),
        }
