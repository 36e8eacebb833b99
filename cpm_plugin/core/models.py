"""Named models: ``create_model(name, pretrained=True)`` and ``list_models()``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from .checkpoints import load_checkpoint
from .network import ConvolutionalPoseMachine
from .zoo import read_index, weights_file

# What the authors' deploy files of their two VGG networks have in common.
_VGG: Mapping[str, Any] = {
    'reduced_channels': None,
    'first_stage_kernel_size': None,
    'refine_kernel_size': 7,
    'refine_depth': 5,
    'beliefs_first': True,
}

# Ours, where the paper has 5, 9 and 11. With trunks of 5, where it has 9, stage 1 sees 75 pixels,
# 59 % of 128 and 29 % of 256; in the paper it sees 160 of 368, 43 %.
_SMALL_KERNELS: Mapping[str, Any] = {
    'reduce_kernel_size': 3,
    'first_stage_kernel_size': 3,
    'refine_kernel_size': 7,
}

# Arguments of ConvolutionalPoseMachine, on top of its defaults (the paper's network).
MODELS: Mapping[str, Mapping[str, Any]] = {
    # The authors' five networks, for their weights (tools/convert_caffe.py). Images are
    # BGR, (v - 128) / 256.
    'cpm_mpii': {'joints': 'cpm'},
    'cpm_lsp': {'joints': 'cpm'},
    'cpm_flic': {'joints': 'flic', 'num_keypoints': 9, 'num_stages': 4},
    'cpm_mpii_vgg': {**_VGG, 'joints': 'cpm', 'vgg_tail': (512, 512, 256, 256, 256, 256, 128)},
    'cpm_person': {
        **_VGG,
        'joints': 'person',
        'num_keypoints': 1,
        'num_stages': 4,
        'background': False,
        'center_map_sigma': None,
        'vgg_tail': (512, 512, 512, 512, 512, 128),
    },
    # Figure 2 of the paper, as trained on LSP: 14 joints and background, center map.
    'cpm_6s': {'joints': 'lsp'},
    # The same with batch normalisation, as in our 6-stage configs.
    'cpm_6s_bn': {'joints': 'lsp', 'norm_layer': nn.BatchNorm2d},
    # The same with smaller kernels, for pictures of about 256 pixels: a third of the
    # operations, level after 6 epochs of one run (docs/results.md).
    'cpm_k7_6s': {
        **_SMALL_KERNELS,
        'trunk_kernel_size': 5,
        'joints': 'lsp',
        'center_map_sigma': 15.0,  # 21 of 368 pixels, at 256
        'norm_layer': nn.BatchNorm2d,
    },
    # For small machines and pictures of about 128 pixels.
    'cpm_slim_3s': {
        **_SMALL_KERNELS,
        'trunk_kernel_size': 5,
        'joints': 'lsp',
        'num_stages': 3,
        'center_map_sigma': 7.0,  # 21 of 368 pixels, at 128
        'channels': 32,
        'first_stage_channels': 128,
        'norm_layer': nn.BatchNorm2d,
    },
    # The same stages, wider, on EfficientNet-Lite0, for pictures of about 256 pixels.
    'cpm_lite0_3s': {
        **_SMALL_KERNELS,
        'joints': 'lsp',
        'encoder': 'efficientnet_lite0',
        'num_stages': 3,
        'center_map_sigma': 15.0,  # 21 of 368 pixels, at 256
        'channels': 48,
        'first_stage_channels': 128,
        'norm_layer': nn.BatchNorm2d,
    },
}


def list_models(*, pretrained: bool | str | Path | None = False) -> list[str]:
    """Names that :func:`create_model` takes.

    Args:
        pretrained: True: those whose trained weights are in the package; a folder: in that
            zoo (:mod:`cpm_plugin.core.zoo`).
    """
    if not pretrained:
        return sorted(MODELS)
    return sorted(name for name in read_index(_zoo(pretrained)) if name in MODELS)


def _zoo(pretrained: bool | str | Path) -> str | Path | None:
    return None if pretrained is True else str(pretrained)


def create_model(
    name: str,
    *,
    pretrained: bool | str | Path | None = False,
    checkpoint: str | Path | None = None,
    **overrides: Any,
) -> ConvolutionalPoseMachine:
    """Build a named model.

    Args:
        name: one of :func:`list_models`.
        pretrained: True: with the package's trained weights, see
            ``list_models(pretrained=True)``; a folder: with those of that zoo
            (:mod:`cpm_plugin.core.zoo`). Mind their licence.
        checkpoint: a file with its weights, ours or of an MMPose run with the same sizes
            (:func:`cpm_plugin.core.checkpoints.load_checkpoint`).
        overrides: arguments of
            :class:`~cpm_plugin.core.network.ConvolutionalPoseMachine`, e.g.
            ``num_keypoints=17, num_stages=3``. With other num_keypoints the model's
            ``joints`` are None unless given.

    Raises:
        ValueError: for an unknown name or argument, weights that cannot be had or a checkpoint
            that does not fit.
    """
    if name not in MODELS:
        if pretrained and name in read_index(_zoo(pretrained)):
            raise ValueError(
                f'{name!r} has weights in this zoo, but is the name of no network here; use its '
                'config, by cpm_plugin.mmpose.zoo.pose2d, or publish it by one of these names: '
                f'{", ".join(list_models())}'
            )
        raise ValueError(f'no model {name!r}; there are: {", ".join(list_models())}')
    accepted = inspect.signature(ConvolutionalPoseMachine).parameters
    unknown = sorted(set(overrides) - set(accepted))
    if unknown:
        raise ValueError(f'unknown argument {", ".join(unknown)}; there are: {", ".join(accepted)}')
    arguments = {**MODELS[name], **overrides}
    default = accepted['num_keypoints'].default
    own = MODELS[name].get('num_keypoints', default)
    if 'joints' not in overrides and arguments.get('num_keypoints', default) != own:
        arguments['joints'] = None
    if pretrained:
        if checkpoint is not None:
            raise ValueError(
                f'pretrained={pretrained!r} and checkpoint={str(checkpoint)!r}: give one of them'
            )
        checkpoint = weights_file(name, _zoo(pretrained))
    model = ConvolutionalPoseMachine(**arguments)
    if checkpoint is not None:
        load_checkpoint(model, checkpoint)
    return model
