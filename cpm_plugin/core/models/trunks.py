"""Trunks, which compute features from an image and pool the center map to the same size.

All tensors are (N, C, H, W). ``FeatureTrunks`` are those of figure 2 of the paper (arXiv
1602.00134) and of the authors' deploy files for MPII, LSP and FLIC. ``VggTrunk`` is that of their
two VGG networks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .joint_first_layers import check_joint, joint_features
from .layers import ConvBlock, NormLayer, initialize
from .settings import TrunkSettings

# First layers of the authors' VGG networks, those of VGG-19: number of convolutions and of
# channels up to each pool.
_VGG_GROUPS = ((2, 64), (2, 128), (4, 256))


class FeatureTrunk(nn.Sequential):
    """Trunk of the paper: three convolutions with a 3x3 pool after each; the stride is 8.

    Without padding of the pools, ``pooled_size`` gives the sizes of the features: 368 becomes 46.

    Args:
        settings: See ``TrunkSettings``.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.
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
    """Base class of all trunks, with the checks of the input and the center map.

    Args:
        settings: See ``TrunkSettings``.
        out_channels: Number of channels of the features.
        sides: Sides for which features and center map have the same size, for the error message.
        least_side: Smallest allowed side of the image in pixels.

    Attributes:
        stride: Input pixels per cell of the features, 8.
        settings: As the argument.
        in_channels: Number of channels of the image.
        out_channels: Number of channels of the stage-1 features and of the shared features.
        center_map_sigma: Standard deviation of the center map in input pixels, or None.
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
        # The authors' deploy files: AVE pool, kernel 9, stride 8. As in Caffe, the sum of a window
        # at the border is divided by the area inside the image.
        self.center_pool = nn.AvgPool2d(9, stride=8, ceil_mode=True)

    def _check(self, image: Tensor, center_map: Tensor | None) -> None:
        """Raise ValueError if the image or the center map does not fit the settings."""
        if not isinstance(image, Tensor):  # a Proxy of torch.fx, whose shape is not known yet
            return
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
        """Pool the center map to the size of the features.

        Args:
            image: (N, C, H, W).
            center_map: (N, 1, H, W); by default a Gaussian in the middle of the image.
            features: (N, C, h, w).

        Returns:
            The pooled center map (N, 1, h, w), or nothing if the network has none.

        Raises:
            ValueError: If the pooled center map and the features differ in size.
        """
        if self.center_map_sigma is None:
            return ()
        center_map = _given_or_of_the_middle(center_map, image, self.center_map_sigma)
        pooled = self.center_pool(center_map)
        known = isinstance(pooled, Tensor)  # and no Proxy of torch.fx
        if known and pooled.shape[2:] != features.shape[2:]:
            raise ValueError(
                f'image of {image.shape[2]} x {image.shape[3]} pixels (height x width): its center '
                f'map would be pooled to {tuple(pooled.shape[2:])} cells, its features to '
                f'{tuple(features.shape[2:])}. With a center map this network accepts only sides '
                f'with {self._sides}; pad or resize the image'
            )
        return (pooled,)


class FeatureTrunks(Trunks):
    """The trunks of the paper: one for stage 1, and one shared by all later stages.

    Args:
        settings: See ``TrunkSettings``. The settings of other kinds of trunks have no effect.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.

    Attributes:
        joint_first_layers: As in the settings; it may be set at any time.

    Raises:
        ValueError: If ``joint_first_layers`` is set, and the normalization is not
            ``nn.BatchNorm2d`` or none.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core import FeatureTrunks, TrunkSettings
        >>> trunks = FeatureTrunks(TrunkSettings(channels=8, center_map_sigma=21))
        >>> [tuple(features.shape) for features in trunks(torch.zeros(1, 3, 64, 48))]
        [(1, 8, 8, 6), (1, 8, 8, 6), (1, 1, 8, 6)]
    """

    def __init__(self, settings: TrunkSettings, norm_layer: NormLayer | None = None) -> None:
        padded = bool(settings.pool_padding)
        super().__init__(
            settings,
            out_channels=settings.channels,
            sides='side % 8 other than 1' if padded else 'side % 8 of 0 or 1',
            # Three 3x3 pools. As in Caffe, the last window may be clipped to 2.
            least_side=1 if padded else 8,
        )
        self.stage1_trunk = FeatureTrunk(settings, norm_layer)
        self.shared_trunk = FeatureTrunk(settings, norm_layer) if settings.shared_trunk else None
        initialize(self)
        self.joint_first_layers = settings.joint_first_layers
        if self.joint_first_layers and self.shared_trunk is not None:
            check_joint(self.stage1_trunk, self.shared_trunk)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> tuple[Tensor, ...]:
        """Compute the features of an image.

        Args:
            image: (N, in_channels, H, W).
            center_map: (N, 1, H, W); by default a Gaussian in the middle of the image, where the
                person is in a top-down crop.

        Returns:
            Stage-1 features, shared features and pooled center map, each (N, C, h, w). Without a
                shared trunk there are only the first, and without ``center_map_sigma`` there is no
                center map.

        Raises:
            ValueError: If the image or the center map has another shape, or a side for which
                features and center map would differ in size. If the first layers of the trunks
                were changed, and can no longer be computed as one.
        """
        self._check(image, center_map)
        if self.shared_trunk is None:
            return (self.stage1_trunk(image),)
        if self.joint_first_layers:
            features, shared = joint_features(self.stage1_trunk, self.shared_trunk, image)
        else:
            features, shared = self.stage1_trunk(image), self.shared_trunk(image)
        return features, shared, *self._pooled_center(image, center_map, features)


class VggTrunk(Trunks):
    """The trunk of the authors' VGG networks, for all stages, with 3x3 convolutions.

    The first three groups are those of VGG-19: 64, 128 and 256 channels, with a 2x2 pool after
    each (Caffe's, with sizes rounded up). The fourth group is ``settings.vgg_tail``.

    Args:
        settings: See ``TrunkSettings``. Of the sizes, only ``in_channels``, ``vgg_tail`` and
            ``vgg_prelu`` have an effect.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.

    Raises:
        ValueError: If the settings have no ``vgg_tail``.
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
        with_relu = sum(map(len, groups)) + len(tail) - settings.vgg_prelu
        for group, widths in enumerate([*groups, tail], start=1):
            for number, width in enumerate(widths, start=1):
                block = ConvBlock(channels, width, 3, norm_layer, prelu=with_relu < 1)
                with_relu -= 1
                self.layers.add_module(f'conv{group}_{number}', block)
                channels = width
            if group <= len(groups):
                self.layers.add_module(f'pool{group}', nn.MaxPool2d(2, stride=2, ceil_mode=True))
        initialize(self)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> tuple[Tensor, ...]:
        """Compute the features of an image, as ``FeatureTrunks.forward``.

        Args:
            image: (N, in_channels, H, W).
            center_map: (N, 1, H, W); by default a Gaussian in the middle of the image.

        Returns:
            The features twice, for stage 1 and for the later stages, and the pooled center map if
                there is one.
        """
        self._check(image, center_map)
        features = self.layers(image)
        return features, features, *self._pooled_center(image, center_map, features)


@torch.fx.wrap  # whether there is a map, and its shape, is known when it is called
def _given_or_of_the_middle(center_map: Tensor | None, image: Tensor, sigma: float) -> Tensor:
    """Return the center map that is given, or draw that of the middle of each image.

    It has the values of ``belief_maps.center_map``. As part of the graph, it needs no special care
    for tracing or on other devices.

    Args:
        center_map: (N, 1, H, W) or None.
        image: (N, C, H, W).
        sigma: Standard deviation in input pixels.

    Returns:
        (N, 1, H, W); a drawn one is in the dtype and on the device of the image.
    """
    if center_map is not None:
        return center_map
    count, _, height, width = image.shape
    x, y = (torch.arange(side, device=image.device) - (side - 1) / 2 for side in (width, height))
    along_x, along_y = torch.exp(-(x**2) / (2 * sigma**2)), torch.exp(-(y**2) / (2 * sigma**2))
    return (along_y[:, None] * along_x).to(image.dtype).expand(count, 1, height, width)
