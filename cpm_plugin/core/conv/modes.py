"""What PyTorch does around a layer: recording it, transforming it, autocast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def is_recorded(x: Any) -> bool:
    """Tell whether the model is being traced, compiled or exported.

    What is recorded from one pass then stands for all later passes. The size of the batch must
    therefore not be asked for.

    Args:
        x: Input of the model. ``torch.fx.symbolic_trace`` gives no tensor but a ``Proxy``.

    Returns:
        Whether it is.
    """
    if not isinstance(x, Tensor):
        return True
    compiler = getattr(torch, 'compiler', None)  # not in torch 2.0
    compiling = hasattr(compiler, 'is_compiling') and compiler.is_compiling()  # type: ignore[union-attr]
    return compiling or torch.jit.is_tracing()  # type: ignore[no-untyped-call]


def is_compiled(x: Any) -> bool:
    """Tell whether ``torch.compile`` records the model, and no one else.

    Args:
        x: Input of the model.

    Returns:
        Whether it does. False if PyTorch cannot tell it from an export, before 2.7.
    """
    exporting = getattr(getattr(torch, 'compiler', None), 'is_exporting', None)
    if exporting is None or not isinstance(x, Tensor):
        return False
    return torch.compiler.is_compiling() and not exporting()


def is_transformed() -> bool:
    """Tell whether ``torch.func`` or forward-mode differentiation is at work.

    Tiles and row-Fourier have no rules for them. Inside, the tangent of a weight would be lost
    without a word.
    """
    if torch.autograd.forward_ad._current_level >= 0:
        return True
    functorch = getattr(torch._C, '_functorch', None)
    peek = getattr(functorch, 'peek_interpreter_stack', None)
    if peek is None:
        return False
    # torch.compile takes what peek returns for an object even if it is None.
    return isinstance(peek(), functorch.CInterpreter)  # type: ignore[union-attr]


def is_autocast(device: str) -> bool:
    """Tell whether autocast is enabled.

    Args:
        device: Type of the device, such as ``'cpu'``.

    Returns:
        Whether it is, for this device.
    """
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:  # before torch 2.4
        return torch.is_autocast_cpu_enabled() if device == 'cpu' else torch.is_autocast_enabled()
