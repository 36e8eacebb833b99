"""Conversion of checkpoints of MMPose's own CPM, for ``tools/convert_mmpose_cpm.py``.

MMPose is needed only to read the checkpoint of a run that has not been stripped.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.conversion.mmpose_cpm import StockSizes, from_stock, stock_sizes, to_stock
from ..core.weights.checkpoints import read_checkpoint, write_checkpoint

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


def convert(source: Path, target: Path, *, back: bool) -> str:
    """Convert a checkpoint, and describe the new one.

    Args:
        source: Checkpoint of MMPose's CPM, or with ``back`` of our components.
        target: File to write; it must not exist.
        back: Convert from ours to stock MMPose.

    Returns:
        Text that says what was converted, and which configs take it.

    Raises:
        ValueError: If the checkpoint cannot be converted, or the new file exists. Then nothing is
            written.
        OSError: If the new file cannot be written.
    """
    state, meta = _read(source)
    try:
        if back:
            _refuse_other_network(meta)
        converted = to_stock(state) if back else from_stock(state)
        sizes = stock_sizes(state if back else converted)
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    kept = {k: v for k, v in meta.items() if k not in (*CONFIG_TEXTS, MARK) and _is_plain(v)}
    if not back:
        kept[MARK] = "MMPose's CPM"
    write_checkpoint(target, converted, kept)
    text = _report(sizes, target, back)
    if back and MARK not in meta and not isinstance(meta.get('cfg'), str):
        text += f'\n{UNKNOWN}'
    return text


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the state dict and the meta information of a checkpoint, also of an MMEngine run."""
    try:
        return read_checkpoint(path)
    except ValueError as error:
        if 'more than weights' not in str(error) or importlib.util.find_spec('mmpose') is None:
            raise
        from .. import mmpose  # noqa: F401  (allows what MMEngine adds to the weights)

        return read_checkpoint(path)


def _refuse_other_network(meta: dict[str, Any]) -> None:
    """Raise ValueError if the known config of our model computes something else than stock."""
    config = meta.get('cfg')
    for argument in ('pool_padding=1', 'beliefs_first=True'):
        if isinstance(config, str) and argument not in config:
            raise ValueError(
                f"the config in it has no {argument}: MMPose's CPM would compute something else "
                'with these weights; only those of a td-hm_cpm-stock-6s_* config can go back'
            )


def _is_plain(value: Any) -> bool:
    """Return whether a checkpoint with this value can be read safely without MMEngine."""
    if isinstance(value, dict):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple, set)):
        return all(map(_is_plain, value))
    plain = (str, bytes, int, float, type(None), np.ndarray, np.generic, torch.Tensor)
    return isinstance(value, plain)


def _report(sizes: StockSizes, target: Path, back: bool) -> str:
    """Return a text that says what was converted, and which configs take it."""
    norm = 'batch normalization' if sizes.normalized else 'no normalization'
    lines = [f'{target}: {sizes.num_stages} stages, {sizes.num_keypoints} joints, {norm}']
    usual = StockSizes(6, sizes.num_keypoints, normalized=True)
    if sizes == usual and sizes.num_keypoints in CONFIGS:
        tree = 'mmpose::body_2d_keypoint/topdown_heatmap' if back else FOLDER
        name = 'td-hm_cpm' if back else 'td-hm_cpm-stock-6s'
        dataset, endings = CONFIGS[sizes.num_keypoints]
        configs = ' or '.join(f'{tree}/{dataset}/{name}_{ending}.py' for ending in endings)
        lines.append(f'config, by dataset and input size: {configs}')
    else:
        names = {name: str(getattr(sizes, name)) for name in ('num_stages', 'num_keypoints')}
        if back:
            names['out_channels'] = names.pop('num_keypoints')
        names['norm_cfg'] = "dict(type='BN')" if sizes.normalized else 'None'
        given = ', '.join(f'{name}={value}' for name, value in names.items())
        lines.append(f'no config has these sizes: derive one, with {given}')
    if sizes.widths != usual.widths:
        lines.append(
            'and with other widths: trunks {}, 5x5 convolutions {}, stage 1 {}, later stages '
            '{} channels'.format(*sizes.widths)
        )
    elif not back:
        stages = '' if sizes.num_stages == 6 else f'num_stages={sizes.num_stages}, '
        lines.append(
            f'without MMPose: create_model({"cpm_6s_bn" if sizes.normalized else "cpm_6s"!r}, '
            f'checkpoint={str(target)!r}, num_keypoints={sizes.num_keypoints}, {stages}'
            'background=False, center_map_sigma=None, pool_padding=1, beliefs_first=True)'
        )
        lines.append(INPUT)
    return '\n'.join(lines)
