"""Print how much of the image each stage of a network sees, or draw PCK against it.

    python tools/analysis/receptive_field.py cpm_6s cpm_slim_3s
    python tools/analysis/receptive_field.py cpm_slim_3s --images a.jpg b.jpg
    python tools/analysis/receptive_field.py CONFIG.py --cfg-options model.head.refine_kernel_size=5
    python tools/analysis/receptive_field.py --plot RESULTS.csv --out receptive_field.png

For each stage it prints the receptive field in pixels of the network input, from the sizes of the
layers, and in cells of the stage's own input: the features for stage 1, the belief maps for later
ones. The paper's network has 160 pixels in stage 1 and 400 in stage 2. The released one has 167 and
407, as its pools are 3x3. The last column is for the parameters of the whole network.

--images also measures the effective field, of a network with weights in the package: the side of
the square around a cell in the middle that has 95 % of its gradient. Images are resized to the
input of the network.

--plot draws PCK against receptive field, of networks that were trained and tested. The columns of
the file are name, receptive_field (of the last stage, in pixels), parameters and PCK.

It writes nothing but the image of --plot.

Exit codes: 0 when done; 1 if the image cannot be written; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import OptionsAction, check_packaged, check_there, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'models',
        metavar='MODEL',
        nargs='*',
        help='names of networks (`cpm models` lists them), or configs with a CPMStageHead',
    )
    parser.add_argument(
        '--images', metavar='IMAGE', nargs='+', type=Path, default=[], help='see above'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='changes of the configs, as in tools/test.py',
    )
    parser.add_argument('--plot', metavar='CSV', type=Path, help='see above')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('receptive_field.png'),
        metavar='IMAGE',
        help='image that --plot writes (default: %(default)s)',
    )
    args = parser.parse_args(argv)
    configs = [name for name in args.models if name.endswith('.py')]
    try:
        if not args.models and args.plot is None:
            raise ValueError('give a MODEL, or --plot CSV')
        if args.cfg_options and not configs:
            raise ValueError('--cfg-options are for configs; give one as MODEL')
        check_there(*configs, *args.images, *([args.plot] if args.plot else []))
        for name in args.models if args.images else ():
            if name in configs:
                raise ValueError(f'{name}: --images needs a network with weights in the package')
            check_packaged(name)
        if configs:
            require_packages(parser.prog)
        if args.plot:
            require_packages(parser.prog, ['matplotlib'])
            from cpm_plugin.apps.outputs import check_figure

            check_figure(args.out)
        from cpm_plugin.apps.receptive_field import (
            config_rows,
            draw_results,
            field_rows,
            read_results,
        )

        results = read_results(args.plot) if args.plot else []
        rows = [
            row
            for name in args.models
            for row in (
                config_rows(name, args.cfg_options)
                if name in configs
                else field_rows(name, args.images)
            )
        ]
    except ValueError as error:
        parser.error(str(error))
    if rows:
        print('| network | stage | pixels | cells | effective | parameters |')
        print('|' + ' --- |' * 6)
        for row in rows:
            print(f'| {" | ".join(row)} |')
    if results:
        from cpm_plugin.apps.outputs import write_figure

        try:
            write_figure(args.out, draw_results(results), dpi=130)
        except ValueError as error:
            print(f'error: {error}', file=sys.stderr)
            return 1
        print(f'PCK against receptive field: {args.out.resolve()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
