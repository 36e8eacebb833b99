"""``Bfloat16OptimWrapper``: training in bfloat16 on any device."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Train with forward passes in bfloat16, and weights and updates in float32.

    The forward passes run under autocast to bfloat16. There is no loss scaling, because bfloat16
    has the range of float32. The arguments are those of MMEngine's ``OptimWrapper``.

    MMEngine's ``AmpOptimWrapper`` refuses a CPU. On a CPU with bfloat16 instructions, a slim
    network trains in about half the time. Without AVX-512 it takes ten times as long; a warning
    says so.

    Examples:
        In a config:

        >>> optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
    """

    _checked = False

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run a forward pass under autocast, on the device of the model's weights.

        Args:
            model: The model that is trained.
        """
        device = next(model.parameters()).device.type
        if not self._checked:
            self._checked = True
            if device == 'cpu' and not _cpu_has_bfloat16():
                print_log(
                    'This CPU has no fast bfloat16: training in it takes about ten times as long '
                    'as in float32. Use float32: --cfg-options optim_wrapper.type=OptimWrapper',
                    logger='current',
                    level=logging.WARNING,
                )
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


def _cpu_has_bfloat16() -> bool:
    """Ask PyTorch whether oneDNN convolves in bfloat16 on this CPU; True if unknown."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a PyTorch without oneDNN
        return True
