"""Compute the PCK@0.2 of the mean pose of the training set, a lower bound for any result.

    python tools/mean_pose.py CONFIG

The mean pose is computed in the person's bounding box, over the labeled keypoints of the training
set of the config. It is put into each box of the test set, and evaluated with the torso as the
unit. Joints without shoulders and hips are therefore refused.

It prints a table and writes nothing.

Exit codes: 0 when done; 2 for wrong arguments, or a config that it cannot use.
"""

from __future__ import annotations

import argparse
import sys

from cpm_plugin.apps.arguments import check_there, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG', help='config with both datasets')
    args = parser.parse_args(argv)
    try:
        check_there(args.config)
        require_packages(parser.prog)
        from cpm_plugin.apps.configs import named, read_config
        from cpm_plugin.apps.mean_pose import mean_pose_pck
        from cpm_plugin.core.evaluation.pck import format_table

        config = read_config(args.config, needs=('train_dataloader', 'test_dataloader'))
        with named(args.config):
            pck = mean_pose_pck(config)
    except ValueError as error:
        parser.error(str(error))
    print(format_table({'mean pose': pck}))
    return 0


if __name__ == '__main__':
    sys.exit(main())
