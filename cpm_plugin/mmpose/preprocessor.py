"""``CPMDataPreprocessor``: MMPose's, for images with the center map as a fourth channel."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.registry import MODELS


@MODELS.register_module()
class CPMDataPreprocessor(PoseDataPreprocessor):
    """``PoseDataPreprocessor`` on the first three channels; the rest arrives as it is.

    Stock's normalizes a fourth channel, drops it with ``bgr_to_rgb``, or refuses it.
    Where images are padded the center map gets 0.

    Args:
        kwargs: See ``mmpose.models.PoseDataPreprocessor``. ``batch_augments`` are
            refused, because they would move the image and not its center map.

    Examples:
        >>> data_preprocessor = dict(type='CPMDataPreprocessor')
    """

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get('batch_augments'):
            raise ValueError(
                'batch_augments would move the images and not their center maps; leave them out'
            )
        super().__init__(**kwargs)

    def forward(self, data: dict, training: bool = False) -> dict:
        images = [image[:3] for image in data['inputs']]
        center_maps = [image[3:] for image in data['inputs']]
        counts = {len(heat) for heat in center_maps}
        if len(counts) > 1:
            raise ValueError(
                'some images of the batch have a center map and some have none; give '
                'center_map_sigma to PersonCrop in the pipelines of all datasets, or of none'
            )
        data = super().forward({**data, 'inputs': images}, training)
        if counts == {0}:
            return data
        height, width = data['inputs'].shape[2:]
        padded = [
            F.pad(heat, (0, width - heat.shape[2], 0, height - heat.shape[1]))
            for heat in center_maps
        ]
        stacked = torch.stack(padded).to(data['inputs'])
        return {**data, 'inputs': torch.cat([data['inputs'], stacked], dim=1)}
