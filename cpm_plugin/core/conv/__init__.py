"""Convolution with large kernels: the values of ``conv2d`` to rounding, in fewer operations."""

from .choice import Choice, choose
from .layer import LargeKernelConv2d, set_conv_method

__all__ = ['Choice', 'LargeKernelConv2d', 'choose', 'set_conv_method']
