"""The layer that all parts of the network are made of, and how it starts."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ..conv.layer import LargeKernelConv2d

NormLayer = Callable[[int], nn.Module]


class ConvBlock(nn.Sequential):
    """Convolution that keeps the size, optional normalization, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, norm_layer: NormLayer | None
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel size {kernel_size} must be odd to keep the size')
        if in_channels < 1 or out_channels < 1:
            raise ValueError(f'{in_channels} and {out_channels} channels: must be at least 1')
        conv = LargeKernelConv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            bias=norm_layer is None,
        )
        self.add_module('conv', conv)
        if norm_layer is not None:
            self.add_module('norm', norm_layer(out_channels))
        self.add_module('relu', nn.ReLU(inplace=True))


def initialize(module: nn.Module) -> None:
    """Fill hidden convolutions by He's rule and outputs named ``beliefs`` with N(0, 0.001).

    The authors fill all with N(0, 0.01). He's rule keeps the variance from layer to layer;
    0.001 is stock MMPose's value for its outputs, so that beliefs start at 0.
    """
    for layer in module.modules():
        if isinstance(layer, ConvBlock):
            conv = layer.get_submodule('conv')
            nn.init.kaiming_normal_(conv.weight, nonlinearity='relu')  # type: ignore[arg-type]
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        elif isinstance(beliefs := getattr(layer, 'beliefs', None), nn.Conv2d):
            nn.init.normal_(beliefs.weight, std=0.001)
            if beliefs.bias is not None:
                nn.init.zeros_(beliefs.bias)
