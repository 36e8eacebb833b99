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
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cpm_plugin.core.conversion.mmpose_cpm import StockSizes, from_stock, stock_sizes, to_stock
from cpm_plugin.core.weights.checkpoints import read_checkpoint, write_checkpoint

FOLDER = 'configs/body_2d_keypoint/topdown_heatmap'
CONFIGS = {
    17: ('coco', ('8xb64-210e_coco-256x192', '8xb32-210e_coco-384x288')),
    16: ('mpii', ('8xb64-210e_mpii-368x368',)),
}
# Keys under which MMPose 1.x and 0.x keep the text of the config, which is left out: it is not the
# config of the converted model.
CONFIG_TEXTS = ('cfg', 'config')
MARK = 'converted_from'  # key in the meta information of what was converted from stock
INPUT = (
    "its input: as in stock's config, RGB, (value - mean) / deviation with mean (123.675, 116.28, "
    '103.53) and deviation (58.395, 57.12, 57.375); its cell g lies at pixel 8 g: take 3.5 pixels '
    'from what decode_peaks gives'
)
UNKNOWN = (
    'note: the checkpoint has no config to tell whether its network computes as stock does; only '
    'the weights of a td-hm_cpm-stock-6s_* network (pool_padding=1, beliefs_first=True, no '
    'background) compute the same in MMPose'
)


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the state dict and the meta information of a checkpoint, also of an MMEngine run."""
    try:
        return read_checkpoint(path)
    except ValueError as error:
        if 'more than weights' not in str(error) or importlib.util.find_spec('mmpose') is None:
            raise
        import cpm_plugin.mmpose  # noqa: F401  (allows what MMEngine adds to the weights)

        return read_checkpoint(path)


def refuse_other_network(meta: dict[str, Any]) -> None:
    """Raise ValueError if the known config of our model computes something else than stock."""
    config = meta.get('cfg')
    for argument in ('pool_padding=1', 'beliefs_first=True'):
        if isinstance(config, str) and argument not in config:
            raise ValueError(
                f"the config in it has no {argument}: MMPose's CPM would compute something else "
                'with these weights; only those of a td-hm_cpm-stock-6s_* config can go back'
            )


def is_plain(value: Any) -> bool:
    """Return whether a checkpoint with this value can be read safely without MMEngine."""
    if isinstance(value, dict):
        return all(is_plain(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple, set)):
        return all(map(is_plain, value))
    plain = (str, bytes, int, float, type(None), np.ndarray, np.generic, torch.Tensor)
    return isinstance(value, plain)


def report(sizes: StockSizes, target: Path, to_stock: bool) -> str:
    """Return a text that says what was converted, and which configs take it."""
    norm = 'batch normalization' if sizes.normalized else 'no normalization'
    lines = [f'{target}: {sizes.num_stages} stages, {sizes.num_keypoints} joints, {norm}']
    usual = StockSizes(6, sizes.num_keypoints, normalized=True)
    if sizes == usual and sizes.num_keypoints in CONFIGS:
        tree = 'mmpose::body_2d_keypoint/topdown_heatmap' if to_stock else FOLDER
        name = 'td-hm_cpm' if to_stock else 'td-hm_cpm-stock-6s'
        dataset, endings = CONFIGS[sizes.num_keypoints]
        configs = ' or '.join(f'{tree}/{dataset}/{name}_{ending}.py' for ending in endings)
        lines.append(f'config, by dataset and input size: {configs}')
    else:
        names = {name: str(getattr(sizes, name)) for name in ('num_stages', 'num_keypoints')}
        if to_stock:
            names['out_channels'] = names.pop('num_keypoints')
        names['norm_cfg'] = "dict(type='BN')" if sizes.normalized else 'None'
        given = ', '.join(f'{name}={value}' for name, value in names.items())
        lines.append(f'no config has these sizes: derive one, with {given}')
    if sizes.widths != usual.widths:
        lines.append(
            'and with other widths: trunks {}, 5x5 convolutions {}, stage 1 {}, later stages '
            '{} channels'.format(*sizes.widths)
        )
    elif not to_stock:
        stages = '' if sizes.num_stages == 6 else f'num_stages={sizes.num_stages}, '
        lines.append(
            f'without MMPose: create_model({"cpm_6s_bn" if sizes.normalized else "cpm_6s"!r}, '
            f'checkpoint={str(target)!r}, num_keypoints={sizes.num_keypoints}, {stages}'
            'background=False, center_map_sigma=None, pool_padding=1, beliefs_first=True)'
        )
        lines.append(INPUT)
    return '\n'.join(lines)


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
        state, meta = read(args.source)
        try:
            if args.to_stock:
                refuse_other_network(meta)
            converted = to_stock(state) if args.to_stock else from_stock(state)
            sizes = stock_sizes(state if args.to_stock else converted)
        except ValueError as error:
            raise ValueError(f'{args.source}: {error}') from error
        kept = {k: v for k, v in meta.items() if k not in (*CONFIG_TEXTS, MARK) and is_plain(v)}
        if not args.to_stock:
            kept[MARK] = "MMPose's CPM"
        write_checkpoint(args.target, converted, kept)
    except (ValueError, OSError) as error:
        print(f'{Path(sys.argv[0]).name}: {error}', file=sys.stderr)
        return 2
    print(report(sizes, args.target, args.to_stock))
    if args.to_stock and MARK not in meta and not isinstance(meta.get('cfg'), str):
        print(UNKNOWN)
    return 0


if __name__ == '__main__':
    sys.exit(main())
