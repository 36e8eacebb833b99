"""Image -> image features: the trunk of stage 1 and the one shared by all later stages.

All tensors are (N, C, H, W). Sizes are those of figure 2 of the paper (arXiv 1602.00134)
and of the authors' MPII and LSP deploy files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import ConvBlock, NormLayer, initialize


class FeatureTrunk(nn.Sequential):
    """Image -> image features at stride 8: three convolutions, a pool after each.

    The pools are Caffe's: no padding, sizes by the ceil rule
    (:func:`cpm_plugin.core.geometry.pooled_size`), 368 -> 46.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        channels: int = 128,
        kernel_size: int = 9,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        for number in (1, 2, 3):
            block = ConvBlock(
                in_channels if number == 1 else channels, channels, kernel_size, norm_layer
            )
            self.add_module(f'conv{number}', block)
            self.add_module(f'pool{number}', nn.MaxPool2d(3, stride=2, ceil_mode=True))


class FeatureTrunks(nn.Module):
    """Both trunks: one for stage 1, one shared by all later stages.

    Args:
        in_channels: channels of the image.
        channels: width of the trunks.
        kernel_size: of all trunk convolutions.
        shared_trunk: False leaves out the second trunk, for a machine of one stage.
        center_map_sigma: adds the pooled center map to the outputs; the Gaussian's sigma
            in input pixels (the authors use 21). None: no center map.
        norm_layer: called with a number of channels after each convolution, or None.
    """

    stride = 8

    def __init__(
        self,
        *,
        in_channels: int = 3,
        channels: int = 128,
        kernel_size: int = 9,
        shared_trunk: bool = True,
        center_map_sigma: float | None = None,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        if center_map_sigma is not None and not shared_trunk:
            raise ValueError(
                f'center_map_sigma={center_map_sigma} needs the shared trunk: the center map '
                'enters stages 2 and later only; set center_map_sigma=None'
            )
        if center_map_sigma is not None and center_map_sigma <= 0:
            raise ValueError(
                f'center_map_sigma={center_map_sigma} must be positive, or None for no center map'
            )
        self.in_channels = in_channels
        self.center_map_sigma = center_map_sigma
        self.stage1_trunk = FeatureTrunk(
            in_channels=in_channels,
            channels=channels,
            kernel_size=kernel_size,
            norm_layer=norm_layer,
        )
        self.shared_trunk = (
            FeatureTrunk(
                in_channels=in_channels,
                channels=channels,
                kernel_size=kernel_size,
                norm_layer=norm_layer,
            )
            if shared_trunk
            else None
        )
        # The authors' deploy files: AVE pool, kernel 9, stride 8; as in Caffe, windows at
        # the border divide by their clipped area.
        self.center_pool = nn.AvgPool2d(9, stride=8, ceil_mode=True)
        initialize(self)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> stage-1 features[, shared features[, center map]].

        Args:
            center_map: (N, 1, H, W); by default a Gaussian in the middle of the image,
                where a top-down crop has its person.
        """
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f'image of shape {tuple(image.shape)}: this network takes '
                f'(N, {self.in_channels}, H, W)'
            )
        if center_map is not None and self.center_map_sigma is None:
            raise ValueError(
                'this network takes no center map; build it with center_map_sigma=21 and at least '
                'two stages'
            )
        features = self.stage1_trunk(image)
        if self.shared_trunk is None:
            return (features,)
        outputs = (features, self.shared_trunk(image))
        if self.center_map_sigma is None:
            return outputs
        if center_map is None:
            center_map = _map_of_the_middle(image, self.center_map_sigma)
        elif center_map.shape != (len(image), 1, *image.shape[2:]):
            raise ValueError(
                f'center_map of shape {tuple(center_map.shape)}: expected '
                f'{(len(image), 1, *image.shape[2:])}, one channel as large as the image'
            )
        # Where the last window is a part of one, the two pooling rules give one cell more here.
        height, width = features.shape[2:]
        return (*outputs, self.center_pool(center_map)[..., :height, :width])


def _map_of_the_middle(image: Tensor, sigma: float) -> Tensor:
    """``belief_maps.center_map`` of the middle of each image, as a part of the graph, so that
    tracing and other devices need nothing special. (N, C, H, W) -> (N, 1, H, W)."""
    count, _, height, width = image.shape
    x, y = (torch.arange(side, device=image.device) - (side - 1) / 2 for side in (width, height))
    along_x, along_y = torch.exp(-(x**2) / (2 * sigma**2)), torch.exp(-(y**2) / (2 * sigma**2))
    return (along_y[:, None] * along_x).to(image.dtype).expand(count, 1, height, width)
