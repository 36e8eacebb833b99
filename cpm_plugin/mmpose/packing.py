"""``PackSizes``: MMPose's ``PackPoseInputs`` for several people and an image in several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.transforms import to_tensor
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackSizes(PackPoseInputs):
    """Stock's ``PackPoseInputs`` for testing, which also takes an image in several sizes.

    ``BottomupResize(aug_scales=...)`` makes such images for a multi-scale test. Stock's transform
    stacks them, which fails because they differ in size. Here they become a list of tensors, as
    ``BottomupPoseEstimator`` asks for. ``CPMDataPreprocessor`` and ``SizesPoseEstimator`` take such
    lists.

    Args:
        meta_keys: As in stock's, by default with ``aug_scales`` and without ``category_id``. Of
            several people that is a list, which ``CocoMetric`` cannot take.
        kwargs: See ``mmpose.datasets.transforms.PackPoseInputs``.

    Examples:
        A test with half and one and a half times the size, in a config:

        >>> resize = dict(type='BottomupResize', input_size=(368, 368), aug_scales=[0.5, 1.5])
        >>> test_pipeline = [dict(type='LoadImage'), resize, dict(type='PackSizes')]
        >>> test_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline))
        >>> model = dict(test_cfg=dict(multiscale_test=True))
    """

    def __init__(self, meta_keys: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        stocks: tuple[str, ...] = PackPoseInputs().meta_keys
        if meta_keys is None:
            meta_keys = [key for key in (*stocks, 'aug_scales') if key != 'category_id']
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a sample; see the class.

        Args:
            results: Of a pipeline, with ``img`` as an image (H, W, 3) or a list of images.

        Returns:
            ``inputs``, a tensor (3, H, W) or a list of them, and ``data_samples``.
        """
        images = results['img']
        if not isinstance(images, list):
            packed: dict[str, Any] = super().transform(results)
            return packed
        packed = super().transform({**results, 'img': images[0]})
        packed['inputs'] = [to_tensor(image.transpose(2, 0, 1).copy()) for image in images]
        return packed
