"""Keypoints, coordinates and belief maps (heatmaps): joint sets, targets and decoding."""

from .belief_maps import background_map, center_map, decode_peaks, ideal_belief_maps
from .geometry import cell_to_pixel, pixel_to_cell, pooled_size
from .joints import LSP, JointSet, joint_set

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
