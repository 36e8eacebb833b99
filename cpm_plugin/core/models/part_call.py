"""Trunks and stages in half precision, and by CUDA graphs; see ``optimize_for_inference``."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from .affinity_stages import AffinityStages
from .cuda_graphs import GraphCache, map_tensors
from .stages import BeliefStages
from .trunks import Trunks


def call_parts(model: nn.Module, dtype: torch.dtype | None, graphs: bool) -> None:
    """Let the trunks and the stages of a model compute in another type, and by CUDA graphs.

    Args:
        model: Model in evaluation mode; it is changed in place.
        dtype: See ``optimize_for_inference``.
        graphs: See ``cuda_graphs`` of ``optimize_for_inference``.
    """
    if dtype is None and not graphs:
        return
    for part in model.modules():
        if isinstance(part, Trunks | BeliefStages | AffinityStages):
            part.to(dtype)
            before = part.forward  # of an earlier call, which stays but for what is asked for
            if isinstance(before, PartCall):
                call = PartCall(part, dtype or before.dtype, graphs or before.graphs is not None)
            else:
                call = PartCall(part, dtype, graphs)
            part.forward = call  # type: ignore[method-assign]


class PartCall:
    """Forward pass of trunks or stages in another type, and by CUDA graphs.

    It stands in place of the method ``forward`` of one module.

    Args:
        part: The trunks or the stages.
        dtype: Type that floating-point inputs are converted to; None for none.
        graphs: Use CUDA graphs.
    """

    def __init__(self, part: nn.Module, dtype: torch.dtype | None, graphs: bool) -> None:
        self.part = part
        self.dtype = dtype
        self.graphs = GraphCache(part) if graphs else None

    def __call__(self, *inputs: Tensor | None, **named: Tensor | None) -> Any:
        """Compute what the part computes; maps of stages are float32 if ``dtype`` is given."""
        if named:
            signature = inspect.signature(type(self.part).forward)
            inputs = signature.bind(self.part, *inputs, **named).args[1:]
        if self.graphs is not None:
            return self.graphs.run(self._compute, inputs)
        return self._compute(*inputs)

    def _compute(self, *inputs: Tensor | None) -> Any:
        """Compute without a graph, or for one."""
        forward = type(self.part).forward
        if self.dtype is None:
            return forward(self.part, *inputs)
        found = forward(
            self.part, *(value if value is None else value.to(self.dtype) for value in inputs)
        )
        return found if isinstance(self.part, Trunks) else map_tensors(Tensor.float, found)
