"""Conversion of ImageNet weights of VGG-19 to those of ``VggTrunk``.

The weights are torchvision's ``vgg19-dcbb9e9d.pth``, which ``torchvision.models.vgg19`` downloads.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# Layers of VGG-19 that the authors' networks have, and their numbers in torchvision's ``features``.
_LAYERS = {
    'conv1_1': 0, 'conv1_2': 2, 'conv2_1': 5, 'conv2_2': 7, 'conv3_1': 10, 'conv3_2': 12,
    'conv3_3': 14, 'conv3_4': 16, 'conv4_1': 19, 'conv4_2': 21,
}  # fmt: skip
# Normalization of torchvision's weights: of RGB, in values of 0 to 1.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def trunk_from_torchvision(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert torchvision's weights of VGG-19 to the first ten layers of ``VggTrunk``.

    Torchvision's network takes RGB images with values (v / 255 - mean) / std. Ours takes BGR images
    with values (v - 128) / 256. The weights of the first convolution are changed accordingly. This
    is exact except at the border, which is padded with the value 128 instead of the mean.

    Args:
        state_dict: Torchvision's state dict.

    Returns:
        Weights of ``layers.conv1_1`` to ``layers.conv4_2``. Those of the layers after them, which
            the authors added, are not in VGG-19.

    Raises:
        ValueError: If a layer is missing; the message names it.

    Examples:
        >>> from cpm_plugin.core.conversion.vgg import trunk_from_torchvision
        >>> trunk_from_torchvision({'features.0.weight': None})
        Traceback (most recent call last):
        ValueError: no features.0.bias in these weights: not torchvision's of VGG-19
    """
    found = {}
    for name, number in _LAYERS.items():
        for leaf in ('weight', 'bias'):
            key = f'features.{number}.{leaf}'
            if key not in state_dict:
                raise ValueError(f"no {key} in these weights: not torchvision's of VGG-19")
            found[f'layers.{name}.conv.{leaf}'] = state_dict[key]
    first = 'layers.conv1_1.conv.'
    weight = found[first + 'weight']
    mean, std = weight.new_tensor(_MEAN), weight.new_tensor(_STD)
    # With u = (v - 128) / 256: (v / 255 - mean) / std = (256 u + 128 - 255 mean) / (255 std)
    shift = (128 - 255 * mean) / (255 * std)
    found[first + 'bias'] = found[first + 'bias'] + (weight.sum(dim=(2, 3)) * shift).sum(dim=1)
    found[first + 'weight'] = (weight * (256 / (255 * std))[:, None, None]).flip(1)
    return found
