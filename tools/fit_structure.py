"""Fit a structure of joints to a training set: what came before CPM, on the beliefs of a network.

    python tools/fit_structure.py CONFIG tree.json
    python tools/fit_structure.py CONFIG hierarchical.json --kind hierarchical
    python tools/fit_structure.py CONFIG graph.json --kind non-tree

Kinds:
  tree          pictorial structure: a spring for each limb; exact
  hierarchical  limbs, upper and lower body and the whole as nodes above the joints; exact
  non-tree      the tree, springs across the torso, and left and right limbs that repel each
                other; loopy max-sum, which is not exact

Springs are Gaussians of the offsets between joints, relative to the crop of the test. They come
from the labeled keypoints of the config's training set. The structure is then used in a test:

    python tools/test.py CONFIG CHECKPOINT --cfg-options model.test_cfg.stage=1 \\
        model.head.decoder.type=StructuredHeatmap model.head.decoder.structure=tree.json \\
        model.head.decoder.weight=0.1

model.test_cfg.stage=1 takes the beliefs of stage 1, which see single parts; it works without a
structure, too. weight is that of the structure beside the beliefs: choose it on validation data.

It writes OUT, a JSON file, and prints what it has.

Exit codes: 0 when done; 2 for wrong arguments, or a config that it cannot use.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_there, require_packages

KINDS = ('tree', 'hierarchical', 'non-tree')
QUANTILE = 0.05


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG', help='config with a decoder and both datasets')
    parser.add_argument('out', metavar='OUT', type=Path, help='JSON file to write')
    parser.add_argument(
        '--kind', choices=KINDS, default='tree', help='kind of structure (default: %(default)s)'
    )
    parser.add_argument(
        '--quantile',
        type=float,
        default=QUANTILE,
        metavar='SHARE',
        help='joints repel each other if closer than in this share of the poses '
        '(default: %(default)s)',
    )
    args = parser.parse_args(argv)
    try:
        check_there(args.config)
        if not 0 < args.quantile < 1:
            raise ValueError(f'--quantile {args.quantile}: must be between 0 and 1')
        require_packages(parser.prog)
        from cpm_plugin.apps.configs import named, read_config
        from cpm_plugin.apps.fit_structure import fit_to_config
        from cpm_plugin.apps.outputs import check_file, write_text

        check_file(args.out)
        needs = ('model', 'train_dataloader', 'test_dataloader')
        config = read_config(args.config, needs=needs)
        with named(args.config):
            fitted = fit_to_config(config, args.kind, args.quantile)
        write_text(args.out, fitted.structure.to_json())
    except ValueError as error:
        parser.error(str(error))
    found = fitted.structure
    print(
        f'{args.kind}: {len(found.joints)} joints, {len(found.parts)} larger parts, '
        f'{len(found.springs)} springs, {len(found.repulsions)} repulsions, fitted to '
        f'{fitted.people} people: {args.out}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
