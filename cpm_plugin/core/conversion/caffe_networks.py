"""The authors' five Caffe networks: names of their layers, and conversion of their weights.

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
from .caffe import Layers, blob_name, read_caffemodel

CAFFE_MODELS = ('cpm_mpii', 'cpm_lsp', 'cpm_flic', 'cpm_mpii_vgg', 'cpm_person')

# For the trunk and stage 1 of the VGG networks: number of layers conv1_*, conv2_*, ..., and number
# of layers, from the first on, that are VGG-19's. The names of the others end in _CPM.
_VGG_LAYERS = {'cpm_mpii_vgg': ((2, 2, 4, 7, 2), 10), 'cpm_person': ((2, 2, 4, 4, 2, 2), 13)}

_BLOBS = ('weight', 'bias')


def layer_names(name: str) -> dict[str, str]:
    """Return Caffe's names of the convolutions of a network, mapped to our modules.

    Caffe numbers the convolutions of each stage: ``conv1_stage2``, ... before the concatenation,
    and ``Mconv1_stage2``, ... after it. The first trunk counts as part of stage 1, and the shared
    trunk as part of stage 2. In the VGG networks, trunk and stage 1 are ``conv1_1``, ...

    Args:
        name: One of ``CAFFE_MODELS``.

    Returns:
        Caffe's names, mapped to ours, in the order of the authors' deploy file.

    Raises:
        ValueError: If the name is not in ``CAFFE_MODELS``.

    Examples:
        >>> from cpm_plugin.core.conversion.caffe_networks import layer_names
        >>> layer_names('cpm_flic')['Mconv1_stage2']
        'stages.later.0.refine.0.conv'
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
    """Return Caffe's names of the trunk and stage 1 of a VGG network."""
    names = [f'conv{i}_{j}' for i, n in enumerate(counts, start=1) for j in range(1, n + 1)]
    return [*names[:of_vgg], *(f'{name}_CPM' for name in names[of_vgg:])]


def load_caffemodel(path: str | Path, name: str) -> dict[str, Tensor]:
    """Read the state dict of a model from one of the authors' files.

    Args:
        path: The ``.caffemodel``.
        name: Model that the weights are of, one of ``CAFFE_MODELS``.

    Returns:
        State dict of ``create_model(name)``.

    Raises:
        ValueError: If the file cannot be read or is of another network; the message names the file.

    Examples:
        ``create_model('cpm_flic').load_state_dict(load_caffemodel(path, 'cpm_flic'))`` gives the
        authors' network. A file with other layers is refused:

        >>> import tempfile
        >>> import numpy as np
        >>> from cpm_plugin.core.conversion import load_caffemodel, write_caffemodel
        >>> with tempfile.NamedTemporaryFile(suffix='.caffemodel') as file:
        ...     write_caffemodel(file.name, {'conv1': [np.ones((8, 3, 9, 9)), np.zeros(8)]})
        ...     load_caffemodel(file.name, 'cpm_flic')
        Traceback (most recent call last):
            ...
        ValueError: ... not the weights of cpm_flic; missing: conv1_stage1 weight, ...
    """
    layers = read_caffemodel(path)
    try:
        return from_caffe(layers, name)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def from_caffe(layers: Mapping[str, Sequence[NDArray[np.float32]]], name: str) -> dict[str, Tensor]:
    """Convert Caffe's names of layers and blobs to the state dict of a model.

    The tensors share the memory of the blobs. Caffe and PyTorch both keep weights as
    (out, in, h, w).

    Args:
        layers: Names of layers, mapped to their blobs.
        name: Model that the weights are of, one of ``CAFFE_MODELS``.

    Returns:
        State dict of ``create_model(name)``.

    Raises:
        ValueError: If the name is unknown, layers are missing, left over or of another shape, or
            values are not finite. The message has Caffe's names of the layers.
    """
    names = layer_names(name)
    given = {
        f'{layer} {blob_name(i)}': torch.from_numpy(blob)
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
    """Make the network on the meta device: names and shapes without weights."""
    if name not in CAFFE_MODELS:
        raise ValueError(f'no network {name!r} of the authors; there are: {CAFFE_MODELS}')
    with torch.device('meta'):
        return create_model(name)


def random_layers(name: str, seed: int) -> Layers:
    """Make random weights of a network, the same for the same seed.

    Weights are uniform with the variance of He's rule. The outputs of all stages are then of the
    order of 1, and it makes sense to compare them. Biases are uniform in [-0.1, 0.1].

    Args:
        name: One of ``CAFFE_MODELS``.
        seed: Seed of the random numbers.

    Returns:
        Caffe's names of layers, mapped to their blobs.

    Raises:
        ValueError: If the name is not in ``CAFFE_MODELS``.
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
    """Draw float32 numbers in [-bound, bound]."""
    return np.float32(bound) * (2 * rng.random(shape, dtype=np.float32) - 1)


def random_inputs(
    height: int, width: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make random inputs to compare networks on.

    The values of the image are value / 256 - 0.5, as the authors' are. The center map differs from
    cell to cell. Otherwise the average of its pool would be nearly the same everywhere.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        seed: Seed of the random numbers.

    Returns:
        Image (1, 3, H, W), with values in [-0.5, 0.5), and center map (1, 1, H, W), with values
            from 0 to 4.
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (1, 3, height, width)) / np.float32(256) - np.float32(0.5)
    cells = rng.random((-(-height // 8), -(-width // 8)), dtype=np.float32)
    center = 4 * cells.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    center = center * rng.random((height, width), dtype=np.float32)
    return image.astype(np.float32), center[None, None]
