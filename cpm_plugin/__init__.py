"""Convolutional Pose Machines (Wei et al., CVPR 2016), plain and for MMPose.

The core, and PyTorch with it, is imported when one of its names is first asked for. Programs can so
parse their arguments before that.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core import create_model, list_models, optimize_for_inference, predict

__version__ = '0.1.0'
__all__ = ['__version__', 'create_model', 'list_models', 'optimize_for_inference', 'predict']

if not TYPE_CHECKING:  # of which type checkers would take every name to be there

    def __getattr__(name):
        if name != 'core' and name not in __all__:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
        core = import_module(f'{__name__}.core')
        return core if name == 'core' else getattr(core, name)

    def __dir__():
        return sorted({*globals(), *__all__, 'core'})
