"""``CPMBackbone``: the feature trunks of a CPM as an MMPose backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ..core.conv.layer import set_conv_method
from ..core.conversion.vgg import trunk_from_torchvision
from ..core.models.encoders import MobileEncoder
from ..core.models.layers import NormLayer
from ..core.models.network import build_trunks
from ..core.models.settings import TIMM, TrunkSettings, settings_from
from ..core.models.timm_encoder import TimmEncoder
from ..core.models.trunks import VggTrunk
from ..core.weights.checkpoints import describe_mismatch, read_checkpoint
from .strict import check_loading

from mmcv.cnn import build_norm_layer
from mmpose.models.backbones.base_backbone import BaseBackbone
from mmpose.registry import MODELS


def norm_layer_of(norm_cfg: dict | None) -> NormLayer | None:
    """Turn MMCV's ``norm_cfg`` into a function that makes the core's normalization layers.

    Args:
        norm_cfg: Config of a normalization layer, such as ``dict(type='BN')``, or None.

    Returns:
        Function from a number of channels to a layer; None for no normalization.
    """
    if norm_cfg is None:
        return None
    return lambda channels: build_norm_layer(norm_cfg, channels)[1]


@MODELS.register_module()
class CPMBackbone(BaseBackbone):
    """Backbone with the two trunks of a CPM, which computes image features at stride 8.

    The output is ``(stage1_features, shared_features)``; with a center map it is
    ``(stage1_features, shared_features, pooled_center_map)``. All are (N, C, h, w) in cells.
    The height h is H / 8 for multiples of 8, otherwise rounded up as in Caffe; so is w.

    Args:
        norm_cfg: Config of the normalization layers, such as ``dict(type='BN')``. None, as in the
            paper, is for no normalization.
        conv_method: ``'auto'`` takes the faster of two exact ways to compute a convolution.
            ``'direct'`` takes PyTorch's ``conv2d``, bit for bit.
        encoder_weights: File of weights for the encoder, as
            ``tools/convert_encoder.py`` writes it. With ``vgg_tail``, torchvision's file
            of VGG-19 (``vgg19-dcbb9e9d.pth``). With an encoder of timm, ``'timm'`` for its own
            weights, which it downloads, or a file, see ``TimmEncoder.load_weights``. Only
            ``init_weights`` reads it, at the beginning of a training.
        strict_load: Refuse checkpoints that do not fit, where MMEngine only warns. False: at the
            start of a training (``load_from``, ``init_cfg``), take what fits, and log what does
            not. A test or a resumed training refuses it all the same.
        init_cfg: Initialization by MMEngine. None keeps the initialization of the core.
        settings: Fields of ``cpm_plugin.core.models.settings.TrunkSettings``, such as ``channels``,
            ``kernel_size`` or ``center_map_sigma``. With ``center_map_sigma``, the center map is
            the channel after those of the image, as ``PersonCrop(center_map_sigma=...)`` makes it.
            Without that channel it is a Gaussian in the middle of the crop, where a top-down crop
            has its person.

    Raises:
        ValueError: If a setting is unknown or out of range.
        ImportError: If the encoder is of timm, and that is missing.

    Examples:
        The trunks of the paper with batch normalization, in a config:

        >>> norm_cfg = dict(type='BN')
        >>> backbone = dict(type='CPMBackbone', center_map_sigma=21.0, norm_cfg=norm_cfg)
        >>> model = dict(backbone=backbone)
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
        trunk_settings = settings_from(TrunkSettings, settings, CPMBackbone)
        self.trunks = build_trunks(trunk_settings, norm_layer_of(norm_cfg))
        tail = trunk_settings.vgg_tail
        if encoder_weights is not None and trunk_settings.encoder is None:
            if tail is None:
                raise ValueError(
                    f'encoder_weights={encoder_weights!r} needs an encoder or a vgg_tail; set one, '
                    'or leave it out'
                )
            if tail[:2] != (512, 512) or norm_cfg is not None or trunk_settings.in_channels != 3:
                raise ValueError(
                    f'encoder_weights={encoder_weights!r} of VGG-19 fit a vgg_tail that begins '
                    f'with (512, 512), for images of 3 channels, without norm_cfg; not {tail} with '
                    f'norm_cfg={norm_cfg}; leave them out'
                )
        timm = (trunk_settings.encoder or '').startswith(TIMM)
        if encoder_weights == 'timm' and not timm:
            raise ValueError(
                f"encoder_weights='timm' is for an encoder of timm, '{TIMM}...', not for "
                f'{trunk_settings.encoder!r}; give a file'
            )
        if encoder_weights is not None and 'Pretrained' in str(init_cfg):
            raise ValueError(
                f'encoder_weights={encoder_weights!r} would replace weights of '
                f'init_cfg={init_cfg}; leave one of them out'
            )
        self.encoder_weights = encoder_weights
        set_conv_method(self, conv_method)
        check_loading(self, strict=strict_load)

    def init_weights(self) -> None:
        """Initialize as ``init_cfg`` says, and load the weights of the encoder.

        MMEngine's runner calls this before a training.

        Raises:
            ValueError: If the file of the encoder's weights is missing or does not fit. The message
                names the file.
        """
        super().init_weights()
        if self.encoder_weights is None:
            return
        encoder = getattr(self.trunks, 'encoder', None)
        if isinstance(encoder, TimmEncoder):
            try:
                encoder.load_weights(self.encoder_weights)
            except ValueError as error:
                raise ValueError(
                    f'encoder_weights: {error}. Or set model.backbone.encoder_weights=None if '
                    'load_from has weights for the whole model'
                ) from error
            return
        vgg = isinstance(self.trunks, VggTrunk)
        if not Path(self.encoder_weights).is_file():
            source = (
                "It is torchvision's file of VGG-19"
                if vgg
                else 'Make it with tools/convert_encoder.py'
            )
            raise ValueError(
                f'encoder_weights {self.encoder_weights}: no such file. {source}; or set '
                'model.backbone.encoder_weights=None if load_from has weights for the whole model'
            )
        state, _ = read_checkpoint(self.encoder_weights)
        if vgg:
            try:
                state = trunk_from_torchvision(state)
            except ValueError as error:
                raise ValueError(f'encoder_weights {self.encoder_weights}: {error}') from error
            own = self.trunks.state_dict()
            self.trunks.load_state_dict({**own, **state})
            return
        assert isinstance(encoder, MobileEncoder)
        problem = describe_mismatch(encoder.state_dict(), state)
        if problem:
            raise ValueError(
                f'encoder_weights {self.encoder_weights} do not fit; {problem}. Make them with '
                'tools/convert_encoder.py'
            )
        encoder.load_state_dict(state)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of a batch of images.

        Args:
            x: Images (N, in_channels, H, W); or (N, in_channels + 1, H, W), with the center map,
                in [0, 1], as the last channel.

        Returns:
            Two or three tensors (N, C, h, w); see the class.
        """
        image, center_map = x[:, : self.trunks.in_channels], x[:, self.trunks.in_channels :]
        if center_map.shape[1] == 1:
            return self.trunks(image, center_map)
        return self.trunks(x)
