"""``CPMBackbone``: the two feature trunks as an MMPose backbone."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.cnn import build_norm_layer
from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.registry import MODELS
from torch import Tensor

from ..core.checkpoints import describe_mismatch, read_checkpoint
from ..core.large_conv import set_conv_method
from ..core.layers import NormLayer
from ..core.network import build_trunks
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
        encoder: ``efficientnet_lite0`` takes that network and a feature pyramid in place of the
            paper's trunks; kernel_size, shared_trunk and pool_padding have no meaning then.
        encoder_weights: a file of its weights to begin training with, as
            ``tools/convert_efficientnet_lite.py`` writes; read by ``init_weights`` alone.
        frozen_groups: so many groups of the encoder's blocks are left as they were loaded.
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
        encoder: str | None = None,
        encoder_weights: str | None = None,
        frozen_groups: int = 0,
        norm_cfg: dict | None = None,
        conv_method: str = 'auto',
        strict_load: bool = True,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.trunks = build_trunks(
            in_channels=in_channels,
            channels=channels,
            kernel_size=kernel_size,
            shared_trunk=shared_trunk,
            center_map_sigma=center_map_sigma,
            pool_padding=pool_padding,
            vgg_tail=vgg_tail,
            encoder=encoder,
            norm_layer=norm_layer_of(norm_cfg),
            frozen_groups=frozen_groups,
        )
        if encoder_weights is not None and encoder is None:
            raise ValueError(f'encoder_weights={encoder_weights!r} needs an encoder')
        self.encoder_weights = encoder_weights
        set_conv_method(self, conv_method)
        if strict_load:
            refuse_mismatch(self)

    def init_weights(self) -> None:
        """What ``init_cfg`` says, and the encoder's weights. The runner calls it to train.

        Raises:
            ValueError: naming the file, if it is missing or does not fit.
        """
        super().init_weights()
        if self.encoder_weights is None:
            return
        encoder = self.trunks.get_submodule('encoder')
        state, _ = read_checkpoint(self.encoder_weights)
        problem = describe_mismatch(encoder.state_dict(), state)
        if problem:
            raise ValueError(
                f'encoder_weights {self.encoder_weights} do not fit; {problem}. Make them with '
                'tools/convert_efficientnet_lite.py'
            )
        encoder.load_state_dict(state)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels[+ 1], H, W); a channel more is the center map."""
        image, center_map = x[:, : self.trunks.in_channels], x[:, self.trunks.in_channels :]
        if center_map.shape[1] == 1:
            return self.trunks(image, center_map)
        return self.trunks(x)
