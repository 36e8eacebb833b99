"""Image -> image features: the trunks, and the center map pooled to their size.

All tensors are (N, C, H, W). ``FeatureTrunks`` are those of figure 2 of the paper
(arXiv 1602.00134) and of the authors' MPII, LSP and FLIC deploy files, ``VggTrunk``
that of their two VGG networks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import ConvBlock, NormLayer, initialize
from .settings import TrunkSettings

# The authors' first convolutions are VGG-19's: convolutions and channels up to each pool.
_VGG_GROUPS = ((2, 64), (2, 128), (4, 256))


class FeatureTrunk(nn.Sequential):
    """Image -> image features at stride 8: three convolutions, a 3x3 pool after each.

    Args:
        settings: Widths, kernels, and padding of the pools; see ``TrunkSettings``. Without
            padding sizes follow ``pooled_size``: 368 -> 46.
        norm_layer: Called with a number of channels after each convolution, or None.
    """

    def __init__(self, settings: TrunkSettings, norm_layer: NormLayer | None = None) -> None:
        super().__init__()
        channels, padding = settings.channels, settings.pool_padding
        for number in (1, 2, 3):
            seen = settings.in_channels if number == 1 else channels
            block = ConvBlock(seen, channels, settings.kernel_size, norm_layer)
            self.add_module(f'conv{number}', block)
            pool = nn.MaxPool2d(3, stride=2, padding=padding, ceil_mode=not padding)
            self.add_module(f'pool{number}', pool)


class Trunks(nn.Module):
    """What all kinds share: the checks, and the center map.

    Attributes:
        out_channels: Of the stage-1 features, and of the shared ones.
    """

    stride = 8

    def __init__(
        self, settings: TrunkSettings, *, out_channels: int, sides: str, least_side: int
    ) -> None:
        super().__init__()
        self.settings = settings
        self.in_channels = settings.in_channels
        self.out_channels = (out_channels, out_channels)
        self.center_map_sigma = settings.center_map_sigma
        self._sides = sides
        self._least_side = least_side
        # The authors' deploy files: AVE pool, kernel 9, stride 8; as in Caffe, windows at
        # the border divide by their clipped area.
        self.center_pool = nn.AvgPool2d(9, stride=8, ceil_mode=True)

    def _check(self, image: Tensor, center_map: Tensor | None) -> None:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f'image of shape {tuple(image.shape)}: this network takes '
                f'(N, {self.in_channels}, H, W)'
            )
        if min(image.shape[2:]) < self._least_side:
            raise ValueError(
                f'image of {image.shape[2]} x {image.shape[3]} pixels: sides must have at least '
                f'{self._least_side} for the pools; resize or pad the image'
            )
        if center_map is None:
            return
        if self.center_map_sigma is None:
            raise ValueError(
                'this network takes no center map; build it with center_map_sigma=21 and at least '
                'two stages'
            )
        if center_map.shape != (len(image), 1, *image.shape[2:]):
            raise ValueError(
                f'center_map of shape {tuple(center_map.shape)}: expected '
                f'{(len(image), 1, *image.shape[2:])}, one channel as large as the image'
            )

    def _pooled_center(
        self, image: Tensor, center_map: Tensor | None, features: Tensor
    ) -> tuple[Tensor, ...]:
        """The center map at the size of the features, or nothing if the network has none."""
        if self.center_map_sigma is None:
            return ()
        if center_map is None:
            center_map = _map_of_the_middle(image, self.center_map_sigma)
        pooled = self.center_pool(center_map)
        if pooled.shape[2:] != features.shape[2:]:
            raise ValueError(
                f'image of {image.shape[2]} x {image.shape[3]} pixels (height x width): its center '
                f'map would be pooled to {tuple(pooled.shape[2:])} cells, its features to '
                f'{tuple(features.shape[2:])}. With a center map this network accepts only sides '
                f'with {self._sides}; pad or resize the image'
            )
        return (pooled,)


class FeatureTrunks(Trunks):
    """Both trunks of the paper: one for stage 1, one shared by all later stages.

    Args:
        settings: See ``TrunkSettings``; those of other kinds of trunks have no meaning here.
        norm_layer: Called with a number of channels after each convolution, or None.
    """

    def __init__(self, settings: TrunkSettings, norm_layer: NormLayer | None = None) -> None:
        padded = bool(settings.pool_padding)
        super().__init__(
            settings,
            out_channels=settings.channels,
            sides='side % 8 other than 1' if padded else 'side % 8 of 0 or 1',
            # three 3x3 pools, the last of which may be clipped to 2, as Caffe does
            least_side=1 if padded else 8,
        )
        self.stage1_trunk = FeatureTrunk(settings, norm_layer)
        self.shared_trunk = FeatureTrunk(settings, norm_layer) if settings.shared_trunk else None
        initialize(self)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> stage-1 features[, shared features[, center map]].

        Args:
            center_map: (N, 1, H, W); by default a Gaussian in the middle of the image,
                where a top-down crop has its person.

        Raises:
            ValueError: for other shapes, or sides whose features and center map would
                differ in size.
        """
        self._check(image, center_map)
        features = self.stage1_trunk(image)
        if self.shared_trunk is None:
            return (features,)
        return (
            features,
            self.shared_trunk(image),
            *self._pooled_center(image, center_map, features),
        )


class VggTrunk(Trunks):
    """The trunk of the authors' VGG networks, one for all stages: 3x3 convolutions.

    The first three groups are VGG-19's (64, 128 and 256 channels, a 2x2 pool after
    each, Caffe's ceil rule), the fourth is ``settings.vgg_tail``.

    Args:
        settings: See ``TrunkSettings``; of the sizes in_channels and vgg_tail alone count.
        norm_layer: Called with a number of channels after each convolution, or None.

    Raises:
        ValueError: For settings without vgg_tail.
    """

    def __init__(self, settings: TrunkSettings, norm_layer: NormLayer | None = None) -> None:
        tail = settings.vgg_tail
        if tail is None:
            raise ValueError('vgg_tail=None: give the channels of the convolutions of this trunk')
        super().__init__(
            settings, out_channels=tail[-1], sides='side % 8 other than 1', least_side=2
        )
        channels = settings.in_channels
        self.layers = nn.Sequential()
        groups = [(width,) * count for count, width in _VGG_GROUPS]
        for group, widths in enumerate([*groups, tail], start=1):
            for number, width in enumerate(widths, start=1):
                block = ConvBlock(channels, width, 3, norm_layer)
                self.layers.add_module(f'conv{group}_{number}', block)
                channels = width
            if group <= len(groups):
                self.layers.add_module(f'pool{group}', nn.MaxPool2d(2, stride=2, ceil_mode=True))
        initialize(self)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> features, the same again[, center map], as
        ``FeatureTrunks.forward``."""
        self._check(image, center_map)
        features = self.layers(image)
        return features, features, *self._pooled_center(image, center_map, features)


def _map_of_the_middle(image: Tensor, sigma: float) -> Tensor:
    """``belief_maps.center_map`` of the middle of each image, as a part of the graph, so that
    tracing and other devices need nothing special. (N, C, H, W) -> (N, 1, H, W)."""
    count, _, height, width = image.shape
    x, y = (torch.arange(side, device=image.device) - (side - 1) / 2 for side in (width, height))
    along_x, along_y = torch.exp(-(x**2) / (2 * sigma**2)), torch.exp(-(y**2) / (2 * sigma**2))
    return (along_y[:, None] * along_x).to(image.dtype).expand(count, 1, height, width)
