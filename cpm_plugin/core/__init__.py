"""Convolutional Pose Machines in plain PyTorch; needs torch and numpy only.

Rooms stand on three floors, and nothing imports upwards: ``maps``, ``conv`` and ``weights``; on
them ``models`` and ``evaluation``; on them ``conversion``.
"""

from .conv import LargeKernelConv2d, set_conv_method
from .evaluation import TorsoPCK, torso_pck
from .maps import (
    LSP,
    JointSet,
    background_map,
    center_map,
    decode_peaks,
    ideal_belief_maps,
)
from .models import (
    BeliefStages,
    ConvolutionalPoseMachine,
    FeatureTrunks,
    IntermediateSupervisionLoss,
    StageSettings,
    TrunkSettings,
    build_network,
    create_model,
    list_models,
    optimize_for_inference,
    stage_losses,
)
from .weights import load_checkpoint

__all__ = [
    'LSP',
    'BeliefStages',
    'ConvolutionalPoseMachine',
    'FeatureTrunks',
    'IntermediateSupervisionLoss',
    'JointSet',
    'LargeKernelConv2d',
    'StageSettings',
    'TorsoPCK',
    'TrunkSettings',
    'background_map',
    'build_network',
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
