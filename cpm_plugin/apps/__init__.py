"""Functions that the programs in ``tools/`` consist of; each module is for one program or several.

They use ``core`` and ``mmpose``.
"""

__all__ = [
    'arguments',
    'benchmark',
    'check_annotations',
    'check_dataset',
    'check_images',
    'check_report',
    'cli',
    'compare',
    'configs',
    'convert_mmpose_cpm',
    'demo',
    'demo_outputs',
    'devices',
    'errors',
    'figures',
    'figures_dataset',
    'fit_structure',
    'mean_pose',
    'measure',
    'media',
    'metafile',
    'outputs',
    'publish',
    'results',
    'stages',
    'tables',
    'zoo',
]
