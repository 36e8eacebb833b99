"""Stock MMPose CPM in other widths, to compare with; import it where it is needed."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import ConvModule
from mmpose.models.backbones.cpm import CPM
from mmpose.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class NarrowStockCPM(CPM):
    """MMPose's ``CPM`` with narrower trunks, all else as it is.

    Stock CPM fixes its stem at 128 and 512 channels in code; only the layers with those
    widths are replaced.

    Args:
        channels: of trunks and refinement stages, in place of 128.
        first_stage_channels: in place of 512.
        kwargs: see :class:`mmpose.models.backbones.CPM`.
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
