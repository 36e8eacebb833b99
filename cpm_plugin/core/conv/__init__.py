"""The convolution with large kernels, exact and in fewer operations than ``conv2d``."""

from .choice import Choice, choose
from .layer import LargeKernelConv2d, set_conv_method

__all__ = ['Choice', 'LargeKernelConv2d', 'choose', 'set_conv_method']
