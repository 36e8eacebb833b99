"""Keypoints, coordinates, belief maps and affinity fields: joint sets, targets and decoding."""

from .affinity_fields import ideal_affinity_fields
from .belief_maps import background_map, center_map, decode_peaks, ideal_belief_maps
from .geometry import cell_to_pixel, pixel_to_cell, pooled_size
from .grouping import People, group_people
from .joint_sets import LSP, joint_set
from .joints import JointSet
from .peaks import Peaks, find_peaks

__all__ = [
    'LSP',
    'JointSet',
    'Peaks',
    'People',
    'background_map',
    'cell_to_pixel',
    'center_map',
    'decode_peaks',
    'find_peaks',
    'group_people',
    'ideal_affinity_fields',
    'ideal_belief_maps',
    'joint_set',
    'pixel_to_cell',
    'pooled_size',
]
