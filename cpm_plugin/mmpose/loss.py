"""``IntermediateSupervisionLoss`` of the core, registered under the same name in MMPose.

In a config::

    head = dict(loss=dict(type='IntermediateSupervisionLoss', reduction='sum'))
"""

from __future__ import annotations

from ..core.models.loss import IntermediateSupervisionLoss

from mmpose.registry import MODELS

MODELS.register_module(module=IntermediateSupervisionLoss)
