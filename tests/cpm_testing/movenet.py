"""MoveNet's TensorFlow.js graph, with the weights of an encoder."""

import numpy as np
import torch

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
