"""Test a model: MMPose's own tools/test.py, which runs unchanged; see --help for its options.

python tools/test.py configs/.../CONFIG.py CHECKPOINT.pth --work-dir FOLDER
"""

import sys

from cpm_plugin.apps.arguments import require_packages

if __name__ == '__main__':
    require_packages('test.py')
    from cpm_plugin.mmpose.__main__ import run_script

    run_script('tools/test.py', sys.argv[1:])
