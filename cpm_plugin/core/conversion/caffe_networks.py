"""The authors' five networks in Caffe: the names of their layers, their weights as ours.

Names are those of the deploy files in the authors' release
(github.com/shihenw/convolutional-pose-machines-release, ``model/``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.network import ConvolutionalPoseMachine
from ..models.registry import create_model
from ..weights.checkpoints import describe_mismatch
from .caffe import Layers, read_caffemodel

CAFFE_MODELS = ('cpm_mpii', 'cpm_lsp', 'cpm_flic', 'cpm_mpii_vgg', 'cpm_person')

# Of trunk and stage 1 of the VGG networks: how many layers conv1_*, conv2_*, ... there are,
# and how many from the first on are VGG-19's; the names of the others end in _CPM.
_VGG_LAYERS = {'cpm_mpii_vgg': ((2, 2, 4, 7, 2), 10), 'cpm_person': ((2, 2, 4, 4, 2, 2), 13)}

_BLOBS = ('weight', 'bias')


def layer_names(name: str) -> dict[str, str]:
    """Caffe's convolutions -> our modules, in the order of the authors' deploy file.

    Caffe numbers the convolutions of each stage: ``conv1_stage2``, ... before the
    concatenation, ``Mconv1_stage2``, ... after it. The first trunk counts as stage 1's, the
    shared one as stage 2's. Trunk and stage 1 of the VGG networks are ``conv1_1``, ...

    Raises:
        ValueError: for a name that is not in ``CAFFE_MODELS``.
    """
    model = _without_memory(name)
    modules = [key.removesuffix('.weight') for key in model.state_dict() if 'weight' in key]

    def within(*parents: str) -> list[str]:
        return [module for p in parents for module in modules if module.startswith(f'{p}.')]

    def numbered(kind: str, stage: int, found: list[str]) -> dict[str, str]:
        return {f'{kind}{n}_stage{stage}': module for n, module in enumerate(found, start=1)}

    if name in _VGG_LAYERS:
        names = dict(zip(_vgg_names(*_VGG_LAYERS[name]), within('trunks', 'stages.first')))
    else:
        names = numbered('conv', 1, within('trunks.stage1_trunk', 'stages.first'))
    for stage in range(2, model.stages.num_stages + 1):
        later = f'stages.later.{stage - 2}'
        trunk = ['trunks.shared_trunk'] if stage == 2 else []
        names |= numbered('conv', stage, within(*trunk, f'{later}.reduce'))
        names |= numbered('Mconv', stage, [*within(f'{later}.refine'), f'{later}.beliefs'])
    return names


def _vgg_names(counts: Sequence[int], of_vgg: int) -> list[str]:
    names = [f'conv{i}_{j}' for i, n in enumerate(counts, start=1) for j in range(1, n + 1)]
    return [*names[:of_vgg], *(f'{name}_CPM' for name in names[of_vgg:])]


def load_caffemodel(path: str | Path, name: str) -> dict[str, Tensor]:
    """State dict of ``create_model(name)`` from one of the authors' files.

    Raises:
        ValueError: naming the file, if it cannot be read or is not of this network.
    """
    layers = read_caffemodel(path)
    try:
        return from_caffe(layers, name)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def from_caffe(layers: Mapping[str, Sequence[NDArray[np.float32]]], name: str) -> dict[str, Tensor]:
    """Caffe's layer names and blobs -> state dict of ``create_model(name)``.

    The tensors share the blobs' memory. Both keep weights as (out, in, h, w).

    Raises:
        ValueError: for an unknown name, and, naming layers as Caffe does, for layers that are
            missing, left over or of another shape, and for values that are not finite.
    """
    names = layer_names(name)
    given = {
        f'{layer} {_BLOBS[i] if i < len(_BLOBS) else f"blob {i}"}': torch.from_numpy(blob)
        for layer, blobs in layers.items()
        for i, blob in enumerate(blobs)
    }
    shapes = _without_memory(name).state_dict()
    ours = {f'{layer} {b}': f'{module}.{b}' for layer, module in names.items() for b in _BLOBS}
    problem = describe_mismatch({key: shapes[value] for key, value in ours.items()}, given)
    if problem:
        raise ValueError(
            f'these are not the weights of {name}; {problem}. Name the model they are of: '
            f'{", ".join(CAFFE_MODELS)}'
        )
    for key, value in given.items():
        if not value.isfinite().all():
            raise ValueError(f'{key} has values that are not finite (NaN or infinite)')
    return {module: given[key] for key, module in ours.items()}


def _without_memory(name: str) -> ConvolutionalPoseMachine:
    """The network on the meta device: names and shapes, no weights."""
    if name not in CAFFE_MODELS:
        raise ValueError(f'no network {name!r} of the authors; there are: {CAFFE_MODELS}')
    with torch.device('meta'):
        return create_model(name)


def random_layers(name: str, seed: int) -> Layers:
    """Random weights of a network, the same for the same seed: Caffe's names -> blobs.

    Uniform, with the variance of He's rule, so that outputs of all stages are of the order
    of 1 and comparisons of them mean something; biases up to 0.1 on either side.
    """
    rng = np.random.default_rng(seed)
    shapes = _without_memory(name).state_dict()
    layers: Layers = {}
    for layer, module in layer_names(name).items():
        shape = tuple(shapes[f'{module}.weight'].shape)
        bound = math.sqrt(6 / math.prod(shape[1:]))
        layers[layer] = [_uniform(rng, shape, bound), _uniform(rng, shape[:1], 0.1)]
    return layers


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> Any:
    return np.float32(bound) * (2 * rng.random(shape, dtype=np.float32) - 1)


def random_inputs(
    height: int, width: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Noise to compare networks on: image (1, 3, H, W) and center map (1, 1, H, W).

    The image is value / 256 - 0.5, as the authors'. The center map differs from cell to
    cell, 0 to 4, or the average of its pool would be nearly the same everywhere.
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (1, 3, height, width)) / np.float32(256) - np.float32(0.5)
    cells = rng.random((-(-height // 8), -(-width // 8)), dtype=np.float32)
    center = 4 * cells.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    center = center * rng.random((height, width), dtype=np.float32)
    return image.astype(np.float32), center[None, None]
