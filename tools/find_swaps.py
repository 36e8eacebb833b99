"""List images of a training set whose labels have left and right exchanged, by a trained model.

    python tools/find_swaps.py CONFIG CHECKPOINT --out swaps.json

Some people are labeled as a mirror shows them. A model that has seen mostly right labels may
predict the person's own sides there. Arms or legs are listed whose labels fit its prediction much
better with the sides exchanged: by a quarter of the torso in the mean. Look at some of them before
you believe the list: where people stand on their hands, the model may be what is wrong. In
training, dict(type='MendSides', file='swaps.json', joints='lsp') mends them.

It writes OUT, a JSON file of names of images, mapped to "arms" and "legs", and prints how many.
It took 14 minutes for 7,500 images and cpm_movenet_3s, on one busy CPU core.

Exit codes: 0 when done; 2 for wrong arguments or files.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_there, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, metavar='CONFIG', help='config of the training')
    parser.add_argument('checkpoint', type=Path, metavar='CHECKPOINT', help='trained checkpoint')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE.json', help='new list')
    parser.add_argument('--device', default='cpu', help='such as cuda:0 (default: %(default)s)')
    args = parser.parse_args(argv)
    try:
        for path in (args.config, args.checkpoint):
            check_there(path)
        require_packages(parser.prog)
        from rich.console import Console
        from rich.progress import track

        from cpm_plugin.apps import demo
        from cpm_plugin.apps.configs import named, read_config
        from cpm_plugin.apps.find_swaps import find_swaps
        from cpm_plugin.apps.outputs import check_file, write_text

        check_file(args.out)
        config = read_config(args.config, needs=('train_dataloader', 'test_dataloader'))
        model = demo.load_model(args.config, args.checkpoint, args.device)
        console = Console(stderr=True)
        with named(args.config):
            found, count = find_swaps(
                model, config, lambda numbers: track(numbers, 'images', console=console)
            )
        write_text(args.out, json.dumps(found, indent=0, sort_keys=True) + '\n')
    except ValueError as error:
        parser.error(str(error))
    parts = [part for listed in found.values() for part in listed]
    print(
        f'{len(found)} of {count} images: arms of {parts.count("arms")}, '
        f'legs of {parts.count("legs")}; {args.out}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
