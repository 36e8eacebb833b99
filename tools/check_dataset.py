"""Check the images and annotations of a config before you train with them.

    python tools/check_dataset.py CONFIG
    python tools/check_dataset.py CONFIG --split train --examples 10 --json found.json
    python tools/check_dataset.py CONFIG --cfg-options train_dataloader.dataset.data_root=data/mine/

Every image is decoded as MMPose's LoadImage does it, and every annotation is read. The whole of a
dataset is checked, even if the config takes a part by indices, or has detected boxes for the test.

It prints a table for each dataset: what was found, how often, and examples with image, annotation
id and value. For example, this line says that two people have keypoints outside the image:

    | error | outside | labeled keypoint outside the image | 2 |
        train/7.jpg, annotation 12: left_wrist (702, 15) in 640x480 |

An error has to be mended: training would stop, or learn or measure something wrong. A suspicion is
worth a look at the image; it may be right. A note says what MMPose does without a word, such as
leaving out people without labeled keypoints.

With --json it also writes all that was found into a file.

Exit codes: 0 when there is no error; 1 if there is one; 2 for wrong arguments, or a config that it
cannot use.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import OptionsAction, check_there, require_packages
from cpm_plugin.apps.check_report import KINDS, SPLITS, as_json, as_text, exit_code


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    kinds = '\n'.join(f'  {level:9}  {kind:23}  {text}' for kind, (level, text) in KINDS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f'what can be found:\n{kinds}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', metavar='CONFIG', help='config with the datasets')
    parser.add_argument('--split', choices=SPLITS, help='the only one to check (default: all)')
    parser.add_argument(
        '--workers',
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1,
        metavar='N',
        help='processes that read images (default: one for each CPU core, here %(default)s)',
    )
    parser.add_argument(
        '--examples',
        type=int,
        default=3,
        metavar='N',
        help='examples of each kind in the table (default: %(default)s)',
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='file for all that was found, as JSON'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='changes of the config, as in tools/test.py',
    )
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error(f'--workers {args.workers}: must be at least 1')
    if args.examples < 0:
        parser.error(f'--examples {args.examples}: must be at least 0')
    if args.json is not None and args.json.is_dir():
        parser.error(f'--json {args.json}: is a folder; give a file')
    try:
        check_there(args.config)
    except ValueError as error:
        parser.error(str(error))
    require_packages(parser.prog)
    from rich.progress import track

    from cpm_plugin.apps.check_dataset import check_datasets, datasets_of
    from cpm_plugin.apps.configs import named, read_config
    from cpm_plugin.apps.outputs import write_text
    from cpm_plugin.mmpose.names_hook import converts_keypoints

    try:
        config = read_config(args.config, args.cfg_options)
        with named(args.config):
            datasets = datasets_of(config, [args.split] if args.split else SPLITS)
    except ValueError as error:
        parser.error(str(error))
    try:
        reports = check_datasets(
            datasets,
            args.workers,
            lambda results, total: track(results, description='images', total=total),
            compare_names=not converts_keypoints(config),
        )
        if args.json is not None:
            write_text(args.json, as_json(reports))
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(as_text(reports, args.examples))
    return exit_code(reports)


if __name__ == '__main__':
    sys.exit(main())
