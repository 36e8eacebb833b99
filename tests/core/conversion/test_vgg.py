"""Torchvision's weights of VGG-19 -> the first ten layers of our trunk."""

import pytest
import torch

from cpm_plugin.core.conversion.vgg import trunk_from_torchvision
from cpm_plugin.core.models.network import build_trunks
from cpm_plugin.core.models.settings import TrunkSettings

# torchvision.models.vgg19: layers of ``features``, by their numbers; 'M' is a pool of 2.
VGG19 = [64, 64, 'M', 128, 128, 'M', 256, 256, 256, 256, 'M', 512, 512, 512, 512, 'M']
TAIL = (512, 512, 4)


@pytest.fixture(scope='module')
def features():
    """Torchvision's ``features`` up to the fourth pool, with random weights."""
    torch.manual_seed(0)
    layers, channels = [], 3
    for width in VGG19:
        if width == 'M':
            layers.append(torch.nn.MaxPool2d(2))
        else:
            layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
            channels = width
    return torch.nn.Sequential(*layers).eval()


@pytest.fixture(scope='module')
def weights(features):
    return {f'features.{key}': value for key, value in features.state_dict().items()}


def test_the_same_features_of_the_same_picture(features, weights):
    """Inside; at the border, zeros of both paddings mean other colors."""
    trunks = build_trunks(TrunkSettings(vgg_tail=TAIL), None).eval()
    state = trunk_from_torchvision(weights)
    assert len(state) == 20
    trunks.load_state_dict({**trunks.state_dict(), **state})
    bgr = torch.randint(0, 256, (1, 3, 96, 96), generator=torch.Generator().manual_seed(0)).float()
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        theirs = features[:23]((bgr.flip(1) / 255 - mean) / std)
        ours = trunks.layers[:-1]((bgr - 128) / 256)
    inside = (..., slice(5, -5), slice(5, -5))  # cells whose view ends in the picture
    assert theirs[inside].std() > 0
    torch.testing.assert_close(ours[inside], theirs[inside], rtol=1e-4, atol=1e-6)


def test_other_weights_are_refused(weights):
    short = {key: value for key, value in weights.items() if key != 'features.19.bias'}
    with pytest.raises(ValueError, match=r"no features\.19\.bias .* not torchvision's of VGG-19"):
        trunk_from_torchvision(short)
