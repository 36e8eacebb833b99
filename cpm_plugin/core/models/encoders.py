"""Encoders for small models, whose weights can come from another task.

They are chains of inverted residual blocks, as in TensorFlow: MobileNetV2 (Sandler et al., CVPR
2018, arXiv 1801.04381, table 2), which is the encoder of MoveNet Lightning and, 1.75 times as wide,
that of MoveNet Thunder. MoveNet's weights are published with the batch normalization folded into
the convolutions, which have a bias instead.
All tensors are (N, C, H, W).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class EncoderLayout(NamedTuple):
    """Sizes of an encoder.

    Attributes:
        stem: Channels of the first convolution, of 3x3 with stride 2.
        groups: Of each group of blocks: expansion, channels, number of blocks, stride of the first
            block, and kernel size.
        levels: Index of the last group at strides 8, 16 and 32.
    """

    stem: int
    groups: tuple[tuple[int, int, int, int, int], ...]
    levels: tuple[int, int, int] = (2, 4, 6)

    @property
    def channels(self) -> tuple[int, ...]:
        """Numbers of channels of the features at strides 8, 16 and 32."""
        return tuple(self.groups[level][1] for level in self.levels)


LAYOUTS = {
    # 1.75 times the channels of table 2, rounded to multiples of 8 as MobileNet does.
    'movenet_thunder': EncoderLayout(
        56,
        (
            (1, 32, 1, 1, 3), (6, 40, 2, 2, 3), (6, 56, 3, 2, 3), (6, 112, 4, 2, 3),
            (6, 168, 3, 1, 3), (6, 280, 3, 2, 3), (6, 560, 1, 1, 3),
        ),
    ),
    # Table 2 as it is, but for the last group, which is a quarter of the weights.
    'movenet_lightning': EncoderLayout(
        32,
        (
            (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3),
            (6, 96, 3, 1, 3), (6, 160, 3, 2, 3),
        ),
        levels=(2, 4, 5),
    ),
}  # fmt: skip


class SameConv(nn.Module):
    """Convolution and ReLU6, with output sides of side / stride, rounded up.

    The padding is TensorFlow's ``SAME``. Where it cannot be halved, there is one cell more at the
    right and bottom.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Side of the kernel.
        stride: Stride of the convolution.
        groups: Groups of channels of the convolution.
        activation: Whether ReLU6 follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, groups=groups)
        self.activation = nn.ReLU6(inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layers.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            (N, out_channels, h, w), with h = H / stride and w = W / stride, rounded up.
        """
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        result: Tensor = self.activation(self.conv(_pad_same(x, kernel, stride)))
        return result


@torch.fx.wrap  # its shapes are known when it is called
def _pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad (N, C, H, W) as TensorFlow's ``SAME`` does, more at the bottom and at the right."""
    padding = []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding) if any(padding) else x


class InvertedResidual(nn.Module):
    """Expansion by a 1x1 convolution, a filter for each channel, and projection.

    The input is added to the output if both have the same shape.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        expansion: Factor between the input channels and the channels of the filters.
        kernel_size: Side of the filters.
        stride: Stride of the filters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: int,
        kernel_size: int,
        stride: int,
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = SameConv(in_channels, width, 1)
        self.depthwise = SameConv(width, width, kernel_size, stride, groups=width)
        self.project = SameConv(width, out_channels, 1, activation=False)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layers.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            (N, out_channels, h, w), with h = H / stride and w = W / stride, rounded up.
        """
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class MobileEncoder(nn.Module):
    """Inverted residual blocks without a classifier: features at strides 8, 16 and 32.

    Args:
        name: Name of the encoder, one of ``ENCODERS``.
        frozen_groups: See ``TrunkSettings``.

    Attributes:
        channels: Numbers of channels of the features.
        strides: Their strides, in pixels of the image.

    Raises:
        ValueError: If ``frozen_groups`` is not between 0 and the number of groups.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.models.encoders import MobileEncoder
        >>> encoder = MobileEncoder('movenet_thunder')
        >>> [tuple(features.shape) for features in encoder(torch.zeros(1, 3, 64, 48))]
        [(1, 56, 8, 6), (1, 168, 4, 3), (1, 560, 2, 2)]
    """

    strides = (8, 16, 32)

    def __init__(self, name: str, *, frozen_groups: int = 0) -> None:
        super().__init__()
        layout = LAYOUTS[name]
        if not 0 <= frozen_groups <= len(layout.groups):
            raise ValueError(
                f'frozen_groups={frozen_groups} must be 0, nothing frozen, to {len(layout.groups)}'
            )
        self.channels = layout.channels
        self.stem = SameConv(3, layout.stem, 3, 2)
        self.blocks = nn.ModuleList()
        self._ends = []  # number of the last block of each level
        channels = layout.stem
        for group, (expansion, width, count, stride, kernel_size) in enumerate(layout.groups):
            for number in range(count):
                step = stride if number == 0 else 1
                self.blocks.append(InvertedResidual(channels, width, expansion, kernel_size, step))
                channels = width
            if group in layout.levels:
                self._ends.append(len(self.blocks) - 1)
        blocks = sum(group[2] for group in layout.groups[:frozen_groups])
        for part in [self.stem, *self.blocks[:blocks]] if frozen_groups else []:
            part.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute the features of an image.

        Args:
            image: (N, 3, H, W), BGR, with values (v - 128) / 256.

        Returns:
            Three tensors (N, C, h, w) at strides 8, 16 and 32, with sides rounded up.
        """
        x = self.stem(image)
        levels = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._ends:
                levels.append(x)
        return levels
