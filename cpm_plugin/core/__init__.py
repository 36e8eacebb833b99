"""Convolutional Pose Machines in plain PyTorch; needs torch and numpy only."""

from .belief_maps import background_map, center_map, decode_peaks, ideal_belief_maps
from .checkpoints import load_checkpoint
from .inference import optimize_for_inference
from .joints import LSP, JointSet
from .large_conv import LargeKernelConv2d, set_conv_method
from .loss import IntermediateSupervisionLoss, stage_losses
from .models import create_model, list_models
from .network import ConvolutionalPoseMachine
from .pck import TorsoPCK, torso_pck
from .stages import BeliefStages
from .trunks import FeatureTrunks

__all__ = [
    'LSP',
    'BeliefStages',
    'ConvolutionalPoseMachine',
    'FeatureTrunks',
    'IntermediateSupervisionLoss',
    'JointSet',
    'LargeKernelConv2d',
    'TorsoPCK',
    'background_map',
    'center_map',
    'create_model',
    'decode_peaks',
    'ideal_belief_maps',
    'list_models',
    'load_checkpoint',
    'optimize_for_inference',
    'set_conv_method',
    'stage_losses',
    'torso_pck',
]
