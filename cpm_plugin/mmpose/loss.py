"""Losses of the core, registered under the same names in MMPose.

In a config::

    head = dict(loss=dict(type='IntermediateSupervisionLoss', reduction='sum'))
    head = dict(loss=dict(type='AffinityLoss', field_weight=2.0))
"""

from __future__ import annotations

from ..core.models.affinity_loss import AffinityLoss
from ..core.models.loss import IntermediateSupervisionLoss

from mmpose.registry import MODELS

MODELS.register_module(module=AffinityLoss)
MODELS.register_module(module=IntermediateSupervisionLoss)
