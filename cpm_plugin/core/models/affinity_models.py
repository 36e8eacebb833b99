"""Named models with part affinity fields: the networks of OpenPose, and ours.

OpenPose's are those of the deploy files in its repository
(github.com/CMU-Perceptual-Computing-Lab/openpose). ``tools/convert_caffe.py`` converts the weights,
which are for non-commercial research.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from .affinity_network import AffinityPoseMachine, build_affinity_network

# Settings that are common to our models on an encoder.
_ON_ENCODER: Mapping[str, Any] = {
    'joints': 'lsp',
    'num_keypoints': 14,
    'num_limbs': 13,
    'input_size': 256,
    'num_stages': 3,
    'first_stage_channels': 48,
    'first_stage_hidden_channels': 128,
    'refine_kernel_size': 5,
    'refine_depth': 3,
    'norm_layer': nn.BatchNorm2d,
}


def _build(changes: Mapping[str, Any], **own: Any) -> AffinityPoseMachine:
    """Build a named model with the caller's changes of its settings.

    If a number of channels is changed, their meaning is unknown unless ``joints`` are given.
    """
    counts = {name: own.pop(name) for name in ('num_keypoints', 'num_limbs')}
    settings = {'input_size': 368, **own, **changes}
    if 'joints' not in changes:
        settings = {**counts, **settings}
        if any(settings[name] != count for name, count in counts.items()):
            settings['joints'] = None
    return build_affinity_network(**settings)


def openpose_coco(**changes: Any) -> AffinityPoseMachine:
    """Build OpenPose's COCO network for several people: 18 keypoints, 19 limbs, 6 stages.

    Source: ``models/pose/coco/pose_deploy_linevec.prototxt`` of OpenPose (CVPR 2017).

    Weights: ``tools/convert_caffe.py`` converts the authors', for non-commercial research.
    """
    return _build(changes, joints='openpose_coco', num_keypoints=18, num_limbs=19)


def openpose_body25(**changes: Any) -> AffinityPoseMachine:
    """Build OpenPose's BODY_25 network for several people: 25 keypoints, 26 limbs, fields first.

    Source: ``models/pose/body_25/pose_deploy.prototxt`` of OpenPose (2019).

    Weights: ``tools/convert_caffe.py`` converts the authors', for non-commercial research.
    """
    return _build(
        changes,
        joints='openpose_body25',
        num_keypoints=25,
        num_limbs=26,
        num_stages=6,
        field_stages=4,
        first_stage_channels=96,
        first_stage_hidden_channels=256,
        hidden_channels=512,
        refine_kernel_size=3,
        first_stage_depth=5,
        dense=True,
        prelu=True,
        features_first=True,
        vgg_prelu=3,
    )


def paf_lite0_3s(**changes: Any) -> AffinityPoseMachine:
    """Build 3 stages of 48 channels with fields on timm's EfficientNet-Lite0, for several people.

    Source: ours. The encoder is that of ``cpm_lite0_3s``.
    """
    return _build(
        changes,
        **_ON_ENCODER,
        encoder='timm/tf_efficientnet_lite0',
        channels=48,
        hidden_channels=48,
    )


def paf_movenet_3s(**changes: Any) -> AffinityPoseMachine:
    """Build 3 stages of 64 channels with fields on MoveNet Thunder's encoder, for several people.

    Source: ours. The encoder is that of ``cpm_movenet_3s``.

    Weights: in the package, trained on LSP Extended and images of COCO, for academic use. Those of
        the encoder began as MoveNet's (Apache 2.0).
    """
    return _build(
        changes, **_ON_ENCODER, encoder='movenet_thunder', channels=64, hidden_channels=64
    )


AFFINITY_MODELS = {
    'openpose_body25': openpose_body25,
    'openpose_coco': openpose_coco,
    'paf_lite0_3s': paf_lite0_3s,
    'paf_movenet_3s': paf_movenet_3s,
}
