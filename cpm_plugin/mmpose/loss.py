"""``IntermediateSupervisionLoss``: the core's loss under the same name in MMPose's registry."""

from __future__ import annotations

from ..core.models.loss import IntermediateSupervisionLoss

from mmpose.registry import MODELS

MODELS.register_module(module=IntermediateSupervisionLoss)
