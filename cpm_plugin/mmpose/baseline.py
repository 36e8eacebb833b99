"""Stock MMPose CPM in other widths and with our decoding, and stock's head under autocast to
bfloat16, to compare with; import it where it is needed."""

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
    """MMPose's ``CPM`` with narrower trunks, all else as it is; or of its own widths, 128 and 512,
    to train under autocast to bfloat16.

    Stock CPM fixes its stem at 128 and 512 channels in code; only the layers with those
    widths are replaced.

    Args:
        channels: of trunks and refinement stages, in place of 128.
        first_stage_channels: in place of 512.
        kwargs: see ``mmpose.models.backbones.CPM``.
    """

    def __init__(self, channels: int = 32, first_stage_channels: int = 128, **kwargs: Any) -> None:
        super().__init__(feat_channels=channels, **kwargs)
        widths = {128: channels, 512: first_stage_channels}
        for sequence in (self.stem, self.middle, *self.middle_conv):
            _narrow(sequence, widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        """In float32, under autocast too: ``CPMHead`` turns beliefs into numpy arrays, which
        know no bfloat16."""
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
    """MMPose's ``HeatmapHead`` with heatmaps in float32, under autocast to bfloat16 too, which
    numpy does not know."""

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        return super().forward(feats).float()


@KEYPOINT_CODECS.register_module()
class ParabolaMSRAHeatmap(MSRAHeatmap):
    """MMPose's ``MSRAHeatmap``, its peaks refined by our parabola and not by quarters of a cell.

    To see what comes from the decoder, test stock CPM with
    ``--cfg-options model.head.decoder.type=ParabolaMSRAHeatmap``.
    """

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(K, H, W) -> keypoints (1, K, 2) in input pixels, cells at multiples of the stride, and
        scores (1, K)."""
        cells, scores = decode_peaks(encoded, stride=1)
        return (cells * self.scale_factor)[None], scores[None]
