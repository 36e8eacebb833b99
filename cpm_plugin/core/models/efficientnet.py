"""EfficientNet-Lite0 as a trunk: features of a network trained on ImageNet, for small models.

The layers are those of TensorFlow's ``efficientnet/lite`` (tpu/models/official): EfficientNet-B0
(Tan & Le, ICML 2019, arXiv 1905.11946, table 1) without squeeze-and-excitation and with ReLU6.
All tensors are (N, C, H, W).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..conv.layer import is_autocast
from .layers import ConvBlock, NormLayer, initialize
from .settings import TrunkSettings
from .trunks import Trunks

# Of each group: expansion, channels, blocks, stride of the first, kernel size (table 1).
_GROUPS = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
)  # fmt: skip
# Last groups at strides 8, 16 and 32.
_LEVELS = (2, 4, 6)


class SameConv(nn.Module):
    """Convolution, batch normalization and, if asked for, ReLU6; size H / stride, rounded up.

    Padding is TensorFlow's ``SAME``, a cell more after than before where it cannot be halved.
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
        # epsilon and momentum of TensorFlow's EfficientNet
        self.norm: nn.Module = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
        self.activation = nn.ReLU6(inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        padding = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padding += [total // 2, total - total // 2]
        if any(padding):
            x = F.pad(x, padding)
        if kernel == 5 and x.device.type == 'cpu' and is_autocast('cpu'):
            # backward of these filters takes up to five times as long in bfloat16
            with torch.autocast('cpu', enabled=False):
                filtered = self.conv(x.float()).to(x.dtype)
        else:
            filtered = self.conv(x)
        result: Tensor = self.activation(self.norm(filtered))
        return result


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project; added to its input if it fits."""

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
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """Image -> features at strides 8, 16 and 32, of 40, 112 and 320 channels.

    Args:
        frozen_groups: leaves the first convolution and so many groups of blocks, 0 to 7, as they
            were loaded, their batch statistics too. The first two, up to stride 4, take half of
            the time of a training step.
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
        """As ``nn.Module.train``; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W), BGR and (v - 128) / 256 -> three tensors; sizes are rounded up."""
        x = self.stem(image)
        levels = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._ends:
                levels.append(x)
        return levels


class LiteTrunk(Trunks):
    """``EfficientNetLite0`` and a feature pyramid's sum at stride 8, one for all stages.

    Args:
        settings: See ``TrunkSettings``; of the sizes channels and frozen_groups alone count.
        norm_layer: After the convolutions of the pyramid; the encoder has batch normalization in
            any case.
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
        """(N, 3, H, W) -> features, the same again[, center map], as
        ``FeatureTrunks.forward``."""
        self._check(image, center_map)
        maps = [lateral(level) for lateral, level in zip(self.lateral, self.encoder(image))]
        features = maps[0]
        for coarser in maps[1:]:
            features = features + F.interpolate(
                coarser, size=features.shape[2:], mode='bilinear', align_corners=False
            )
        return features, features, *self._pooled_center(image, center_map, features)
