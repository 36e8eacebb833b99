"""``IntermediateSupervisionLoss``: the core's loss under the same name in MMPose's registry."""

from __future__ import annotations

from mmpose.registry import MODELS

from ..core.loss import IntermediateSupervisionLoss

MODELS.register_module(module=IntermediateSupervisionLoss)
