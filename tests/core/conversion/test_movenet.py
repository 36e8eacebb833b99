"""MoveNet's TensorFlow.js graph as our encoder, on a graph with random weights."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cpm_plugin.core.conversion.movenet import encoder_from_movenet
from cpm_plugin.core.models.encoders import InvertedResidual, MobileEncoder, SameConv

PREFIX = 'Stateful/center_net_mobile_net_v2fpn_feature_extractor/model_1/model/'


def graph_of(encoder):
    """MoveNet's graph with the weights of an encoder, as its JSON file and its file of weights."""
    nodes, entries, values = [], [], b''

    def add(name, array):
        nonlocal values
        entries.append(
            dict(name=name, shape=list(array.shape), dtype='float32',
                 quantization=dict(dtype='float16', original_dtype='float32'))
        )  # fmt: skip
        values += array.astype(np.float16).tobytes()

    for name, layer in encoder.named_modules():
        if not isinstance(layer, torch.nn.Conv2d):
            continue
        words = name.split('.')
        depthwise = layer.groups > 1
        if words[0] == 'stem':
            node = 'Conv1_relu/Relu6'
        else:
            block = 'expanded_conv' if words[1] == '0' else f'block_{words[1]}'
            node = f'{block}_{words[2]}/FusedBatchNormV3'
        axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        add(f'{name}/kernel', layer.weight.detach().numpy().transpose(axes))
        add(f'{name}/bias', layer.bias.detach().numpy())
        op = 'FusedDepthwiseConv2dNative' if depthwise else '_FusedConv2D'
        inputs = ['before', f'{name}/kernel', f'{name}/bias']
        nodes.append(dict(name=PREFIX + node, op=op, input=inputs))
    add('Stateful/head', np.zeros((2, 3)))  # what is not the encoder's
    nodes.append(dict(name='Stateful/kpt_heatmap_0/conv2d', op='_FusedConv2D', input=[]))
    for name in ('block_2_add/add', 'block_2/x', 'expanded_conv/x', 'x'):
        nodes.append(dict(name=PREFIX + name, op='AddV2', input=['a', 'b']))
    graph = {'modelTopology': {'node': nodes}, 'weightsManifest': [{'weights': entries}]}
    return graph, values


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
    encoder.blocks.append(InvertedResidual(channels, 24, 6, 3, 1, norm=False))
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
    other.stem = SameConv(3, 24, 3, 2, norm=False)
    with pytest.raises(ValueError, match='has 32 or 56 channels: 24'):
        encoder_from_movenet(*graph_of(other))
