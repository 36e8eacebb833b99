"""Print how much of the image each stage of a network sees.

    python tools/analysis/receptive_field.py cpm_6s cpm_slim_3s
    python tools/analysis/receptive_field.py cpm_slim_3s --images a.jpg b.jpg

For each stage it prints the receptive field in pixels of the network input, from the sizes of the
layers, and in cells of the stage's own input: the features for stage 1, the belief maps for later
ones. The paper's network has 160 pixels in stage 1 and 400 in stage 2. The released one has 167 and
407, as its pools are 3x3.

--images also measures the effective field, of a network with weights in the package: the side of
the square around a cell in the middle that has 95 % of its gradient. Images are resized to the
input of the network.

It writes nothing.

Exit codes: 0 when done; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_packaged, check_there


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'models', metavar='MODEL', nargs='+', help='names of networks; `cpm models` lists them'
    )
    parser.add_argument(
        '--images', metavar='IMAGE', nargs='+', type=Path, default=[], help='see above'
    )
    args = parser.parse_args(argv)
    try:
        check_there(*args.images)
        for name in args.models if args.images else ():
            check_packaged(name)
        from cpm_plugin.apps.receptive_field import field_rows

        rows = [row for name in args.models for row in field_rows(name, args.images)]
    except ValueError as error:
        parser.error(str(error))
    print('| network | stage | pixels | cells | effective |\n| --- | --- | --- | --- | --- |')
    for row in rows:
        print(f'| {" | ".join(row)} |')
    return 0


if __name__ == '__main__':
    sys.exit(main())
