"""The authors' Caffe networks: names of their layers, and conversion of their weights.

Names are those of the deploy files in the releases of Convolutional Pose Machines
(github.com/shihenw/convolutional-pose-machines-release, ``model/``) and of OpenPose
(github.com/CMU-Perceptual-Computing-Lab/openpose, ``models/pose/``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.affinity_network import AffinityPoseMachine
from ..models.network import ConvolutionalPoseMachine
from ..models.registry import create_model
from ..weights.checkpoints import describe_mismatch
from .caffe import blob_name, read_caffemodel

CAFFE_MODELS = (
    'cpm_mpii', 'cpm_lsp', 'cpm_flic', 'cpm_mpii_vgg', 'cpm_person', 'openpose_coco',
    'openpose_body25',
)  # fmt: skip

# For the trunk and stage 1 of the VGG networks: number of layers conv1_*, conv2_*, ..., and number
# of layers, from the first on, that are VGG-19's. The names of the others end in _CPM.
_VGG_LAYERS = {'cpm_mpii_vgg': ((2, 2, 4, 7, 2), 10), 'cpm_person': ((2, 2, 4, 4, 2, 2), 13)}

# The same for the trunk of OpenPose's networks.
_OPENPOSE_TRUNK = ((2, 2, 4, 4), 10)


def layer_names(name: str) -> dict[str, str]:
    """Return Caffe's names of the convolutions of a network, mapped to our modules.

    Caffe numbers the convolutions of each stage: ``conv1_stage2``, ... before the concatenation,
    and ``Mconv1_stage2``, ... after it. The first trunk counts as part of stage 1, and the shared
    trunk as part of stage 2. In the VGG networks, trunk and stage 1 are ``conv1_1``, ... In
    OpenPose's networks, the names of the layers of each branch end in ``_L1`` or ``_L2``.

    Args:
        name: One of ``CAFFE_MODELS``.

    Returns:
        Caffe's names of the layers with weights, mapped to ours, in the order of the authors'
            deploy file, but for OpenPose's branches and PReLU.

    Raises:
        ValueError: If the name is not in ``CAFFE_MODELS``.

    Examples:
        >>> from cpm_plugin.core.conversion.caffe_networks import layer_names
        >>> layer_names('cpm_flic')['Mconv1_stage2']
        'stages.later.0.refine.0.conv'
    """
    model = _without_memory(name)
    if isinstance(model, AffinityPoseMachine):
        return _openpose_names(model)
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


def output_layers(name: str) -> dict[str, tuple[int, str]]:
    """Return the layers of a network that compute maps.

    Args:
        name: One of ``CAFFE_MODELS``.

    Returns:
        Caffe's names, mapped to the stage, counted from 0, and to ``'beliefs'`` or ``'fields'``;
            stage 1 first.

    Raises:
        ValueError: If the name is not in ``CAFFE_MODELS``.

    Examples:
        >>> from cpm_plugin.core.conversion.caffe_networks import output_layers
        >>> list(output_layers('openpose_body25').items())[-2:]
        [('Mconv7_stage0_L1', (4, 'beliefs')), ('Mconv7_stage1_L1', (5, 'beliefs'))]
    """
    model = _without_memory(name)
    names = layer_names(name)
    if not isinstance(model, AffinityPoseMachine):
        found = [layer for layer, module in names.items() if module.endswith('.beliefs')]
        return {layer: (stage, 'beliefs') for stage, layer in enumerate(found)}
    outputs = {}
    for layer, module in names.items():
        if module.endswith('.output'):
            _, kind, number, _ = module.split('.')
            behind = model.stages.settings.field_stages or 0
            outputs[layer] = (int(number) + (behind if kind == 'beliefs' else 0), kind)
    return dict(sorted(outputs.items(), key=lambda item: item[1][0]))


def _openpose_names(model: AffinityPoseMachine) -> dict[str, str]:
    """Return Caffe's names of the layers with weights of an OpenPose network.

    In the network of 2017, branch L1 is that of the fields, and L2 that of the belief maps. In
    BODY_25 it is the other way round. There the stages of each branch count from 0, and each
    convolution of a block has a second number.
    """
    dense = model.stages.settings.dense
    modules = list(dict.fromkeys(key.rpartition('.')[0] for key in model.state_dict()))
    convs = [module for module in modules if not module.endswith('.prelu')]
    names = dict(zip(_vgg_names(*_OPENPOSE_TRUNK), convs))  # those of the trunk come first
    for kind, branch in (('fields', 'L2' if dense else 'L1'), ('beliefs', 'L1' if dense else 'L2')):
        for stage in range(len(getattr(model.stages, kind))):
            found = [module for module in convs if module.startswith(f'stages.{kind}.{stage}.')]
            of_blocks = len(found) - 2  # two 1x1 convolutions come after them
            for count, module in enumerate(found):
                if not dense and stage == 0:
                    layer = f'conv5_{count + 1}_CPM_{branch}'
                elif not dense:
                    layer = f'Mconv{count + 1}_stage{stage + 1}_{branch}'
                elif count < of_blocks:
                    layer = f'Mconv{count // 3 + 1}_stage{stage}_{branch}_{count % 3}'
                else:
                    layer = f'Mconv{of_blocks // 3 + 1 + count - of_blocks}_stage{stage}_{branch}'
                names[layer] = module
    for layer, module in list(names.items()):
        prelu = module.removesuffix('.conv') + '.prelu'
        if prelu in modules:
            names[layer.replace('conv', 'prelu')] = prelu
    return names


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
    ours = {
        f'{layer} {kind}': f'{module}.{kind}'
        for layer, module in names.items()
        for kind in ('weight', 'bias')
        if f'{module}.{kind}' in shapes  # PReLU has no bias
    }
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


def _without_memory(name: str) -> ConvolutionalPoseMachine | AffinityPoseMachine:
    """Make the network on the meta device: names and shapes without weights."""
    if name not in CAFFE_MODELS:
        raise ValueError(f'no network {name!r} of the authors; there are: {CAFFE_MODELS}')
    with torch.device('meta'):
        return create_model(name)
