"""Pinned memory for MMPose's samples, so that copies of their targets to a GPU wait for nothing."""

from __future__ import annotations

import torch
from mmengine.structures import BaseDataElement


def install() -> None:
    """Let a data loader with ``pin_memory=True`` pin what is in MMEngine's samples.

    PyTorch pins tensors, and calls ``pin_memory`` of other objects that have it. MMEngine's do not,
    so that every target was copied to the GPU from memory that is not pinned. Such a copy waits
    until the GPU has done all that was asked of it before.
    """
    if not hasattr(BaseDataElement, 'pin_memory'):
        BaseDataElement.pin_memory = _pin_memory


def _pin_memory(self: BaseDataElement) -> BaseDataElement:
    """Move the tensors of a sample, and of the samples in it, to pinned memory, in place."""
    for key, value in list(self.items()):
        here = not isinstance(value, torch.Tensor) or (
            value.device.type == 'cpu' and value.layout == torch.strided
        )
        if here and hasattr(value, 'pin_memory'):  # other tensors cannot be pinned
            self.set_data({key: value.pin_memory()})
    return self
