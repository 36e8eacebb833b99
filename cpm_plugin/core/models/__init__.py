"""The networks: trunks, stages, their losses, faster inference, and the named models."""

from .affinity_loss import AffinityLoss, PartLosses, affinity_losses
from .affinity_network import AffinityPoseMachine, build_affinity_network
from .affinity_settings import AffinityStageSettings
from .affinity_stages import AffinityStages, PartMaps, last_maps
from .inference import optimize_for_inference
from .loss import IntermediateSupervisionLoss, stage_losses
from .network import ConvolutionalPoseMachine, build_network
from .receptive_field import StageField, effective_field, receptive_field
from .registry import create_model, list_models
from .settings import StageSettings, TrunkSettings
from .stages import BeliefStages
from .trunks import FeatureTrunks

__all__ = [
    'AffinityLoss',
    'AffinityPoseMachine',
    'AffinityStageSettings',
    'AffinityStages',
    'BeliefStages',
    'ConvolutionalPoseMachine',
    'FeatureTrunks',
    'IntermediateSupervisionLoss',
    'PartLosses',
    'PartMaps',
    'StageField',
    'StageSettings',
    'TrunkSettings',
    'affinity_losses',
    'build_affinity_network',
    'build_network',
    'create_model',
    'effective_field',
    'last_maps',
    'list_models',
    'optimize_for_inference',
    'receptive_field',
    'stage_losses',
]
