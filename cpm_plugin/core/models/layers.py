"""The layer that all parts of the network are built from, and the initialization of weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ..conv.layer import LargeKernelConv2d

NormLayer = Callable[[int], nn.Module]


class ConvBlock(nn.Sequential):
    """Convolution that keeps the size, optional normalization, and ReLU or PReLU.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Side of the kernel, odd.
        norm_layer: Called with the number of output channels to make the normalization, such as
            ``nn.BatchNorm2d``. None: no normalization, and the convolution has a bias.
        prelu: End with PReLU, with a slope for each channel, instead of ReLU.

    Raises:
        ValueError: If the kernel size is even or a number of channels is less than 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        norm_layer: NormLayer | None,
        *,
        prelu: bool = False,
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
        if prelu:
            self.add_module('prelu', nn.PReLU(out_channels))
        else:
            self.add_module('relu', nn.ReLU(inplace=True))


def initialize(module: nn.Module) -> None:
    """Initialize the hidden convolutions by He's rule and the outputs with N(0, 0.001).

    Outputs are the convolutions named ``beliefs`` or ``output``. Biases are set to 0. The authors
    initialize all convolutions with N(0, 0.01). He's rule keeps the variance from layer to layer.
    0.001 is the value of stock MMPose for its outputs; beliefs thus begin near 0.

    Args:
        module: Module whose parts are initialized, in place.
    """
    for layer in module.modules():
        if isinstance(layer, ConvBlock):
            conv = layer.get_submodule('conv')
            nn.init.kaiming_normal_(conv.weight, nonlinearity='relu')  # type: ignore[arg-type]
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            continue
        for output in (getattr(layer, name, None) for name in ('beliefs', 'output')):
            if isinstance(output, nn.Conv2d):
                nn.init.normal_(output.weight, std=0.001)
                if output.bias is not None:
                    nn.init.zeros_(output.bias)
