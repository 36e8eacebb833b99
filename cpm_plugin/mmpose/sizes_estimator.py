"""``SizesPoseEstimator``: MMPose's ``BottomupPoseEstimator`` with a multi-scale test that works."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmpose.models.pose_estimators import BottomupPoseEstimator
from mmpose.registry import MODELS


@MODELS.register_module()
class SizesPoseEstimator(BottomupPoseEstimator):
    """Stock's ``BottomupPoseEstimator``, which also takes images in several sizes.

    Stock's ``predict`` is written for lists of images in several sizes, but its ``forward`` stacks
    them first, which fails. Everything else is stock's, and so are its arguments and weights.

    Examples:
        The multi-scale test of a config; see ``PackSizes`` for its pipeline:

        >>> model = dict(
        ...     type='SizesPoseEstimator',
        ...     backbone=dict(type='CPMBackbone'),
        ...     head=dict(type='CPMPAFHead', in_channels=128, joints='lsp'),
        ...     test_cfg=dict(multiscale_test=True),
        ... )
    """

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: list[Any] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """Compute losses, predictions or maps; see stock's ``BasePoseEstimator.forward``.

        Args:
            inputs: Images (N, 3, H, W). To predict with ``test_cfg['multiscale_test']``, a list of
                S of them.
            data_samples: N data samples.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            What stock's gives.

        Raises:
            ValueError: If there are several sizes, and it is not for a multi-scale test.
        """
        if not isinstance(inputs, list):
            return super().forward(inputs, data_samples, mode)
        if mode != 'predict' or not self.test_cfg.get('multiscale_test', False):
            raise ValueError(
                f'images in {len(inputs)} sizes, in mode {mode!r}: set '
                'model.test_cfg.multiscale_test=True, or leave aug_scales out of BottomupResize'
            )
        for sample in data_samples or ():
            if self.metainfo is not None:  # as in stock's forward
                sample.set_metainfo(self.metainfo)
        return self.predict(inputs, data_samples)
