"""MMPose components of cpm_plugin.

Importing this package makes stock MMPose importable on this stack, changes MMEngine and MMPose as
``compat`` lists it, and registers all components. In a config::

    custom_imports = dict(imports=['cpm_plugin.mmpose'])
"""

import importlib.util

if importlib.util.find_spec('mmpose') is None:
    raise ModuleNotFoundError(
        "cpm_plugin.mmpose needs MMPose, which is not installed; see 'Install' in the README",
        name='mmpose',
    )

from . import compat

compat.apply()  # before any import of stock modules

from . import (  # noqa: E402
    checked_datasets,
    checkpoint_hook,
    compiling,
    heatmap_drawing,
    hooks,
    load_image,
    loading,
    pinning,
    strict,
)
from .affinity_codec import CPMAffinityFields  # noqa: E402
from .affinity_head import CPMPAFHead  # noqa: E402
from .backbone import CPMBackbone  # noqa: E402
from .checkpoint_hook import SafeCheckpointHook  # noqa: E402
from .codec import CPMHeatmap  # noqa: E402
from .crops import GetImageCenterScale, GetPersonCenterScale, PersonCrop, RandomScaleRotate  # noqa: E402
from .datasets import CombinedPoseDataset  # noqa: E402
from .figures import FiguresDataset  # noqa: E402
from .finite_hook import FiniteHook  # noqa: E402
from .flic import FlicDataset  # noqa: E402
from .gradient_flow_hook import GradientFlowHook  # noqa: E402
from .head import CPMStageHead  # noqa: E402
from .hooks import (  # noqa: E402
    BeliefMapHook,
    ChannelsLastHook,
    FastInferenceHook,
    KeepMemoryHook,
)
from .late_log_hook import LateLogHook  # noqa: E402
from .loss import AffinityLoss, IntermediateSupervisionLoss  # noqa: E402
from .lsp import LspConcatDataset, LspDataset  # noqa: E402
from .mend_sides import MendSides  # noqa: E402
from .metrics import TorsoPCKAccuracy  # noqa: E402
from .mosaic import MosaicPeople  # noqa: E402
from .names_hook import KeypointNamesHook  # noqa: E402
from .optim import Bfloat16OptimWrapper  # noqa: E402
from .own_coco import OwnCocoDataset  # noqa: E402
from .packing import PackSizes  # noqa: E402
from .people_mask import PeopleMask  # noqa: E402
from .preprocessor import CPMDataPreprocessor  # noqa: E402
from .reproducible_hook import ReproducibleHook  # noqa: E402
from .scale_search import GetOctaveCenterScale, ScaleSearchHook  # noqa: E402
from .sizes_estimator import SizesPoseEstimator  # noqa: E402
from .skip_broken import SkipBroken  # noqa: E402
from .stage_by_stage_hook import StageByStageHook  # noqa: E402
from .structured_codec import StructuredHeatmap  # noqa: E402
from .transforms import AddNeighbors, SelectJoints  # noqa: E402
from .warm_up_hook import WarmUpHook  # noqa: E402
from .workers_hook import WorkersHook  # noqa: E402

# All that is changed outside this package, beside compat.apply(), whose module lists both.
loading.install()
checkpoint_hook.install()
checked_datasets.install()
load_image.install()
heatmap_drawing.install()
hooks.install()
pinning.install()
compiling.install()
strict.install()

__all__ = [
    'AddNeighbors',
    'AffinityLoss',
    'BeliefMapHook',
    'Bfloat16OptimWrapper',
    'CPMAffinityFields',
    'CPMBackbone',
    'CPMDataPreprocessor',
    'CPMHeatmap',
    'CPMPAFHead',
    'CPMStageHead',
    'ChannelsLastHook',
    'CombinedPoseDataset',
    'FastInferenceHook',
    'FiguresDataset',
    'FiniteHook',
    'FlicDataset',
    'GetImageCenterScale',
    'GetOctaveCenterScale',
    'GetPersonCenterScale',
    'GradientFlowHook',
    'IntermediateSupervisionLoss',
    'KeepMemoryHook',
    'KeypointNamesHook',
    'LateLogHook',
    'LspConcatDataset',
    'LspDataset',
    'MendSides',
    'MosaicPeople',
    'OwnCocoDataset',
    'PackSizes',
    'PeopleMask',
    'PersonCrop',
    'RandomScaleRotate',
    'ReproducibleHook',
    'SafeCheckpointHook',
    'ScaleSearchHook',
    'SelectJoints',
    'SizesPoseEstimator',
    'SkipBroken',
    'StageByStageHook',
    'StructuredHeatmap',
    'TorsoPCKAccuracy',
    'WarmUpHook',
    'WorkersHook',
]
