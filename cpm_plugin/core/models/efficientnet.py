"""EfficientNet-Lite0 as a trunk for small models, whose weights can come from ImageNet.

The layers are those of TensorFlow's ``efficientnet/lite`` (tpu/models/official). That is
EfficientNet-B0 (Tan & Le, ICML 2019, arXiv 1905.11946, table 1) without squeeze-and-excitation and
with ReLU6. All tensors are (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..conv.layer import is_autocast
from .layers import ConvBlock, NormLayer, initialize
from .settings import TrunkSettings
from .trunks import Trunks

# Of each group: expansion, channels, number of blocks, stride of the first block, and kernel size
# (table 1).
_GROUPS = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
)  # fmt: skip
# Index of the last group at strides 8, 16 and 32.
_LEVELS = (2, 4, 6)


class SameConv(nn.Module):
    """Convolution, batch normalization and ReLU6, with output sides of side / stride, rounded up.

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
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, groups=groups, bias=False
        )
        # Epsilon and momentum of TensorFlow's EfficientNet.
        self.norm: nn.Module = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
        self.activation = nn.ReLU6(inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layers.

        Args:
            x: (N, in_channels, H, W).

        Returns:
            (N, out_channels, h, w), with h = H / stride and w = W / stride, rounded up.
        """
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        x = _pad_same(x, kernel, stride)
        if kernel == 5 and is_autocast('cpu') and x.device.type == 'cpu':
            # In bfloat16, backward takes up to five times as long for these filters.
            with torch.autocast('cpu', enabled=False):
                filtered = self.conv(x.float()).to(x.dtype)
        else:
            filtered = self.conv(x)
        result: Tensor = self.activation(self.norm(filtered))
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
        self, in_channels: int, out_channels: int, expansion: int, kernel_size: int, stride: int
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = SameConv(in_channels, width, 1) if expansion != 1 else nn.Identity()
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


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier: features at strides 8, 16 and 32.

    Args:
        frozen_groups: See ``TrunkSettings``.

    Attributes:
        channels: Numbers of channels of the features: 40, 112 and 320.

    Raises:
        ValueError: If ``frozen_groups`` is not between 0 and 7.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.models.efficientnet import EfficientNetLite0
        >>> network = EfficientNetLite0().eval()
        >>> [tuple(features.shape) for features in network(torch.zeros(1, 3, 64, 48))]
        [(1, 40, 8, 6), (1, 112, 4, 3), (1, 320, 2, 2)]
    """

    channels = tuple(_GROUPS[level][1] for level in _LEVELS)

    def __init__(self, *, frozen_groups: int = 0) -> None:
        super().__init__()
        if not 0 <= frozen_groups <= len(_GROUPS):
            raise ValueError(
                f'frozen_groups={frozen_groups} must be 0, nothing frozen, to {len(_GROUPS)}'
            )
        self.stem = SameConv(3, 32, 3, 2)
        self.blocks = nn.ModuleList()
        self._ends = []  # number of the last block of each level
        channels = 32
        for group, (expansion, width, count, stride, kernel_size) in enumerate(_GROUPS):
            for number in range(count):
                step = stride if number == 0 else 1
                self.blocks.append(InvertedResidual(channels, width, expansion, kernel_size, step))
                channels = width
            if group in _LEVELS:
                self._ends.append(len(self.blocks) - 1)
        blocks = sum(group[2] for group in _GROUPS[:frozen_groups])
        self._frozen = [self.stem, *self.blocks[:blocks]] if frozen_groups else []
        for part in self._frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """Set the mode as ``nn.Module.train`` does; frozen parts stay in evaluation mode.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The network itself.
        """
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

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


class LiteTrunk(Trunks):
    """``EfficientNetLite0`` and a feature pyramid that is summed at stride 8, for all stages.

    Args:
        settings: See ``TrunkSettings``. Of the sizes, only ``channels`` and ``frozen_groups`` have
            an effect.
        norm_layer: Makes the normalization of the pyramid, see ``ConvBlock``. The encoder always
            has batch normalization.
    """

    def __init__(self, settings: TrunkSettings, norm_layer: NormLayer | None = None) -> None:
        channels = settings.channels
        super().__init__(
            settings, out_channels=channels, sides='side % 8 other than 1', least_side=2
        )
        self.encoder = EfficientNetLite0(frozen_groups=settings.frozen_groups)
        self.lateral = nn.ModuleList(
            ConvBlock(width, channels, 1, norm_layer) for width in EfficientNetLite0.channels
        )
        initialize(self)

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
        features = maps[0]
        for coarser in maps[1:]:
            features = features + F.interpolate(
                coarser, size=features.shape[2:], mode='bilinear', align_corners=False
            )
        return features, features, *self._pooled_center(image, center_map, features)
