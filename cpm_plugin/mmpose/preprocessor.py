"""``CPMDataPreprocessor``: MMPose's preprocessor for center maps and several sizes."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.registry import MODELS


@MODELS.register_module()
class CPMDataPreprocessor(PoseDataPreprocessor):
    """MMPose's ``PoseDataPreprocessor`` for the first three channels; others are not changed.

    Stock's preprocessor normalizes a fourth channel, removes it with ``bgr_to_rgb``, or refuses
    it. Where images are padded, the center map is padded with 0.

    For a multi-scale test, ``BottomupResize(aug_scales=...)`` and ``PackSizes`` give each image in
    S sizes, which stock's preprocessor refuses.

    Args:
        kwargs: See ``mmpose.models.PoseDataPreprocessor``. ``batch_augments`` is refused, because
            it would move the image and not its center map.

    Raises:
        ValueError: If ``batch_augments`` is given.

    Examples:
        The authors' input, BGR and (v - 128) / 256, in a config:

        >>> model = dict(
        ...     data_preprocessor=dict(
        ...         type='CPMDataPreprocessor', mean=[128.0] * 3, std=[256.0] * 3, bgr_to_rgb=False
        ...     )
        ... )
    """

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get('batch_augments'):
            raise ValueError(
                'batch_augments would move the images and not their center maps; leave them out'
            )
        super().__init__(**kwargs)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalize, pad and stack a batch.

        Args:
            data: Batch of a data loader, with ``inputs``: N tensors (3 or 4, H, W). They are
                images in BGR, from 0 to 255, and, as the fourth channel, center maps. Of images in
                S sizes, S lists of N tensors.
            training: See ``PoseDataPreprocessor``.

        Returns:
            ``data`` with ``inputs`` (N, 3 or 4, H, W); of images in S sizes, a list of S tensors.

        Raises:
            ValueError: If only some images of the batch have a center map.
        """
        if isinstance(data['inputs'][0], list | tuple):
            sizes = [self.forward({**data, 'inputs': one}, training) for one in data['inputs']]
            return {**sizes[0], 'inputs': [one['inputs'] for one in sizes]}
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
        stacked = torch.stack(padded).to(data['inputs'], non_blocking=self._non_blocking)
        return {**data, 'inputs': torch.cat([data['inputs'], stacked], dim=1)}
