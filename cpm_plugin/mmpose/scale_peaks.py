"""Peaks over several scales, which ``CPMStageHead`` takes where ``ScaleSearchHook`` is on.

The computation is in ``cpm_plugin.core.evaluation.scale_search``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.structures import InstanceData
from torch import Tensor

from ..core.evaluation.scale_search import full_resolution_peaks
from .codec import CPMHeatmap
from .structured_codec import StructuredHeatmap

from mmpose.codecs import MSRAHeatmap


def search_scales(beliefs: Tensor, samples: Sequence[Any], decoder: Any) -> list[InstanceData]:
    """Find the joints of N people in the belief maps of S crops of each.

    ``CPMStageHead.predict`` calls this.

    Args:
        beliefs: (N x S, K, h, w), person by person.
        samples: N data samples, with the meta information that ``PersonCrop(scales=...)`` gives.
        decoder: The codec of the head, which determines where the cells lie.

    Returns:
        N instances with ``keypoints`` (1, K, 2) and ``keypoint_scores`` (1, K). The keypoints are
            whole image pixels, given in input pixels of the crop of scale 1. The scores are the
            mean beliefs there.

    Raises:
        ValueError: If the codec is neither a ``CPMHeatmap`` nor an ``MSRAHeatmap``, or the batch
            was not made by ``collate_crops``.
    """
    stride, first_cell = _cell_grid(decoder)
    num_scales = len(samples[0].metainfo['crop_scales'])
    if len(beliefs) != len(samples) * num_scales:
        raise ValueError(
            f'{len(beliefs)} images for {len(samples)} people at {num_scales} scales; use '
            'ScaleSearchHook, which sets the pipeline and the collate function together'
        )
    instances = []
    for maps, sample in zip(beliefs.split(num_scales), samples):
        meta = sample.metainfo
        center, scale, size = (
            np.asarray(meta[key], dtype=np.float64)
            for key in ('input_center', 'input_scale', 'input_size')
        )
        positions, scores = full_resolution_peaks(
            maps,
            center,
            meta['crop_scales'],
            image_size=meta['ori_shape'][1::-1],
            input_size=meta['input_size'],
            stride=stride,
            first_cell=first_cell,
        )
        # TopdownPoseEstimator.add_pred_to_datasample does the inverse.
        keypoints = (positions - center) / scale * size + size / 2
        instances.append(
            InstanceData(keypoints=keypoints[None], keypoint_scores=scores[None].astype(np.float32))
        )
    return instances


def _cell_grid(decoder: Any) -> tuple[int, float | None]:
    """Return the stride and the input pixel of cell 0 of a codec's maps; None: as in the core."""
    if isinstance(decoder, StructuredHeatmap):
        raise ValueError(
            'StructuredHeatmap fits crops of one size, and scale search has several; leave one of '
            'the two out'
        )
    if isinstance(decoder, CPMHeatmap):
        return decoder.stride, None
    if type(decoder) is MSRAHeatmap:
        strides = set(decoder.scale_factor.tolist())
        if len(strides) == 1 and (stride := strides.pop()).is_integer():
            return int(stride), 0.0
    raise ValueError(
        f'scale search does not know where the cells of {type(decoder).__name__} lie; give the '
        'head a CPMHeatmap, or an MSRAHeatmap with a whole stride, the same in width and height'
    )
