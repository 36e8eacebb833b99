"""Metrics and the authors' test protocols: PCK, scale of a person, and search over scales."""

from .mean_pose import mean_pose, place_pose
from .pck import TorsoPCK, torso_pck
from .person_scale import mpii_like_scales
from .scale_search import BENCHMARK_SCALES, full_resolution_peaks, octave_scales

__all__ = [
    'BENCHMARK_SCALES',
    'TorsoPCK',
    'full_resolution_peaks',
    'mean_pose',
    'mpii_like_scales',
    'octave_scales',
    'place_pose',
    'torso_pck',
]
