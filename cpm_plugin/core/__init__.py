"""Convolutional Pose Machines (CPM) in plain PyTorch; this package needs torch and numpy only.

The subpackages form three levels, and imports only point downwards:

1. ``maps``, ``conv`` and ``weights`` import none of the others.
2. ``models``, ``evaluation`` and ``structure`` import level 1.
3. ``conversion`` and ``prediction`` import levels 1 and 2.
"""

from .conv import LargeKernelConv2d, set_conv_method
from .evaluation import TorsoPCK, torso_pck
from .maps import (
    LSP,
    JointSet,
    background_map,
    center_map,
    decode_peaks,
    group_people,
    ideal_affinity_fields,
    ideal_belief_maps,
)
from .models import (
    AffinityLoss,
    AffinityPoseMachine,
    AffinityStages,
    AffinityStageSettings,
    BeliefStages,
    ConvolutionalPoseMachine,
    FeatureTrunks,
    IntermediateSupervisionLoss,
    PartLosses,
    PartMaps,
    StageSettings,
    TrunkSettings,
    affinity_losses,
    build_affinity_network,
    build_network,
    create_model,
    last_maps,
    list_models,
    optimize_for_inference,
    stage_losses,
)
from .prediction import Poses, predict, propose_people
from .weights import load_checkpoint

__all__ = [
    'LSP',
    'AffinityLoss',
    'AffinityPoseMachine',
    'AffinityStageSettings',
    'AffinityStages',
    'BeliefStages',
    'ConvolutionalPoseMachine',
    'FeatureTrunks',
    'IntermediateSupervisionLoss',
    'JointSet',
    'LargeKernelConv2d',
    'PartLosses',
    'PartMaps',
    'Poses',
    'StageSettings',
    'TorsoPCK',
    'TrunkSettings',
    'affinity_losses',
    'background_map',
    'build_affinity_network',
    'build_network',
    'center_map',
    'create_model',
    'decode_peaks',
    'group_people',
    'ideal_affinity_fields',
    'ideal_belief_maps',
    'last_maps',
    'list_models',
    'load_checkpoint',
    'optimize_for_inference',
    'predict',
    'propose_people',
    'set_conv_method',
    'stage_losses',
    'torso_pck',
]
