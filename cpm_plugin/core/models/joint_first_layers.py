"""The first layers of two trunks, which read the same image, computed as one.

Both begin with a convolution, batch normalization or none, ReLU and a pool, of the same sizes. One
convolution with the outputs of both, and one normalization of twice the channels, give the same
values, gradients and running statistics. Tensors are (N, C, H, W).
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from ..conv.layer import LargeKernelConv2d
from ..conv.modes import is_recorded

_HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
# What must be the same in both trunks: attributes of each module of a first layer.
_SAME = {
    'conv': ('kernel_size', 'stride', 'padding', 'dilation', 'padding_mode', 'method'),
    'norm': ('eps', 'momentum', 'track_running_stats'),
    'pool': ('kernel_size', 'stride', 'padding', 'dilation', 'ceil_mode'),
}


class FirstLayer(NamedTuple):
    """First layer of a trunk, and what comes after it.

    Attributes:
        conv: Convolution.
        norm: Batch normalization, or None.
        relu: ReLU.
        pool: Pool.
        passed: Modules whose ``forward`` is not called if the layer is computed with another.
        rest: Modules after the layer, in their order.
        in_bands: A CPU computes the layer in bands, see ``optimize_for_inference``.
    """

    conv: LargeKernelConv2d
    norm: nn.BatchNorm2d | None
    relu: nn.ReLU
    pool: nn.MaxPool2d
    passed: tuple[nn.Module, ...]
    rest: tuple[nn.Module, ...]
    in_bands: bool


def joint_features(first: nn.Module, second: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the features of two trunks, and their first layers as one.

    Each trunk is computed by itself where their layers cannot be one: if a module of them has
    hooks, which would not be called, or another ``forward``; if one layer is trained and the other
    is not; and in ``torch.fx.symbolic_trace``. On a CPU, so are trunks that
    ``optimize_for_inference`` made, which have a faster way there.

    Args:
        first: A ``FeatureTrunk``.
        second: Another one.
        image: (N, C, H, W).

    Returns:
        Features of both, each (N, D, h, w).

    Raises:
        ValueError: If the first layers differ, or are none that can be computed as one.
    """
    if isinstance(image, Tensor):  # and no Proxy of torch.fx
        layers = check_joint(first, second)
        if _is_possible(layers, image):
            one, other = joint_layer(image, *layers)
            return _through(layers[0].rest, one), _through(layers[1].rest, other)
    return first(image), second(image)


def joint_layer(image: Tensor, first: FirstLayer, second: FirstLayer) -> tuple[Tensor, Tensor]:
    """Compute two layers of the same sizes as one.

    Args:
        image: (N, C, H, W).
        first: A layer of D outputs.
        second: Another one.

    Returns:
        Outputs of both, each (N, D, h, w), pooled. In training, the running statistics of both are
            updated.
    """
    weight, bias = (_joined(first.conv, second.conv, name) for name in ('weight', 'bias'))
    assert weight is not None
    values = first.conv.convolve(image, weight, bias)
    second.conv.last_choice = first.conv.last_choice
    if first.norm is not None and second.norm is not None:
        values = _normalized(values, first.norm, second.norm)
    # ReLU after the pool changes neither values nor gradients, and has a quarter of the values.
    values = first.relu(first.pool(values))
    # Next are convolutions, which would copy these parts of a tensor, in both passes.
    one, other = values.chunk(2, dim=1)
    return one.clone(), other.clone()  # in the memory order of ``values``


def _normalized(values: Tensor, first: nn.BatchNorm2d, second: nn.BatchNorm2d) -> Tensor:
    """Normalize (N, 2 D, H, W) as ``nn.BatchNorm2d.forward`` of both does its half."""
    update = first.training and first.track_running_stats
    mean = variance = None
    if update or not first.training:
        mean, variance = (_joined(first, second, name) for name in ('running_mean', 'running_var'))
    assert first.momentum is not None
    values = F.batch_norm(
        values,
        mean,
        variance,
        _joined(first, second, 'weight'),
        _joined(first, second, 'bias'),
        first.training or mean is None,
        first.momentum,
        first.eps,
    )
    if update and mean is not None and variance is not None:
        for norm, *parts in zip((first, second), mean.chunk(2), variance.chunk(2)):
            for own, part in zip((norm.running_mean, norm.running_var), parts):
                assert own is not None
                own.copy_(part)
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)
    return values


def _joined(first: nn.Module, second: nn.Module, name: str) -> Tensor | None:
    """Concatenate a parameter or buffer of two modules; None if they have none."""
    one, other = getattr(first, name), getattr(second, name)
    return None if one is None or other is None else torch.cat([one, other])


def _through(modules: tuple[nn.Module, ...], values: Tensor) -> Tensor:
    for module in modules:
        values = module(values)
    return values


def _is_possible(layers: tuple[FirstLayer, FirstLayer], image: Tensor) -> bool:
    """Tell whether two layers that fit together can be one in this pass."""
    first, second = layers
    if first.in_bands and image.device.type == 'cpu' and not is_recorded(image):
        return False
    # StageByStageHook sets one trunk alone to evaluation mode, and stops its gradients.
    if first.conv.weight.requires_grad != second.conv.weight.requires_grad:
        return False
    if getattr(first.norm, 'training', None) != getattr(second.norm, 'training', None):
        return False
    passed = (*first.passed, *second.passed)
    hooked = any(getattr(module, name) for module in passed for name in _HOOKS)
    replaced = any('forward' in module.__dict__ for module in passed)
    everywhere = torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]
    return not (hooked or replaced or everywhere)


def check_joint(first: nn.Module, second: nn.Module) -> tuple[FirstLayer, FirstLayer]:
    """Check that the first layers of two trunks can be computed as one.

    Args:
        first: A ``FeatureTrunk``.
        second: Another one.

    Returns:
        Both layers.

    Raises:
        ValueError: If they differ, or are none that can be computed as one.
    """
    layers = _layer_of(first), _layer_of(second)
    one, other = map(_facts, layers)
    for name in one | other:
        if one.get(name) != other.get(name):
            _refuse(f'first layers with {name} of {one.get(name)} and of {other.get(name)}')
    return layers


def _layer_of(trunk: nn.Module) -> FirstLayer:
    """Find the first layer of a trunk."""
    parts: dict[str, Any] = dict(trunk.named_children())
    outer: tuple[nn.Module, ...] = (trunk,)
    rest: tuple[nn.Module, ...]
    if front := parts.get('front'):  # of optimize_for_inference
        block, pool = front.first, front.first.pool
        outer, rest = (trunk, front), (front.second, parts['conv3'])
    elif {'conv1', 'pool1'} <= parts.keys():
        block, pool, *others = parts.values()
        rest = tuple(others)
    else:
        _refuse(f'a trunk of type {type(trunk).__name__} without such a layer')
    inner: dict[str, Any] = dict(block.named_children())
    if unknown := inner.keys() - {'conv', 'norm', 'relu', 'pool'}:
        _refuse(f'a first layer with {min(unknown)}')
    conv, norm, relu = (inner.get(name) for name in ('conv', 'norm', 'relu'))
    # Another forward, as of a wrapper or in training for quantization, would not be called.
    own = getattr(type(conv), 'forward', None) is LargeKernelConv2d.forward
    if conv is None or not own or conv.groups != 1:
        _refuse(f'{type(conv).__name__}, not a LargeKernelConv2d of one group')
    if norm is not None and type(norm) is not nn.BatchNorm2d:
        _refuse(f'{type(norm).__name__}, not BatchNorm2d or none')
    if norm is not None and norm.momentum is None:
        _refuse('BatchNorm2d with momentum=None, not a number')
    if type(relu) is not nn.ReLU or type(pool) is not nn.MaxPool2d or pool.return_indices:
        _refuse(f'{type(relu).__name__} and {type(pool).__name__}, not ReLU and MaxPool2d')
    passed = (*outer, *block.modules(), pool)
    return FirstLayer(conv, norm, relu, pool, passed, rest, in_bands=front is not None)


def _facts(layer: FirstLayer) -> dict[str, Any]:
    """Return what must be the same in both trunks, by name."""
    weight = layer.conv.weight
    facts = {'weight': tuple(weight.shape), 'dtype': weight.dtype, 'device': weight.device}
    facts |= {'bias': layer.conv.bias is not None, 'norm': type(layer.norm).__name__}
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        facts[f'norm with {name}'] = getattr(layer.norm, name, None) is not None
    for kind, names in _SAME.items():
        module = getattr(layer, kind)
        if module is not None:
            facts |= {f'{kind}.{name}': getattr(module, name) for name in names}
    return facts


def _refuse(found: str) -> NoReturn:
    """Raise the error about what cannot be computed as one."""
    raise ValueError(
        f'joint_first_layers=True: {found}. It needs two trunks that begin with a convolution, '
        'BatchNorm2d or none, ReLU and a pool of the same sizes; make them so, or set '
        'joint_first_layers=False'
    )
