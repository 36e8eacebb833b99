"""``TorsoPCKAccuracy``: PCK relative to the torso as an MMPose metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from ..core.evaluation.pck import format_table, torso_pck
from ..core.maps.joint_sets import joint_set
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


def check_torso(joints: JointSet) -> None:
    """Check that a torso can be measured.

    Args:
        joints: Names of the joints of a dataset.

    Raises:
        ValueError: If a shoulder or hip is not among them. The message names what to use instead.
    """
    needed = [f'{side}_{part}' for part in ('shoulder', 'hip') for side in ('left', 'right')]
    if missing := [name for name in needed if name not in joints.names]:
        raise ValueError(
            f'PCK relative to the torso needs {", ".join(missing)}, and the joints are '
            f"{', '.join(joints.names)}; use dict(type='PCKAccuracy', thr=0.2, norm_item='bbox')"
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
        joints: Joints of the predictions and annotations: a name in
            ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``, or a list of names. Needed where a
            transform such as ``KeypointConverter`` changes them. By default those of the dataset.
        collect_device: See ``mmengine.evaluator.BaseMetric``.
        prefix: See ``mmengine.evaluator.BaseMetric``.

    Raises:
        ValueError: If ``thr`` is not positive, or ``joints`` is unknown. When the dataset becomes
            known: if it has no shoulders or hips.

    Examples:
        In a config:

        >>> test_evaluator = dict(type='TorsoPCKAccuracy', thr=0.2)
    """

    default_prefix = 'torso'

    def __init__(
        self,
        thr: float = 0.2,
        joints: str | Sequence[str] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 0 < thr < math.inf:
            raise ValueError(f'thr={thr} must be positive')
        self.thr = thr
        self._given = joints is not None
        self.joints = JointSet(())  # those of the dataset, when it becomes known
        if joints is not None:
            self.joints = joint_set(joints) if isinstance(joints, str) else JointSet(tuple(joints))
            check_torso(self.joints)

    @property
    def dataset_meta(self) -> Mapping[str, Any] | None:
        """Meta information of the dataset, with the names of its joints."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, meta: Mapping[str, Any]) -> None:
        self._dataset_meta = meta
        if not self._given:
            self.joints = joints_of(meta)
            check_torso(self.joints)

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
            predicted = np.asarray(sample['pred_instances']['keypoints'])[..., :2]
            names = self.joints.names
            if not predicted.shape[1] == keypoints.shape[1] == len(names):
                raise ValueError(
                    f'{name_of(sample)}: {predicted.shape[1]} keypoints predicted and '
                    f'{keypoints.shape[1]} annotated, but the metric has {len(names)} joints: '
                    f'{", ".join(names)}. If a transform such as KeypointConverter changes them, '
                    "name those of the model: TorsoPCKAccuracy(joints='lsp') or a list of names"
                )
            if fault := keypoint_fault(keypoints, visible, names):
                raise LabelError(
                    f'{name_of(sample)}: {fault}. Correct the annotation, or mark them as not '
                    'labeled (visibility 0)'
                )
            self.results.append(
                dict(
                    predicted=predicted,
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

        Raises:
            ValueError: If there are no samples, or none has a labeled torso.
        """
        if not results:
            raise ValueError(
                f'no sample reached the metric with prefix {self.prefix!r}; among several datasets '
                'MultiDatasetEvaluator gives each sample to the metric of its dataset_name'
            )
        arrays = {
            key: np.concatenate([result[key] for result in results])
            for key in ('predicted', 'keypoints', 'labeled')
        }
        pck = torso_pck(**arrays, joints=self.joints, threshold=self.thr)
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
