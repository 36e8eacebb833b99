"""Train a model: MMPose's own tools/train.py, which runs unchanged; see --help for its options.

python tools/train.py configs/.../CONFIG.py --work-dir FOLDER
torchrun --nproc_per_node=8 tools/train.py configs/.../CONFIG.py --launcher pytorch
"""

import sys

from cpm_plugin.apps.arguments import require_packages

if __name__ == '__main__':
    require_packages('train.py')
    from cpm_plugin.mmpose.__main__ import run_script

    run_script('tools/train.py', sys.argv[1:])
