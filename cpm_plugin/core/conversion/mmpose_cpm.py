"""Weights of MMPose's own ``CPM`` and ``CPMHead`` as weights of our components, and back.

State dicts are those of a whole estimator, ``backbone.*`` and ``head.*``. Only names change:
with ``pool_padding=1``, ``beliefs_first=True``, no background and no center map our network
is MMPose's (version 1.3, mmpose/models/backbones/cpm.py), layer by layer. Other widths than
MMPose's are renamed as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..weights.checkpoints import describe_mismatch

_STOCK, _OURS = 0, 1  # the two sides of a pair of names
_STAGE_NUMBER = (r'backbone\.out_convs\.(\d+)\.', r'head\.stages\.later\.(\d+)\.')
_NORM = ('bn', 'norm')
# Keys that nobody else has, and what a network of one stage has, too.
_OWN_KEYS = ('backbone.cpm_stages.', 'backbone.trunks.')
_FIRST_BELIEFS = ('backbone.stem.9.conv.weight', 'head.stages.first.beliefs.weight')
_COUNTER = 'num_batches_tracked'
_NORM_TENSORS = ('weight', 'bias', 'running_mean', 'running_var', _COUNTER)


@dataclass(frozen=True)
class StockSizes:
    """What the weights tell of their network.

    Args:
        num_stages: T.
        num_keypoints: joints.
        normalized: hidden layers have batch normalization.
        widths: channels of the trunks, after the 5x5 convolutions, in stage 1 and in the
            later stages; these are MMPose's.
    """

    num_stages: int
    num_keypoints: int
    normalized: bool
    widths: tuple[int, int, int, int] = (128, 32, 512, 128)


def from_stock(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of an estimator with ``CPM`` and ``CPMHead`` -> of one with our components.

    Of MMPose 1.x or 0.x, with batch normalization or without. Keys of the data preprocessor
    are dropped; counters ``num_batches_tracked`` that old checkpoints lack are added as 0.

    Raises:
        ValueError: naming the keys, for a head with layers of its own, for keys that are
            missing or left over, for less than two stages, or other kernel sizes; and for
            weights that are of our components already.
    """
    for key in state_dict:
        if re.match(r'(keypoint_)?head\.multi_(deconv|final)_layers\.', key):
            raise ValueError(
                f'{key}: this head has layers of its own behind the beliefs that the next stage '
                'sees. Ours has not, it cannot compute the same; only a CPMHead with '
                'deconv_out_channels=None and final_layer=None can be converted'
            )
    return _renamed(state_dict, _STOCK)


def to_stock(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``from_stock``.

    The weights do not tell whether they belong to a network with ``pool_padding=1`` and
    ``beliefs_first=True``. If not, MMPose computes something else with them.

    Raises:
        ValueError: as ``from_stock``, for weights that are MMPose's already, and for a
            network with a center map.
    """
    return _renamed(state_dict, _OURS)


def stock_sizes(state_dict: Mapping[str, Tensor]) -> StockSizes:
    """Sizes of what ``from_stock`` returns and ``to_stock`` takes. Raises as that."""
    to_stock(state_dict)

    def channels(name: str) -> int:
        return len(state_dict[f'{name}.weight'])

    return StockSizes(
        num_stages=_num_stages(state_dict, _OURS),
        num_keypoints=channels('head.stages.first.beliefs'),
        normalized=_is_normalized(state_dict, _OURS),
        widths=(
            channels('backbone.trunks.stage1_trunk.conv1.conv'),
            channels('head.stages.first.reduce.conv'),
            channels('head.stages.first.conv1.conv'),
            channels('head.stages.later.0.refine.0.conv'),
        ),
    )


def _renamed(state_dict: Mapping[str, Tensor], source: int) -> dict[str, Tensor]:
    given = {k: v for k, v in state_dict.items() if not k.startswith('data_preprocessor.')}
    layers = _layers(_num_stages(given, source))
    names = _names(layers, _is_normalized(given, source))
    for pair in names:
        if pair[source].endswith(_COUNTER):
            given.setdefault(pair[source], torch.tensor(0))
    nothing = torch.empty(0)
    expected = {pair[source]: given.get(pair[source], nothing) for pair in names}
    if problem := describe_mismatch(expected, given):
        raise ValueError(_refusal(state_dict, source, problem))
    renamed = {pair[1 - source]: given[pair[source]] for pair in names}
    ours = renamed if source == _STOCK else given
    _check_shapes(ours, layers)
    return renamed


def _refusal(given: Mapping[str, Tensor], source: int, problem: str) -> str:
    stock, ours = (any(key.startswith(own) for key in given) for own in _OWN_KEYS)
    if source == _STOCK and ours and not stock:
        return (
            'these are weights of our components already; to_stock converts them back, or '
            'tools/convert_mmpose_cpm.py with --to-stock'
        )
    if source == _OURS and stock and not ours:
        return (
            "these are weights of MMPose's CPM already; from_stock converts them to ours, or "
            'tools/convert_mmpose_cpm.py without --to-stock'
        )
    what = ("MMPose's CPM", 'CPMBackbone and CPMStageHead')[source]
    if _FIRST_BELIEFS[source] in given and not any(
        re.match(_STAGE_NUMBER[source], key) for key in given
    ):
        what += ' with two stages or more'
    whole = any(key.startswith('backbone.') for key in given)
    remedy = '' if whole else '. Give the state dict of the whole estimator, backbone.* and head.*'
    return f'no weights of {what}; {problem}{remedy}'


def _num_stages(state_dict: Mapping[str, Tensor], side: int) -> int:
    found = (re.match(_STAGE_NUMBER[side], key) for key in state_dict)
    # with one stage the second trunk feeds nothing in MMPose, and our core has none
    return max(2, 1 + len({match[1] for match in found if match}))


def _is_normalized(state_dict: Mapping[str, Tensor], side: int) -> bool:
    return any(f'.{_NORM[side]}.' in key for key in state_dict)


def _layers(num_stages: int) -> list[tuple[str, str, int]]:
    """MMPose's module, ours, kernel size; outputs are those that end with ``beliefs``."""
    stem, first = 'backbone.stem', 'head.stages.first'
    layers = [
        (f'backbone.{theirs}.{2 * n}', f'backbone.trunks.{ours}.conv{n + 1}', 9)
        for theirs, ours in (('stem', 'stage1_trunk'), ('middle', 'shared_trunk'))
        for n in range(3)
    ]
    layers += [
        (f'{stem}.6', f'{first}.reduce', 5),
        (f'{stem}.7', f'{first}.conv1', 9),
        (f'{stem}.8', f'{first}.conv2', 1),
        (f'{stem}.9', f'{first}.beliefs', 1),
    ]
    for n in range(num_stages - 1):
        later = f'head.stages.later.{n}'
        layers += [
            (f'backbone.middle_conv.{n}.0', f'{later}.reduce', 5),
            (f'backbone.cpm_stages.{n}.model.0', f'{later}.refine.0', 11),
            (f'backbone.cpm_stages.{n}.model.1', f'{later}.refine.1', 11),
            (f'backbone.cpm_stages.{n}.model.2', f'{later}.refine.2', 11),
            (f'backbone.out_convs.{n}.0', f'{later}.refine.3', 1),
            (f'backbone.out_convs.{n}.1', f'{later}.beliefs', 1),
        ]
    return layers


def _names(layers: list[tuple[str, str, int]], normalized: bool) -> list[tuple[str, str]]:
    """Pairs of keys, MMPose's and ours."""
    names = []
    for stock, ours, _ in layers:
        is_output = ours.endswith('beliefs')
        conv = ours if is_output else f'{ours}.conv'
        names.append((f'{stock}.conv.weight', f'{conv}.weight'))
        if is_output or not normalized:
            names.append((f'{stock}.conv.bias', f'{conv}.bias'))
        else:
            bn, norm = (f'{name}.{part}' for name, part in zip((stock, ours), _NORM))
            names += [(f'{bn}.{tensor}', f'{norm}.{tensor}') for tensor in _NORM_TENSORS]
    return names


def _check_shapes(ours: Mapping[str, Tensor], layers: list[tuple[str, str, int]]) -> None:
    """Refuse what MMPose's code has not: other kernels, a center map."""
    for stock, name, kernel_size in layers:
        key = f'{name}.weight' if name.endswith('beliefs') else f'{name}.conv.weight'
        found = tuple(ours[key].shape)
        if found[2:] != (kernel_size, kernel_size):
            raise ValueError(
                f"{key}, MMPose's {stock}, has shape {found}: MMPose's CPM has a "
                f'{kernel_size}x{kernel_size} kernel there, and no other can be converted'
            )
    beliefs = len(ours['head.stages.first.beliefs.weight'])
    seen = ours['head.stages.later.0.refine.0.conv.weight'].shape[1]
    reduced = len(ours['head.stages.later.0.reduce.conv.weight'])
    if seen != beliefs + reduced:
        raise ValueError(
            f'stage 2 sees {seen} channels, not {reduced} of features and {beliefs} of beliefs: '
            "MMPose's CPM has no center map; a network with one cannot be converted"
        )
