"""``CPMBackbone``: the two feature trunks as an MMPose backbone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..core.conv.layer import set_conv_method
from ..core.models.layers import NormLayer
from ..core.models.network import build_trunks
from ..core.models.settings import TrunkSettings, settings_from
from ..core.weights.checkpoints import describe_mismatch, read_checkpoint
from .strict import refuse_mismatch

from mmcv.cnn import build_norm_layer
from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.registry import MODELS


def norm_layer_of(norm_cfg: dict | None) -> NormLayer | None:
    """MMCV's ``norm_cfg`` as the core's factory of normalization layers."""
    if norm_cfg is None:
        return None
    return lambda channels: build_norm_layer(norm_cfg, channels)[1]


@MODELS.register_module()
class CPMBackbone(BaseBackbone):
    """Image -> ``(stage1_features, shared_features[, pooled_center_map])`` at stride 8.

    All (N, C, h, w); h and w by Caffe's ceil rule, H / 8 for multiples of 8.

    Args:
        norm_cfg: e.g. ``dict(type='BN')``; None, as in the paper: no normalization.
        conv_method: ``auto``: the faster of two exact ways of convolution; ``direct``: plain
            conv2d, bit for bit.
        encoder_weights: A file of the encoder's weights to begin training with, as
            ``tools/convert_efficientnet_lite.py`` writes; read by ``init_weights`` alone.
        strict_load: Refuse checkpoints that do not fit instead of warning.
        init_cfg: None leaves the core's initialization.
        settings: Of ``cpm_plugin.core.models.settings.TrunkSettings``, e.g. channels,
            kernel_size, center_map_sigma. With center_map_sigma the center map is the input's
            channel after the image's where it has one (``PersonCrop(center_map_sigma=...)``),
            else a Gaussian in the middle of the crop, where a top-down crop has its person.

    Raises:
        ValueError: For an unknown or wrong setting.
    """

    def __init__(
        self,
        norm_cfg: dict | None = None,
        conv_method: str = 'auto',
        encoder_weights: str | None = None,
        strict_load: bool = True,
        init_cfg: dict | list | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        trunk_settings = settings_from(TrunkSettings, settings, 'CPMBackbone')
        self.trunks = build_trunks(trunk_settings, norm_layer_of(norm_cfg))
        if encoder_weights is not None and trunk_settings.encoder is None:
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
