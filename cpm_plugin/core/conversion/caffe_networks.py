"""The authors' five Caffe networks: names of their layers, and conversion of their weights.

Names are those of the deploy files in the authors' release
(github.com/shihenw/convolutional-pose-machines-release, ``model/``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.network import ConvolutionalPoseMachine
from ..models.registry import create_model
from ..weights.checkpoints import describe_mismatch
from .caffe import blob_name, read_caffemodel

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
        authors' network. The deploy file beside the weights is refused:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from cpm_plugin.core.conversion import load_caffemodel
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / 'pose_deploy.prototxt'
        ...     _ = path.write_text('input: "data"')
        ...     load_caffemodel(path, 'cpm_flic')
        Traceback (most recent call last):
            ...
        ValueError: ...pose_deploy.prototxt is text, not weights; give the .caffemodel
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
