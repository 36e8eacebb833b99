"""Convert a checkpoint of MMPose's own CPM into one of our components, or back.

    python tools/convert_mmpose_cpm.py IN.pth OUT.pth
    python tools/convert_mmpose_cpm.py --to-stock IN.pth OUT.pth

Only names of weights change. The configs td-hm_cpm-stock-6s_* compute with OUT.pth what stock's
configs td-hm_cpm_* compute with IN.pth.

It writes the new file OUT.pth: the weights and the meta information of IN.pth, such as the joints
of the dataset, and nothing to resume a training from. It prints which configs take the file. MMPose
is needed only to read the checkpoint of a run that has not been stripped.

Exit codes: 0 when done; 2 for wrong arguments, or a checkpoint that cannot be converted. Then
nothing is written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_there


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, metavar='IN.pth', help='checkpoint to convert')
    parser.add_argument(
        'target', type=Path, metavar='OUT.pth', help='file to write; it must not exist'
    )
    parser.add_argument(
        '--to-stock', action='store_true', help='convert from ours to stock MMPose, not to ours'
    )
    args = parser.parse_args(argv)
    try:
        check_there(args.source)
        from cpm_plugin.apps.convert_mmpose_cpm import convert

        print(convert(args.source, args.target, back=args.to_stock))
    except (ValueError, OSError) as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
