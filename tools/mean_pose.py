"""The floor of a result: PCK@0.2 of always predicting the mean pose of the training set.

    python tools/mean_pose.py CONFIG

The mean is taken in the person's box, over the labeled keypoints of the config's training
set; it is evaluated on the config's test set, with the torso as the unit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config

from cpm_plugin.apps.mean_pose import mean_pose_pck
from cpm_plugin.core.evaluation.pck import format_table


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    args = parser.parse_args()
    if not Path(args.config).is_file():
        parser.error(f'{args.config}: no such file')
    try:
        pck = mean_pose_pck(Config.fromfile(args.config))
    except ValueError as error:
        parser.error(f'{args.config}: {error}')
    print(format_table({'mean pose': pck}))
    return 0


if __name__ == '__main__':
    sys.exit(main())
