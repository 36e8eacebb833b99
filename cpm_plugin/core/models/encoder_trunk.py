"""Trunk with an encoder, built in or of timm, and a feature pyramid. Tensors are (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoders import MobileEncoder
from .layers import ConvBlock, NormLayer, initialize
from .settings import TIMM, TrunkSettings
from .timm_encoder import TimmEncoder
from .trunks import Trunks


class EncoderTrunk(Trunks):
    """An encoder and a feature pyramid that is summed at stride 8, for all stages.

    The encoder is a ``MobileEncoder`` or, for names that begin with ``timm/``, a ``TimmEncoder``.

    Args:
        settings: See ``TrunkSettings``. Of the sizes, only ``channels`` and ``frozen_groups`` have
            an effect.
        norm_layer: Makes the normalization of the pyramid, see ``ConvBlock``. The encoder has
            its own.

    Raises:
        ValueError: If the settings have no encoder, or timm has none of this name.
        ImportError: If timm is needed and missing.
    """

    def __init__(self, settings: TrunkSettings, norm_layer: NormLayer | None = None) -> None:
        channels, name = settings.channels, settings.encoder
        if name is None:
            raise ValueError('encoder=None: give the name of an encoder')
        super().__init__(
            settings, out_channels=channels, sides='side % 8 other than 1', least_side=2
        )
        self.encoder: MobileEncoder | TimmEncoder
        if name.startswith(TIMM):
            name = name.removeprefix(TIMM)
            self.encoder = TimmEncoder(name, frozen_groups=settings.frozen_groups)
        else:
            self.encoder = MobileEncoder(name, frozen_groups=settings.frozen_groups)
        self.lateral = nn.ModuleList(
            ConvBlock(width, channels, 1, norm_layer) for width in self.encoder.channels
        )
        # timm initializes its networks as they need it.
        initialize(self.lateral if isinstance(self.encoder, TimmEncoder) else self)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> tuple[Tensor, ...]:
        """Compute the features of an image, as ``FeatureTrunks.forward``.

        Args:
            image: (N, 3, H, W), BGR, with values (v - 128) / 256.
            center_map: (N, 1, H, W); by default a Gaussian in the middle of the image.

        Returns:
            The features twice, for stage 1 and for the later stages, and the pooled center map if
                there is one.
        """
        self._check(image, center_map)
        maps = [lateral(level) for lateral, level in zip(self.lateral, self.encoder(image))]
        if isinstance(self.encoder, TimmEncoder):  # its image is padded at the right and bottom
            height, width = (-(-image.shape[axis] // self.stride) for axis in (2, 3))
            sides = (-(-image.shape[axis] // self.encoder.multiple) for axis in (2, 3))
            size = [side * self.encoder.multiple // self.stride for side in sides]
            features = _summed([_resized(maps[0], size), *maps[1:]])[:, :, :height, :width]
        else:
            features = _summed(maps)
        return features, features, *self._pooled_center(image, center_map, features)


def _summed(maps: Sequence[Tensor]) -> Tensor:
    """Add maps (N, C, h, w), resized to the first."""
    features = maps[0]
    for coarser in maps[1:]:
        features = features + _resized(coarser, features.shape[2:])
    return features


@torch.fx.wrap  # whether the sizes differ is known when it is called
def _resized(features: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (N, C, h, w) to a height and width, between the cells linearly."""
    if tuple(features.shape[2:]) == tuple(size):
        return features
    return F.interpolate(features, size=tuple(size), mode='bilinear', align_corners=False)
