"""Named models for one person: the authors' networks, and ours.

The authors' five networks are those of the deploy files in their release
(github.com/shihenw/convolutional-pose-machines-release). ``tools/convert_caffe.py`` converts their
weights, which are for non-commercial research. Our models are trained on LSP Extended, for academic
use. The index of the zoo has the license of each file of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from .network import PAPER, ConvolutionalPoseMachine, build_network

PERSON_MODELS: dict[str, Callable[..., ConvolutionalPoseMachine]] = {}

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

# Settings that are common to our models on an encoder.
_ON_ENCODER: Mapping[str, Any] = {
    **_SMALL_KERNELS,
    'joints': 'lsp',
    'input_size': 256,
    'num_stages': 3,
    'center_map_sigma': 15.0,  # 21 of 368 pixels, at 256
    'first_stage_channels': 128,
    'norm_layer': nn.BatchNorm2d,
}


def _register(
    model: Callable[..., ConvolutionalPoseMachine],
) -> Callable[..., ConvolutionalPoseMachine]:
    """Add the function of a model to ``PERSON_MODELS`` under its name."""
    PERSON_MODELS[model.__name__] = model
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
    """Build 3 stages of 48 channels on timm's EfficientNet-Lite0, for images of about 256 pixels.

    Source: ours. The encoder is timm's ``tf_efficientnet_lite0``; it needs
        ``pip install 'cpm_plugin[timm]'``.

    Weights: in the package, trained on LSP Extended, for academic use. Those of the encoder
        began as ImageNet weights (Apache 2.0).
    """
    return _build(changes, **_ON_ENCODER, encoder='timm/tf_efficientnet_lite0', channels=48)


@_register
def cpm_movenet_3s(**changes: Any) -> ConvolutionalPoseMachine:
    """Build 3 stages of 64 channels on MoveNet Thunder's encoder, for images of about 256 pixels.

    Source: ours. The encoder is that of MoveNet, which ``tools/convert_encoder.py`` converts.

    Weights: in the package, trained on LSP Extended, for academic use. Those of the encoder
        began as MoveNet's (Apache 2.0).
    """
    return _build(changes, **_ON_ENCODER, encoder='movenet_thunder', channels=64)


@_register
def cpm_movenet_coco_3s(**changes: Any) -> ConvolutionalPoseMachine:
    """Build ``cpm_movenet_3s`` for COCO's 17 keypoints.

    Source: ours.

    Weights: in the package, from those of ``cpm_movenet_3s``, trained on LSP Extended, for academic
        use, and on images of COCO.
    """
    own = {**_ON_ENCODER, 'joints': 'coco', 'num_keypoints': 17}
    return _build(changes, **own, encoder='movenet_thunder', channels=64)


@_register
def cpm_lightning_3s(**changes: Any) -> ConvolutionalPoseMachine:
    """Build 3 stages of 56 channels on MoveNet Lightning's encoder, for images of about 192 pixels.

    Source: ours. The encoder is that of MoveNet, which ``tools/convert_encoder.py`` converts.

    Weights: in the package, trained on LSP Extended, for academic use. Those of the encoder
        began as MoveNet's (Apache 2.0).
    """
    own = {
        **_ON_ENCODER,
        'input_size': 192,
        'center_map_sigma': 11.25,  # 21 of 368 pixels, at 192
        'refine_kernel_size': 5,
    }
    return _build(changes, **own, encoder='movenet_lightning', channels=56)
