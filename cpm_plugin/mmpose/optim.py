"""Training in bfloat16 on any device."""

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
    """Forward passes of training under autocast to bfloat16, weights and updates in float32.

    MMEngine's ``AmpOptimWrapper`` refuses a CPU. Processors with bfloat16 instructions train a
    slim network in about half the time; those without AVX-512, of which it warns, in ten times as
    much.
    No loss scaling: bfloat16 has float32's range::

        optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=...)

    Examples:
        >>> optim_wrapper = dict(
        ...     type='Bfloat16OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
    """

    _checked = False

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast on the device of the model's weights."""
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
    """Whether oneDNN convolves in bfloat16 here, by PyTorch's own question; True if unknown."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a PyTorch without oneDNN
        return True
