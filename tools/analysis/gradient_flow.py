"""Draw how large the gradients of each layer were in trainings, as figure 5 of the paper does.

    python tools/analysis/gradient_flow.py \\
        work_dirs/with/gradient_flow.csv work_dirs/without/gradient_flow.csv --out flow.png

The files are those of the hook GradientFlowHook, which any config can have:

    custom_hooks = [dict(type='GradientFlowHook', interval=25)]

It prints the gradients of the first layer against those of the last, in the first and the last
epoch. A ratio that is small means that gradients vanish on the way back.

It writes the image of --out, with a column for each file. Above, the layers from the first to the
last by epoch. Gray is for layers without a gradient. Below, the first and the last epoch, with a
band from the 5th to the 95th percentile. Files of a single epoch are drawn by iteration.

Exit codes: 0 when done; 1 if the image cannot be written; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_there, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'files', metavar='CSV', nargs='+', type=Path, help='files of GradientFlowHook'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('gradient_flow.png'),
        metavar='IMAGE',
        help='image to write (default: %(default)s)',
    )
    parser.add_argument(
        '--names',
        nargs='+',
        metavar='NAME',
        help='names of the trainings (default: the folders of the files)',
    )
    parser.add_argument(
        '--value',
        default='mean',
        choices=('mean', 'p5', 'p25', 'p50', 'p75', 'p95'),
        help='mean or a percentile of the absolute values (default: %(default)s)',
    )
    args = parser.parse_args(argv)
    names = args.names or [path.parent.name or path.stem for path in args.files]
    try:
        if len(names) != len(args.files):
            raise ValueError(f'{len(names)} --names for {len(args.files)} files; give one for each')
        if len(set(names)) < len(names):
            raise ValueError(f'the names {", ".join(names)} must differ; give --names')
        check_there(*args.files)
        require_packages(parser.prog, ['matplotlib'])
        from cpm_plugin.apps.gradient_flow import draw_flows, flow_table, read_flow
        from cpm_plugin.apps.outputs import check_figure, write_figure

        check_figure(args.out)
        flows = {name: read_flow(path) for name, path in zip(names, args.files)}
    except ValueError as error:
        parser.error(str(error))
    print(flow_table(flows, args.value))
    try:
        write_figure(args.out, draw_flows(flows, args.value), dpi=130)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'\nGradients of each layer: {args.out.resolve()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
