"""``AddNeighbours``: the joints of the other people in a top-down crop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.dataset_wrappers import CombinedDataset
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix
from mmpose.structures.keypoint import flip_keypoints


@TRANSFORMS.register_module()
class AddNeighbours(BaseTransform):
    """Add the key points of the other people in the picture, in crop coordinates.

    Stands after ``TopdownAffine`` and repeats its flip and warp. Neighbours are the
    entries of the same ``img_id`` next to this one in the dataset's list, where MMPose's
    COCO-style datasets and MPII keep all people of a picture together.

    Required keys: dataset, sample_idx, img_id, input_center, input_scale, input_size,
    ori_shape, and flip, flip_direction, bbox_rotation where they were applied.
    Added keys: ``neighbour_keypoints`` (M, K, 2), ``neighbour_keypoints_visible`` (M, K).

    Raises:
        ValueError: in MMPose's ``CombinedDataset``, which hides the sample's number.

    Args:
        use_udp: as in ``TopdownAffine``.
    """

    def __init__(self, use_udp: bool = False) -> None:
        self.use_udp = use_udp

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if isinstance(results['dataset'], CombinedDataset):
            raise ValueError(
                'AddNeighbours cannot find neighbours in a CombinedDataset, which does not tell '
                'the number of the sample; use a ConcatDataset'
            )
        people = list(_neighbours(results['dataset'], results['sample_idx'], results['img_id']))
        num_joints = results['keypoints'].shape[1]
        keypoints = np.concatenate([np.zeros((0, num_joints, 2)), *(k for k, _ in people)])
        visible = np.concatenate([np.zeros((0, num_joints)), *(v for _, v in people)])
        if len(people) and results.get('flip', False):
            keypoints, visible = flip_keypoints(
                keypoints,
                visible,
                image_size=results['ori_shape'][::-1],
                flip_indices=results['flip_indices'],
                direction=results['flip_direction'],
            )
        if len(people):
            warp = get_udp_warp_matrix if self.use_udp else get_warp_matrix
            rotation = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
            matrix = warp(
                results['input_center'],
                results['input_scale'],
                rotation,
                output_size=results['input_size'],
            )
            keypoints = cv2.transform(keypoints, matrix)
        results['neighbour_keypoints'] = keypoints
        results['neighbour_keypoints_visible'] = visible
        return results


def _neighbours(dataset: Any, index: int, img_id: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Key points (1, K, 2) and visible (1, K) of the entries around ``index`` of one picture."""
    for step in (-1, 1):
        other = index + step
        while 0 <= other < len(dataset):
            info = dataset.get_data_info(other)
            if info['img_id'] != img_id:
                break
            yield info['keypoints'][..., :2], info['keypoints_visible'].reshape(1, -1)
            other += step
