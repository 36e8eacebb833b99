"""The encoders of the package: their layers and sizes."""

import torch
from torch import nn

from cpm_plugin.core.models.encoders import MobileEncoder, SameConv


def test_padding_is_one_sided_where_it_cannot_be_halved():
    layer = SameConv(1, 1, 3, 2, activation=False)
    nn.init.ones_(layer.conv.weight)
    nn.init.zeros_(layer.conv.bias)
    # windows of an even side begin at 0 and 2; of an odd one at -1, 1 and 3
    even = layer(torch.tensor([1.0, 2, 4, 8])[None, None, None].repeat(1, 1, 4, 1))
    assert even[0, 0].tolist() == [[3 * 7, 3 * 12], [2 * 7, 2 * 12]]
    odd = layer(torch.tensor([1.0, 2, 4, 8, 16])[None, None, None].repeat(1, 1, 1, 1))
    assert odd[0, 0].tolist() == [[3, 14, 24]]


def test_movenets_encoder_has_biases_in_place_of_normalization():
    encoder = MobileEncoder('movenet_thunder')
    assert sum(p.numel() for p in encoder.parameters()) == 5_392_584
    assert not list(encoder.buffers())
    shapes = [tuple(level.shape[1:]) for level in encoder(torch.zeros(1, 3, 64, 48))]
    assert shapes == [(56, 8, 6), (168, 4, 3), (560, 2, 2)]
