"""``CPMBackbone``: the two feature trunks as an MMPose backbone."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.registry import MODELS
from torch import Tensor

from ..core.large_conv import set_conv_method
from ..core.layers import NormLayer
from ..core.trunks import FeatureTrunks, VggTrunk
from .strict import refuse_mismatch


def norm_layer_of(norm_cfg: dict | None) -> NormLayer | None:
    """MMCV's ``norm_cfg`` as the core's factory of normalisation layers."""
    if norm_cfg is None:
        return None
    return lambda channels: build_norm_layer(norm_cfg, channels)[1]


@MODELS.register_module()
class CPMBackbone(BaseBackbone):
    """Image -> ``(stage1_features, shared_features[, pooled_center_map])`` at stride 8.

    All (N, C, h, w); h and w by Caffe's ceil rule, H / 8 for multiples of 8.

    Args:
        in_channels: channels of the image.
        channels: width of the trunks, 128 in the paper.
        kernel_size: of the trunks' convolutions, 9 in the paper.
        shared_trunk: False for a machine of one stage, which has no second trunk.
        center_map_sigma: adds the pooled center map: the input's channel after the
            image's where it has one (``PersonCrop(center_map_sigma=...)``), else a
            Gaussian in the middle of the crop, where a top-down crop has its person; in
            input pixels, the authors' is 21. None: without.
        pool_padding: of the pools; 0 in the paper, 1 in stock MMPose.
        vgg_tail: takes the trunk of the authors' VGG networks, with these channels after
            its third pool, in place of the paper's two; channels, kernel_size,
            shared_trunk and pool_padding have no meaning then.
        norm_cfg: e.g. ``dict(type='BN')``; None, as in the paper: no normalisation.
        conv_method: ``auto``: the faster of two exact ways of convolution; ``direct``: plain
            conv2d, bit for bit.
        strict_load: refuse checkpoints that do not fit instead of warning.
        init_cfg: None leaves the core's initialisation.
    """

    def __init__(
        self,
        in_channels: int = 3,
        channels: int = 128,
        kernel_size: int = 9,
        shared_trunk: bool = True,
        center_map_sigma: float | None = None,
        pool_padding: int = 0,
        vgg_tail: Sequence[int] | None = None,
        norm_cfg: dict | None = None,
        conv_method: str = 'auto',
        strict_load: bool = True,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.trunks: FeatureTrunks | VggTrunk
        if vgg_tail is None:
            self.trunks = FeatureTrunks(
                in_channels=in_channels,
                channels=channels,
                kernel_size=kernel_size,
                shared_trunk=shared_trunk,
                center_map_sigma=center_map_sigma,
                pool_padding=pool_padding,
                norm_layer=norm_layer_of(norm_cfg),
            )
        else:
            self.trunks = VggTrunk(
                tail=vgg_tail,
                in_channels=in_channels,
                center_map_sigma=center_map_sigma,
                norm_layer=norm_layer_of(norm_cfg),
            )
        set_conv_method(self, conv_method)
        if strict_load:
            refuse_mismatch(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels[+ 1], H, W); a channel more is the center map."""
        image, center_map = x[:, : self.trunks.in_channels], x[:, self.trunks.in_channels :]
        if center_map.shape[1] == 1:
            return self.trunks(image, center_map)
        return self.trunks(x)
