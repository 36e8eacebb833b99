"""Conversion of weights of MMPose's own ``CPM`` and ``CPMHead`` to our components, and back.

State dicts are those of a whole estimator, ``backbone.*`` and ``head.*``. Only names change. With
``pool_padding=1``, ``beliefs_first=True``, no background and no center map, our network is MMPose's
layer by layer (version 1.3, mmpose/models/backbones/cpm.py). Networks with other numbers of
channels than MMPose's can be converted too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..weights.checkpoints import describe_mismatch

_STOCK, _OURS = 0, 1  # indices into a pair of names
_STAGE_NUMBER = (r'backbone\.out_convs\.(\d+)\.', r'head\.stages\.later\.(\d+)\.')
_NORM = ('bn', 'norm')
# Beginnings of keys that only one side has, and a key that a network of one stage has too.
_OWN_KEYS = ('backbone.cpm_stages.', 'backbone.trunks.')
_FIRST_BELIEFS = ('backbone.stem.9.conv.weight', 'head.stages.first.beliefs.weight')
_COUNTER = 'num_batches_tracked'
_NORM_TENSORS = ('weight', 'bias', 'running_mean', 'running_var', _COUNTER)


@dataclass(frozen=True)
class StockSizes:
    """Sizes of a network, as found in its weights.

    Attributes:
        num_stages: Number of stages, T.
        num_keypoints: Number of keypoints.
        normalized: Whether hidden layers have batch normalization.
        widths: Numbers of channels of the trunks, after the 5x5 convolutions, in stage 1 and in the
            later stages. The default is MMPose's.
    """

    num_stages: int
    num_keypoints: int
    normalized: bool
    widths: tuple[int, int, int, int] = (128, 32, 512, 128)


def from_stock(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state dict of an estimator with MMPose's ``CPM`` to one with our components.

    The estimator has ``CPM`` and ``CPMHead`` of MMPose 1.x or 0.x, with batch normalization or
    without. Keys of the data preprocessor are dropped. Counters ``num_batches_tracked``, which old
    checkpoints lack, are added as 0.

    Args:
        state_dict: Names and weights of MMPose's estimator, ``backbone.*`` and ``head.*``.

    Returns:
        State dict of an estimator with ``CPMBackbone`` and ``CPMStageHead``.

    Raises:
        ValueError: If the head has layers of its own, keys are missing or left over, there are
            less than two stages, or kernels have other sizes. Also if the weights are of our
            components already. The message names the keys.

    Examples:
        >>> from cpm_plugin.core import build_network
        >>> from cpm_plugin.core.conversion import from_stock, to_stock
        >>> from cpm_plugin.core.weights.checkpoints import to_mmpose
        >>> network = build_network(
        ...     num_stages=2, channels=8, first_stage_channels=8, background=False,
        ...     center_map_sigma=None, pool_padding=1, beliefs_first=True,
        ... )
        >>> stock = to_stock(to_mmpose(network.state_dict()))
        >>> list(from_stock(stock))[0]
        'backbone.trunks.stage1_trunk.conv1.conv.weight'
    """
    for key in state_dict:
        if re.match(r'(keypoint_)?head\.multi_(deconv|final)_layers\.', key):
            raise ValueError(
                f'{key}: this head has layers of its own after the beliefs that the next stage '
                'sees. Our head has none and cannot compute the same; only a CPMHead with '
                'deconv_out_channels=None and final_layer=None can be converted'
            )
    return _renamed(state_dict, _STOCK)


def to_stock(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state dict of an estimator with our components to one with MMPose's ``CPM``.

    This is the inverse of ``from_stock``. The weights do not tell whether their network has
    ``pool_padding=1`` and ``beliefs_first=True``. If it does not, MMPose's network computes
    something else with them.

    Args:
        state_dict: Names and weights of an estimator with ``CPMBackbone`` and ``CPMStageHead``.

    Returns:
        State dict of an estimator with ``CPM`` and ``CPMHead``.

    Raises:
        ValueError: As ``from_stock``, if the weights are MMPose's already, or if the network has a
            center map.

    Examples:
        >>> from cpm_plugin.core import build_network
        >>> from cpm_plugin.core.conversion import to_stock
        >>> from cpm_plugin.core.weights.checkpoints import to_mmpose
        >>> network = build_network(
        ...     num_stages=2, channels=8, first_stage_channels=8, background=False,
        ...     center_map_sigma=None, pool_padding=1, beliefs_first=True,
        ... )
        >>> list(to_stock(to_mmpose(network.state_dict())))[0]
        'backbone.stem.0.conv.weight'
    """
    return _renamed(state_dict, _OURS)


def stock_sizes(state_dict: Mapping[str, Tensor]) -> StockSizes:
    """Find the sizes of a network in its weights.

    Args:
        state_dict: State dict that ``from_stock`` returns and ``to_stock`` takes.

    Returns:
        The sizes.

    Raises:
        ValueError: As ``to_stock``.
    """
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
    """Rename the keys from one side to the other, after all checks."""
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
    """Return the error message for weights that are not of the expected network."""
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
    """Return the number of stages, at least 2."""
    found = (re.match(_STAGE_NUMBER[side], key) for key in state_dict)
    # With one stage, MMPose's second trunk is not used, and our core has none.
    return max(2, 1 + len({match[1] for match in found if match}))


def _is_normalized(state_dict: Mapping[str, Tensor], side: int) -> bool:
    """Tell whether the network has batch normalization."""
    return any(f'.{_NORM[side]}.' in key for key in state_dict)


def _layers(num_stages: int) -> list[tuple[str, str, int]]:
    """List the layers: MMPose's module, ours, and the kernel size. Outputs end with ``beliefs``."""
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
    """List the pairs of keys, MMPose's and ours."""
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
    """Raise ValueError for what MMPose's code does not have: other kernels, or a center map."""
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
