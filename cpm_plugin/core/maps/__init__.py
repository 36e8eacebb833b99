"""Keypoints, coordinates and belief maps (heatmaps): joint sets, targets and decoding."""

from .belief_maps import background_map, center_map, decode_peaks, ideal_belief_maps
from .geometry import cell_to_pixel, pixel_to_cell, pooled_size
from .joint_sets import LSP, joint_set
from .joints import JointSet

__all__ = [
    'LSP',
    'JointSet',
    'background_map',
    'cell_to_pixel',
    'center_map',
    'decode_peaks',
    'ideal_belief_maps',
    'joint_set',
    'pixel_to_cell',
    'pooled_size',
]
