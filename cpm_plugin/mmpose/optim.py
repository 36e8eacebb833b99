"""Training in bfloat16 on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Forward passes of training under autocast to bfloat16, weights and updates in float32.

    MMEngine's ``AmpOptimWrapper`` refuses a CPU; processors with bfloat16 instructions train
    a slim machine in about half the time. No loss scaling: bfloat16 has float32's range::

        optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=...)
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast on the device of the model's weights."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield
