"""Transforms of joints: to the joints of the model, and to those of other people in a crop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..core.maps.joint_sets import joint_set

from mmcv.transforms import BaseTransform
from mmpose.datasets.dataset_wrappers import CombinedDataset
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix
from mmpose.structures.keypoint import flip_keypoints


class Transform(BaseTransform):
    """MMPose's ``BaseTransform`` that prints with its settings."""

    def __repr__(self) -> str:
        settings = ', '.join(f'{name}={value!r}' for name, value in vars(self).items())
        return f'{type(self).__name__}({settings})'


def check_unmended(results: dict[str, Any], step: Transform) -> None:
    """Refuse a sample of ``MendSides`` in a step that takes other people from the dataset.

    Args:
        results: A sample.
        step: The step.

    Raises:
        ValueError: If ``MendSides`` was here.
    """
    if results.get('sides_mended'):
        raise ValueError(
            f'{type(step).__name__} takes other people from the dataset, whose labels MendSides '
            'does not mend; leave MendSides out of this pipeline'
        )


@dataclass(frozen=True)
class _Selection:
    """What ``SelectJoints`` does to the keypoints of any person in the image."""

    sources: tuple[tuple[int, ...], ...]
    first_pixel: int

    def __call__(
        self, keypoints: np.ndarray, visible: np.ndarray, shape: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Select joints of P people.

        Args:
            keypoints: (P, K, 2) in image pixels.
            visible: (P, K), or (P, K, 2) with a weight as the second value.
            shape: (height, width) of the image in pixels.

        Returns:
            Keypoints and their labels, for the joints of the model.
        """
        # For a joint that the dataset does not have, any channel does; nobody's is labeled.
        channels = [list(parts) or [0] for parts in self.sources]
        points = np.stack([keypoints[:, part].mean(axis=1) for part in channels], axis=1)
        known = np.stack([visible[:, part].min(axis=1) for part in channels], axis=1)
        known[:, [not parts for parts in self.sources]] = 0
        points -= self.first_pixel
        inside = ((points >= 0) & (points < np.array(shape[1::-1]))).all(axis=-1)
        return points, known * (inside if known.ndim == 2 else inside[..., None])


@TRANSFORMS.register_module()
class SelectJoints(Transform):
    """Turn the joints of the dataset into those of the model: MPII's 16 into the authors' 14.

    Joints outside the image count as not labeled, as in ``ReadMetaData`` of the authors'
    ``data_transformer.cpp``. Put it before ``RandomFlip``, and only in the pipeline for training.
    For testing there is ``CPMStageHead(output_joints=...)``, which gives the joints of the
    dataset.

    Required keys: ``keypoints`` (P, K, 2), ``keypoints_visible`` (P, K), or (P, K, 2) as
    ``KeypointConverter`` makes it, ``flip_indices``, ``dataset_keypoint_weights`` (K,) and
    ``ori_shape``. All but the last are changed.

    Added keys: ``joint_selection``, for ``AddNeighbors``, and with ``partial`` ``unknown_joints``
    (K,) of bool, for ``PeopleMask``.

    Args:
        source: Joint set of the dataset, a name in ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``.
        target: Joint set of the model.
        first_pixel: Number of the first pixel in the dataset's keypoints. It is 1 for stock
            ``MpiiDataset``, which counts centers from 0 and keypoints, as MPII does, from 1.
        partial: Allow joints of the model that the dataset does not have. Nobody's is labeled then.
            ``PeopleMask(joints=...)`` keeps the network from learning that there are none.

    Raises:
        ValueError: If a name is unknown, the dataset does not have a joint of the model (with
            ``partial``: one of a left-right pair only), or a sample does not have as many joints as
            ``source``.

    Examples:
        For MPII, in the pipeline of a config:

        >>> step = dict(type='SelectJoints', source='mpii', target='cpm', first_pixel=1)
    """

    def __init__(
        self, source: str, target: str, first_pixel: int = 0, partial: bool = False
    ) -> None:
        self.source, self.target = joint_set(source), joint_set(target)
        sources = self.source.sources(self.target, partial=partial)
        self.selection = _Selection(sources, first_pixel)
        self.unknown = np.array([not parts for parts in sources]) if partial else None
        if self.unknown is not None:
            mirrored = self.unknown[list(self.target.flip_indices)]
            for name in np.array(self.target.names)[self.unknown & ~mirrored]:
                raise ValueError(
                    f'{source!r} has no {name!r}, but its partner: RandomFlip would make one of '
                    'the other. Leave partial out, and use a dataset with both'
                )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        count = results['keypoints'].shape[1]
        if count != len(self.source.names):
            raise ValueError(
                f'the sample has {count} joints, {len(self.source.names)} were expected: '
                f'{", ".join(self.source.names)}; set source to the joint set of the dataset'
            )
        results['keypoints'], results['keypoints_visible'] = self.selection(
            results['keypoints'], results['keypoints_visible'], results['ori_shape']
        )
        results['flip_indices'] = list(self.target.flip_indices)
        weights = np.asarray(results['dataset_keypoint_weights'])
        results['dataset_keypoint_weights'] = np.array(
            [weights[list(parts)].min() if parts else 1 for parts in self.selection.sources],
            np.float32,
        )
        results['joint_selection'] = self.selection
        if self.unknown is not None:
            results['unknown_joints'] = self.unknown
        return results


# Configs from before version 0.1.0 name it AddNeighbours.
@TRANSFORMS.register_module(name=['AddNeighbors', 'AddNeighbours'])
class AddNeighbors(Transform):
    """Add the keypoints of the other people in the image, in input pixels of the crop.

    Put it after ``TopdownAffine`` or ``PersonCrop``. It repeats their flip and warp, and
    ``SelectJoints`` if that was applied. The neighbors are the samples of the same ``img_id``
    next to this one in the list of the dataset. MMPose's COCO-style datasets and MPII keep all
    people of an image together there.

    Required keys: ``dataset``, ``sample_idx``, ``img_id``, ``input_center``, ``input_scale``,
    ``input_size`` and ``ori_shape``; also ``flip``, ``flip_direction`` and ``bbox_rotation`` if
    they were applied.

    Added keys: ``neighbor_keypoints`` (M, K, 2) in input pixels, and
    ``neighbor_keypoints_visible`` (M, K).

    Args:
        use_udp: See ``TopdownAffine``.

    Raises:
        ValueError: If the dataset is MMPose's ``CombinedDataset``, which hides the number of the
            sample.

    Examples:
        In the pipeline of a config, between the crop and ``GenerateTarget``:

        >>> step = dict(type='AddNeighbors')
    """

    def __init__(self, use_udp: bool = False) -> None:
        self.use_udp = use_udp

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        check_unmended(results, self)
        if isinstance(results['dataset'], CombinedDataset):
            raise ValueError(
                'AddNeighbors cannot find neighbors in a CombinedDataset, which hides the number '
                'of the sample; use a ConcatDataset'
            )
        people = list(_neighbors(results['dataset'], results['sample_idx'], results['img_id']))
        if select := results.get('joint_selection'):
            people = [select(*person, results['ori_shape']) for person in people]
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
        results['neighbor_keypoints'] = keypoints
        results['neighbor_keypoints_visible'] = visible
        return results


def _neighbors(dataset: Any, index: int, img_id: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield keypoints (1, K, 2) and visible (1, K) of the other samples of one image."""
    for step in (-1, 1):
        other = index + step
        while 0 <= other < len(dataset):
            info = dataset.get_data_info(other)
            if info['img_id'] != img_id:
                break
            visible = info['keypoints_visible']
            yield info['keypoints'][..., :2], visible[..., 0] if visible.ndim == 3 else visible
            other += step
