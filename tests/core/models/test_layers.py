"""The layers that trunks and stages are made of, and their initial weights."""

import math

import pytest
import torch
from torch import nn

from cpm_plugin.core import build_network
from cpm_plugin.core.models.layers import ConvBlock


def test_a_block_keeps_the_size_and_a_norm_takes_the_place_of_the_bias():
    plain, normed = ConvBlock(2, 3, 5, None), ConvBlock(2, 3, 5, nn.BatchNorm2d)
    assert [name for name, _ in plain.named_children()] == ['conv', 'relu']
    assert [name for name, _ in normed.named_children()] == ['conv', 'norm', 'relu']
    assert plain.conv.bias is not None and normed.conv.bias is None
    for block in (plain, normed):
        output = block(torch.randn(2, 2, 6, 7))
        assert output.shape == (2, 3, 6, 7) and output.min() == 0 < output.max()


def test_even_kernel_is_refused():
    with pytest.raises(ValueError, match='kernel size 4 must be odd'):
        ConvBlock(1, 1, 4, None)


def test_first_beliefs_are_small_and_hidden_layers_keep_the_scale():
    """He's rule for hidden layers; outputs N(0, 0.001); no biases."""
    torch.manual_seed(0)
    model = build_network(num_stages=2, channels=32, first_stage_channels=64)
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith('bias'):
            assert not value.any(), name
        else:
            std = 0.001 if 'beliefs' in name else math.sqrt(2 / value[0].numel())
            assert value.std().item() == pytest.approx(std, rel=0.1), name
            assert abs(value.mean().item()) < std / 5, name
