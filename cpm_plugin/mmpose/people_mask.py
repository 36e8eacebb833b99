"""``PeopleMask``: cells that the loss leaves out, because people there have no labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import xtcocotools.mask as cocomask

from ..core.maps.joint_sets import joint_set
from .transforms import Transform

from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PeopleMask(Transform):
    """Mask people without keypoints, and crowds, where the network cannot be told wrong.

    COCO outlines single people by polygons, and crowds by run lengths. Stock's
    ``BottomupGetHeatmapMask`` passes run lengths over without a word, and fails without a
    ``BottomupRandomAffine``. The authors mask both (``genCOCOMask.m`` of the paper's release).
    What an affine transform brings in from outside the image is masked, too.

    Put it after ``BottomupRandomAffine``, ``RandomFlip`` and ``GenerateTarget``, in this order,
    which it takes for granted, as stock's does.

    Required keys: ``img_shape``, ``heatmaps`` (K, h, w), and if there, ``invalid_segs``,
    ``warp_mat`` and ``input_size``, ``flip`` and ``flip_direction``, and with ``joints``
    ``affinity_fields`` (2L, h, w) and, if there, ``unknown_joints`` (K,).

    Added keys: ``heatmap_mask`` (1, h, w) of bool, or with ``joints`` (K + 2L, h, w). A cell counts
    if more than half of it is to be learned from.

    Args:
        joints: Name of the joint set of the maps, in
            ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``. With it each map has a mask of its own:
            belief maps of ``unknown_joints``, which ``SelectJoints(partial=True)`` lists, do not
            count at all, and neither do their limbs' fields and the background. It is for training
            on several datasets, where one lacks joints.

    Raises:
        ValueError: If the name is unknown.

    Examples:
        In the pipeline of a config:

        >>> step = dict(type='PeopleMask')
    """

    def __init__(self, joints: str | None = None) -> None:
        self.joints = None if joints is None else joint_set(joints)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        height, width = results['img_shape'][:2]
        mask = np.ones((height, width), dtype=np.float32)
        for outline in results.get('invalid_segs', []):
            mask[_inside(outline, height, width)] = 0
        if 'warp_mat' in results:
            mask = cv2.warpAffine(
                mask, results['warp_mat'], tuple(results['input_size']), flags=cv2.INTER_LINEAR
            )
        if results.get('flip', False):
            if results['flip_direction'] != 'horizontal':
                raise ValueError(
                    f'flip_direction={results["flip_direction"]!r}: PeopleMask mirrors '
                    "horizontally only; give RandomFlip direction='horizontal'"
                )
            mask = mask[:, ::-1]
        cells = results['heatmaps'].shape[:0:-1]
        mask = cv2.resize(np.ascontiguousarray(mask), cells, interpolation=cv2.INTER_AREA)
        results['heatmap_mask'] = mask[None] > 0.5
        if self.joints is not None:
            unknown = results.get('unknown_joints', np.zeros(len(self.joints.names), dtype=bool))
            known = [*~unknown, *([not unknown.any()] * (len(results['heatmaps']) - len(unknown)))]
            for start, end in self.joints.limb_indices:
                known += [not (unknown[start] or unknown[end])] * 2
            results['heatmap_mask'] = results['heatmap_mask'] & np.reshape(known, (-1, 1, 1))
        return results


def _inside(outline: Any, height: int, width: int) -> np.ndarray:
    """Return where the outline of a person or a crowd is, (height, width) of bool.

    Args:
        outline: COCO's ``segmentation``: polygons, run lengths, or None.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
    """
    if not outline:
        return np.zeros((height, width), dtype=bool)
    runs = outline
    if isinstance(outline, Sequence) or isinstance(outline['counts'], list):
        runs = cocomask.frPyObjects(outline, height, width)
    if isinstance(runs, list):
        runs = cocomask.merge(runs)
    inside: np.ndarray = cocomask.decode(runs) > 0
    return inside
