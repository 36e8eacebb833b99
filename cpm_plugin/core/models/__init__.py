"""The network: trunks, stages, their loss, faster inference, and the named models."""

from .inference import optimize_for_inference
from .loss import IntermediateSupervisionLoss, stage_losses
from .network import ConvolutionalPoseMachine, build_network
from .registry import create_model, list_models
from .settings import StageSettings, TrunkSettings
from .stages import BeliefStages
from .trunks import FeatureTrunks

__all__ = [
    'BeliefStages',
    'ConvolutionalPoseMachine',
    'FeatureTrunks',
    'IntermediateSupervisionLoss',
    'StageSettings',
    'TrunkSettings',
    'build_network',
    'create_model',
    'list_models',
    'optimize_for_inference',
    'stage_losses',
]
