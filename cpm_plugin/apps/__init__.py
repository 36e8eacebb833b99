"""What the programs in ``tools/`` are made of, a module a program; over ``core`` and ``mmpose``."""

__all__ = [
    'benchmark',
    'compare',
    'demo',
    'figures',
    'mean_pose',
    'media',
    'metafile',
    'person_search',
    'publish',
    'results',
    'show_stages',
    'zoo',
]
