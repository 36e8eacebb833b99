"""What came before CPM: trees, hierarchies and graphs of joints, on the beliefs of a network."""

from .bodies import BODIES, Body
from .deformations import Deformations, fit_deformations
from .distance_transform import Convolved, max_convolve
from .loopy import LoopyResult, Repulsions, loopy_max_sum
from .packaged import PackagedStructure, packaged_structure
from .pictorial import BestPositions, best_positions, max_marginals
from .springs import Springs, unary_scores
from .structured_maps import StructuredMaps, best_pose, structured_maps
from .structures import Structure, fit_structure

__all__ = [
    'BODIES',
    'BestPositions',
    'Body',
    'Convolved',
    'Deformations',
    'LoopyResult',
    'PackagedStructure',
    'Repulsions',
    'Springs',
    'Structure',
    'StructuredMaps',
    'best_pose',
    'best_positions',
    'fit_deformations',
    'fit_structure',
    'loopy_max_sum',
    'max_convolve',
    'max_marginals',
    'packaged_structure',
    'structured_maps',
    'unary_scores',
]
