"""Image -> image features: the trunks, and the center map pooled to their size.

All tensors are (N, C, H, W). :class:`FeatureTrunks` are those of figure 2 of the paper
(arXiv 1602.00134) and of the authors' MPII, LSP and FLIC deploy files, :class:`VggTrunk`
that of their two VGG networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import ConvBlock, NormLayer, initialize

# The authors' first convolutions are VGG-19's: convolutions and channels up to each pool.
_VGG_GROUPS = ((2, 64), (2, 128), (4, 256))


class FeatureTrunk(nn.Sequential):
    """Image -> image features at stride 8: three convolutions, a 3x3 pool after each.

    Args:
        pool_padding: 0 for Caffe's pools, sizes by the ceil rule
            (:func:`cpm_plugin.core.geometry.pooled_size`), 368 -> 46; 1 for those of
            MMPose's ``CPM``, whose windows begin a cell earlier.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        channels: int = 128,
        kernel_size: int = 9,
        pool_padding: int = 0,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        for number in (1, 2, 3):
            block = ConvBlock(
                in_channels if number == 1 else channels, channels, kernel_size, norm_layer
            )
            self.add_module(f'conv{number}', block)
            pool = nn.MaxPool2d(3, stride=2, padding=pool_padding, ceil_mode=not pool_padding)
            self.add_module(f'pool{number}', pool)


class Trunks(nn.Module):
    """What all kinds share: the checks, and the center map."""

    stride = 8

    def __init__(
        self, in_channels: int, center_map_sigma: float | None, sides: str, least_side: int
    ) -> None:
        super().__init__()
        if center_map_sigma is not None and center_map_sigma <= 0:
            raise ValueError(
                f'center_map_sigma={center_map_sigma} must be positive, or None for no center map'
            )
        self.in_channels = in_channels
        self.center_map_sigma = center_map_sigma
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
                f'{self._least_side} for the pools; resize or pad the picture'
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
                f'with {self._sides}; pad or resize the picture'
            )
        return (pooled,)


class FeatureTrunks(Trunks):
    """Both trunks of the paper: one for stage 1, one shared by all later stages.

    Args:
        in_channels: channels of the image.
        channels: width of the trunks.
        kernel_size: of all trunk convolutions.
        shared_trunk: False leaves out the second trunk, for a machine of one stage.
        center_map_sigma: adds the pooled center map to the outputs; the Gaussian's sigma
            in input pixels (the authors use 21). None: no center map.
        pool_padding: 0, as in the paper, or 1 for MMPose's: see :class:`FeatureTrunk`.
        norm_layer: called with a number of channels after each convolution, or None.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        channels: int = 128,
        kernel_size: int = 9,
        shared_trunk: bool = True,
        center_map_sigma: float | None = None,
        pool_padding: int = 0,
        norm_layer: NormLayer | None = None,
    ) -> None:
        if center_map_sigma is not None and not shared_trunk:
            raise ValueError(
                f'center_map_sigma={center_map_sigma} needs the shared trunk: the center map '
                'enters stages 2 and later only; set center_map_sigma=None'
            )
        if pool_padding not in (0, 1):
            raise ValueError(f"pool_padding={pool_padding!r} must be 0 (Caffe's) or 1 (MMPose's)")
        sides = 'side % 8 of 0 or 1' if pool_padding == 0 else 'side % 8 other than 1'
        # three 3x3 pools, the last of which may be clipped to 2, as Caffe does
        super().__init__(in_channels, center_map_sigma, sides, 1 if pool_padding else 8)

        def trunk() -> FeatureTrunk:
            return FeatureTrunk(
                in_channels=in_channels,
                channels=channels,
                kernel_size=kernel_size,
                pool_padding=pool_padding,
                norm_layer=norm_layer,
            )

        self.stage1_trunk = trunk()
        self.shared_trunk = trunk() if shared_trunk else None
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
    each, Caffe's ceil rule), the fourth is ``tail``.

    Args:
        tail: channels of the convolutions after the third pool; the last are the features.
        in_channels, center_map_sigma, norm_layer: see :class:`FeatureTrunks`.
    """

    def __init__(
        self,
        *,
        tail: Sequence[int],
        in_channels: int = 3,
        center_map_sigma: float | None = None,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__(in_channels, center_map_sigma, 'side % 8 other than 1', 2)
        if not tail:
            raise ValueError('tail is empty: give the channels of at least one convolution')
        channels = in_channels
        self.layers = nn.Sequential()
        groups = [(width,) * count for count, width in _VGG_GROUPS]
        for group, widths in enumerate([*groups, tuple(tail)], start=1):
            for number, width in enumerate(widths, start=1):
                block = ConvBlock(channels, width, 3, norm_layer)
                self.layers.add_module(f'conv{group}_{number}', block)
                channels = width
            if group <= len(groups):
                self.layers.add_module(f'pool{group}', nn.MaxPool2d(2, stride=2, ceil_mode=True))
        initialize(self)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> features, the same again[, center map], as
        :meth:`FeatureTrunks.forward`."""
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
