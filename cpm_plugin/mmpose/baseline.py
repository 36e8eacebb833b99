"""Variants of stock MMPose models to compare with; imported only where they are needed.

They are stock CPM with other widths, stock heads that work under autocast to bfloat16, and a stock
codec with the decoding of this package. In a config::

    custom_imports = dict(imports=['cpm_plugin.mmpose', 'cpm_plugin.mmpose.baseline'])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from ..core.maps.belief_maps import decode_peaks

from mmcv.cnn import ConvModule
from mmpose.codecs import MSRAHeatmap
from mmpose.models.backbones.cpm import CPM
from mmpose.models.heads import HeatmapHead
from mmpose.registry import KEYPOINT_CODECS, MODELS


@MODELS.register_module()
class NarrowStockCPM(CPM):
    """MMPose's ``CPM`` with narrower trunks, or for training under autocast to bfloat16.

    Stock CPM fixes its stem at 128 and 512 channels in code. Only the layers with those widths
    are replaced; all else is as in stock. With the widths 128 and 512 only the type of the output
    changes.

    Args:
        channels: Channels of the trunks and the refinement stages, instead of 128.
        first_stage_channels: Channels of stage 1, instead of 512.
        kwargs: See ``mmpose.models.backbones.CPM``.

    Examples:
        In a config:

        >>> backbone = dict(
        ...     type='NarrowStockCPM', in_channels=3, out_channels=14, num_stages=3,
        ...     channels=32, first_stage_channels=128,
        ... )
    """

    def __init__(self, channels: int = 32, first_stage_channels: int = 128, **kwargs: Any) -> None:
        super().__init__(feat_channels=channels, **kwargs)
        widths = {128: channels, 512: first_stage_channels}
        for sequence in (self.stem, self.middle, *self.middle_conv):
            _narrow(sequence, widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the belief maps of all stages in float32, under autocast too.

        ``CPMHead`` turns belief maps into NumPy arrays, and NumPy has no bfloat16.

        Args:
            x: (N, 3, H, W).

        Returns:
            Belief maps (N, K, H / 8, W / 8) of each stage.
        """
        return [beliefs.float() for beliefs in super().forward(x)]


def _narrow(sequence: nn.Sequential, widths: dict[int, int]) -> None:
    for index, layer in enumerate(sequence):
        if not isinstance(layer, ConvModule):
            continue
        conv = layer.conv
        sequence[index] = ConvModule(
            widths.get(conv.in_channels, conv.in_channels),
            widths.get(conv.out_channels, conv.out_channels),
            conv.kernel_size[0],
            padding=conv.padding[0],
            norm_cfg=layer.norm_cfg,
            act_cfg=layer.act_cfg,
        )


@MODELS.register_module()
class Float32HeatmapHead(HeatmapHead):
    """MMPose's ``HeatmapHead`` with heatmaps in float32, under autocast to bfloat16 too.

    NumPy, which decodes the heatmaps, has no bfloat16. The arguments are those of ``HeatmapHead``.

    Examples:
        In a config:

        >>> head = dict(
        ...     type='Float32HeatmapHead', in_channels=2048, out_channels=14,
        ...     loss=dict(type='KeypointMSELoss', use_target_weight=True),
        ... )
    """

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Compute heatmaps in float32; see ``HeatmapHead``.

        Args:
            feats: Feature maps (N, C, H, W) of the backbone; the last one is used.

        Returns:
            Heatmaps (N, K, h, w).
        """
        return super().forward(feats).float()


@KEYPOINT_CODECS.register_module()
class ParabolaMSRAHeatmap(MSRAHeatmap):
    """MMPose's ``MSRAHeatmap`` that refines peaks by a parabola and not by quarters of a cell.

    The arguments are those of ``MSRAHeatmap``.

    Examples:
        To see how much of a difference the decoder makes, test stock CPM with

        ```bash
        python tools/test.py CONFIG CHECKPOINT \\
            --cfg-options model.head.decoder.type=ParabolaMSRAHeatmap
        ```

        In a config:

        >>> decoder = dict(
        ...     type='ParabolaMSRAHeatmap', input_size=(192, 256), heatmap_size=(24, 32), sigma=2
        ... )
    """

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the keypoints of one person in heatmaps.

        Args:
            encoded: (K, H, W), heatmaps. Cells lie at multiples of the stride.

        Returns:
            Keypoints (1, K, 2) in input pixels, and scores (1, K), the beliefs at the peaks.
        """
        cells, scores = decode_peaks(encoded, stride=1)
        return (cells * self.scale_factor)[None], scores[None]
