"""``TorsoPCKAccuracy``: PCK relative to the torso as an MMPose metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from ..core.evaluation.pck import format_table, torso_pck
from ..core.maps.joints import JointSet
from .labels import LabelError, keypoint_fault, keypoint_names, labeled_of, name_of

from mmpose.registry import METRICS


def joints_of(dataset_meta: Mapping[str, Any]) -> JointSet:
    """Make a joint set from MMPose's dataset meta information.

    Args:
        dataset_meta: Meta information, with ``keypoint_id2name`` and optionally
            ``skeleton_links``.

    Returns:
        Names and links of the joints.
    """
    names = dataset_meta['keypoint_id2name']
    return JointSet(
        tuple(keypoint_names(dataset_meta)),
        tuple((names[a], names[b]) for a, b in dataset_meta.get('skeleton_links', ())),
    )


@METRICS.register_module()
class TorsoPCKAccuracy(BaseMetric):
    """PCK at a fraction of the torso, the metric of LSP.

    It is computed by ``cpm_plugin.core.evaluation.pck``. The torso is the distance from the left
    shoulder to the right hip of the annotation. Where one of them is not labeled, it is that from
    the right shoulder to the left hip. Where that fails too, the image is left out. Only labeled
    joints count. Every dataset that has shoulders and hips can be used.

    MMPose's ``PCKAccuracy(norm_item='torso')`` is different. It takes joints 4 and 5 of JHMDB's
    order and averages over the kinds of joints.

    The results are in percent: ``torso/PCK`` over all joints, ``torso/PCK_<group>``, and
    ``torso/AUC``, the mean PCK over thresholds from 0 to 0.2. The numbers of images and joints
    that were counted are also given: ``torso/num_images``, ``torso/num_left_out`` and
    ``torso/num_joints``. So is ``torso/thr``, so that no one has to guess what the PCK is at. A
    table goes to the log.

    Args:
        thr: Largest distance of a correct joint, as a fraction of the torso.
        collect_device: See ``mmengine.evaluator.BaseMetric``.
        prefix: See ``mmengine.evaluator.BaseMetric``.

    Raises:
        ValueError: If ``thr`` is not positive.

    Examples:
        In a config:

        >>> test_evaluator = dict(type='TorsoPCKAccuracy', thr=0.2)
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
        """Collect the predictions and annotations of one batch.

        Args:
            data_batch: Not used.
            data_samples: Data samples as dictionaries, with ``pred_instances`` and
                ``gt_instances``.

        Raises:
            LabelError: If a labeled keypoint of an annotation is not at a finite position, which
                would count as a miss. The message names image and annotation.
        """
        for sample in data_samples:
            truth = sample['gt_instances']
            keypoints = np.asarray(truth['keypoints'])[..., :2]
            visible = truth['keypoints_visible']
            names = keypoint_names(self.dataset_meta)
            if fault := keypoint_fault(keypoints, visible, names):
                raise LabelError(
                    f'{name_of(sample)}: {fault}. Correct the annotation, or mark them as not '
                    'labeled (visibility 0)'
                )
            self.results.append(
                dict(
                    predicted=np.asarray(sample['pred_instances']['keypoints'])[..., :2],
                    keypoints=keypoints,
                    labeled=labeled_of(visible),
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics from all collected samples.

        Args:
            results: What ``process`` has collected.

        Returns:
            Metrics by name; see the class.
        """
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
            # MMEngine leaves integers out of the JSON file that it writes, so these are floats.
            'num_images': float(pck.num_images),
            'num_left_out': float(pck.num_left_out),
            'num_joints': float(pck.num_joints),
            'thr': float(self.thr),
        }
