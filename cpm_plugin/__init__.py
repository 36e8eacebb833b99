"""Convolutional Pose Machines (Wei et al., CVPR 2016), plain and for MMPose."""

from .core import create_model, list_models, optimize_for_inference, predict

__version__ = '0.1.0'
__all__ = ['__version__', 'create_model', 'list_models', 'optimize_for_inference', 'predict']
