"""MoveNet's TensorFlow.js graph as our encoder, on a graph with random weights."""

from copy import deepcopy

import pytest
import torch
from cpm_testing.movenet import graph_of
from torch import nn
from torch.nn import functional

from cpm_plugin.core.conversion.movenet import encoder_from_movenet
from cpm_plugin.core.models.encoders import InvertedResidual, MobileEncoder, SameConv


@pytest.fixture(scope='module', params=['movenet_lightning', 'movenet_thunder'])
def name(request):
    return request.param


@pytest.fixture(scope='module')
def encoder(name):
    torch.manual_seed(0)
    encoder = MobileEncoder(name).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.copy_(torch.randn_like(parameter).mul(0.1).half().float())
    return encoder


def test_every_weight_comes_to_its_layer(encoder, name):
    found, state = encoder_from_movenet(*graph_of(encoder))
    own = encoder.state_dict()
    assert found == name
    assert state.keys() == own.keys()
    assert all(torch.equal(state[key], own[key]) for key in own if not key.startswith('stem'))


def test_layers_that_our_encoder_lacks_are_left_out(encoder, name):
    encoder = deepcopy(encoder)
    own = set(encoder.state_dict())
    channels = encoder.blocks[-1].project.conv.out_channels
    encoder.blocks.append(InvertedResidual(channels, 24, 6, 3, 1))
    _, state = encoder_from_movenet(*graph_of(encoder))
    assert set(state) == own


def test_the_features_for_our_input_are_those_of_movenets(encoder, name):
    other = MobileEncoder(name).eval()
    other.load_state_dict(encoder_from_movenet(*graph_of(encoder))[1])
    values = torch.randint(0, 256, (1, 3, 32, 32)).float()  # RGB
    stem = encoder.stem.conv
    theirs = functional.conv2d(values / 127.5 - 1, stem.weight, stem.bias, stride=2).clamp(0, 6)
    ours = other.stem((values.flip(1) - 128) / 256)[:, :, :15, :15]  # less what is padded
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert float(((theirs > 0) & (theirs < 6)).float().mean()) > 0.3  # not all clamped


def test_other_graphs_and_weights_are_refused(encoder):
    graph, values = graph_of(encoder)
    with pytest.raises(ValueError, match=r'has \d+ bytes, the graph \d+: it is cut short'):
        encoder_from_movenet(graph, values[:-2])
    with pytest.raises(ValueError, match=r'no TensorFlow\.js graph \(KeyError'):
        encoder_from_movenet({'nodes': []}, values)
    graph['modelTopology']['node'] = graph['modelTopology']['node'][1:]  # without the first layer
    with pytest.raises(ValueError, match='not MoveNet'):
        encoder_from_movenet(graph, values)


def test_other_widths_are_refused():
    other = nn.Module()
    other.stem = SameConv(3, 24, 3, 2)
    with pytest.raises(ValueError, match='has 32 or 56 channels: 24'):
        encoder_from_movenet(*graph_of(other))
