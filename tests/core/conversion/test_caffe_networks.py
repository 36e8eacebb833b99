"""Our networks compute what the authors' deploy files compute.

caffe_networks.json holds belief maps and fields of the deploy files, run by OpenCV's importer of
Caffe nets on the weights of ``random_layers`` and the inputs of ``random_inputs``: all channels
and stages at nine cells, corners and edges among them. Each network's entry was written by

    python tools/dev/compare_caffe.py DEPLOY --model NAME --seed SEED --size HxW --golden FILE

The sizes are such that pools of the floor rule give other maps than Caffe's.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_caffe import random_inputs, random_layers, write_caffemodel
from torch import nn

from cpm_plugin import create_model
from cpm_plugin.core.conversion.caffe_networks import (
    CAFFE_MODELS,
    load_caffemodel,
    output_layers,
)
from cpm_plugin.core.models.affinity_network import AffinityPoseMachine
from cpm_plugin.core.models.trunks import VggTrunk

WITH_CENTER = ('cpm_mpii', 'cpm_lsp', 'cpm_flic', 'cpm_mpii_vgg')
GOLDEN = json.loads(Path(__file__).with_name('caffe_networks.json').read_text())


@pytest.fixture(scope='module')
def states(tmp_path_factory):
    """name -> state dict read from a .caffemodel of the golden weights; the last one is kept."""
    made = {}

    def state(name):
        if name not in made:
            layers = random_layers(name, GOLDEN[name]['seed'])
            first = next(iter(layers.values()))[0].ravel()[:4]
            assert first == pytest.approx(GOLDEN[name]['first_weights'], rel=1e-6), (
                'this numpy draws other random numbers: write caffe_networks.json anew'
            )
            made.clear()
            path = tmp_path_factory.mktemp('weights') / 'random.caffemodel'
            write_caffemodel(path, layers)
            made[name] = load_caffemodel(path, name)
            path.unlink()
        return made[name]

    return state


def build(name, state):
    with torch.device('meta'):
        model = create_model(name)
    model.load_state_dict(state, assign=True)
    return model.eval()


def inputs_of(name):
    inputs = map(torch.from_numpy, random_inputs(*GOLDEN[name]['size'], GOLDEN[name]['seed']))
    return list(inputs)[: 2 if name in WITH_CENTER else 1]


def maps_of(name, model, inputs):
    """Maps in the order of ``output_layers``, in which they are in the file."""
    stages = model(*inputs)
    if isinstance(model, AffinityPoseMachine):
        return [getattr(stages[stage], kind) for stage, kind in output_layers(name).values()]
    return stages


@torch.no_grad()
def difference(name, model, inputs):
    """Largest difference from the golden cells over the largest value of their stage.

    Of maps that are smaller than the golden ones the cells that they have are compared.
    """
    beliefs = maps_of(name, model, inputs)
    assert len(beliefs) == len(GOLDEN[name]['largest'])
    height, width = beliefs[0].shape[2:]
    found = []
    for cell in GOLDEN[name]['cells']:
        if cell['y'] < height and cell['x'] < width:
            for maps, values, largest in zip(beliefs, cell['stages'], GOLDEN[name]['largest']):
                ours = maps[0, :, cell['y'], cell['x']].numpy()
                assert ours.shape == np.shape(values)
                found.append(np.abs(ours - values).max() / largest)
    assert len(found) >= 4 * len(beliefs)
    return max(found)


@pytest.mark.parametrize('name', CAFFE_MODELS)
def test_belief_maps_of_every_stage(name, states):
    model, inputs = build(name, states(name)), inputs_of(name)
    assert difference(name, model, inputs) < 1e-4
    last = GOLDEN[name]['cells'][-1]
    with torch.no_grad():
        assert maps_of(name, model, inputs)[-1].shape[2:] == (last['y'] + 1, last['x'] + 1)


# Mistakes: each changes the model and returns other inputs, or None for the same.


def other_order_of_concatenation(model, inputs):
    for stage in model.stages.later:
        stage.beliefs_first = not stage.beliefs_first


def floor_pools(model, inputs):
    for layer in model.modules():
        if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            layer.ceil_mode = False


def padded_pools(model, inputs):
    for layer in model.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.padding, layer.ceil_mode = 1, False


def rgb(model, inputs):
    return [inputs[0].flip(1), *inputs[1:]]


def one_trunk(model, inputs):
    model.trunks.shared_trunk = model.trunks.stage1_trunk


def transposed_center_map(model, inputs):
    """MATLAB's order of the values."""
    return [inputs[0], inputs[1].mT.reshape(inputs[1].shape)]


def divisor_of_a_whole_window(model, inputs):
    model.trunks.center_pool.divisor_override = 81


def center_map_left_out(model, inputs):
    return [inputs[0], torch.zeros_like(inputs[1])]


def no_relu_in_a_stage(model, inputs):
    model.stages.later[-1].refine[-1].relu = nn.Identity()


def no_relu_before_the_concatenation(model, inputs):
    vgg = isinstance(model.trunks, VggTrunk)
    block = model.trunks.layers[-1] if vgg else model.stages.later[0].reduce
    block.relu = nn.Identity()


def rectified_beliefs(model, inputs):
    for stage in [model.stages.first, *model.stages.later]:
        stage.beliefs.register_forward_hook(lambda _, __, output: output.relu())


def exchanged_stages(model, inputs):
    later = model.stages.later
    later[0].beliefs, later[1].beliefs = later[1].beliefs, later[0].beliefs


def transposed_kernels(model, inputs):
    conv = model.stages.later[0].refine[1].conv
    conv.weight = nn.Parameter(conv.weight.mT)


def no_bias(model, inputs):
    model.stages.later[-1].beliefs.bias = None


def other_order_of_fields(model, inputs):
    settings = model.stages.settings
    model.stages.settings = replace(settings, features_first=not settings.features_first)


def exchanged_branches(model, inputs):
    """Hidden layers of fields and beliefs."""
    fields, beliefs = model.stages.fields[-1], model.stages.beliefs[-1]
    fields.hidden, beliefs.hidden = beliefs.hidden, fields.hidden


def fields_of_the_first_stage(model, inputs):
    """Later stages get the first fields instead of the last."""
    fields = model.stages.fields
    first = []
    fields[0].register_forward_hook(lambda _, __, output: first.append(output))
    for branch in list(fields)[1:]:
        branch.register_forward_hook(lambda _, __, output: first[-1])


def no_activation(model, inputs):
    kind = 'prelu' if model.stages.settings.prelu else 'relu'
    setattr(model.stages.beliefs[-1].hidden, kind, nn.Identity())


def one_slope(model, inputs):
    prelu = model.stages.fields[0].layers[0].convs[0].prelu
    prelu.weight = nn.Parameter(prelu.weight.mean(0, keepdim=True))


def relu_in_the_trunk(model, inputs):
    model.trunks.layers.conv4_2.prelu = nn.ReLU()


def dense_block_backwards(model, inputs):
    for branch in [*model.stages.fields, *model.stages.beliefs]:
        for block in branch.layers:
            width = block.convs[0].conv.out_channels
            block.register_forward_hook(
                lambda _, __, output, width=width: torch.cat(output.split(width, 1)[::-1], dim=1)
            )


WITH_FIELDS = (
    other_order_of_fields, exchanged_branches, fields_of_the_first_stage, floor_pools, rgb,
    no_activation,
)  # fmt: skip
EVERYWHERE = (
    other_order_of_concatenation, floor_pools, rgb, no_relu_in_a_stage,
    no_relu_before_the_concatenation, rectified_beliefs, exchanged_stages, transposed_kernels,
    no_bias,
)  # fmt: skip
WITH_CENTER_MAP = (transposed_center_map, divisor_of_a_whole_window, center_map_left_out)
MISTAKES = {
    'cpm_flic': (*EVERYWHERE, *WITH_CENTER_MAP, padded_pools, one_trunk),
    'cpm_mpii_vgg': (*EVERYWHERE, *WITH_CENTER_MAP),
    'cpm_person': EVERYWHERE,
    'openpose_coco': WITH_FIELDS,
    'openpose_body25': (*WITH_FIELDS, one_slope, relu_in_the_trunk, dense_block_backwards),
}


@pytest.mark.parametrize(
    'name, mistake',
    [
        pytest.param(
            name,
            mistake,
            id=f'{name}-{mistake.__name__}',
            # OpenPose's are large, and most of their mistakes are those of the others
            marks=[pytest.mark.full] if name.startswith('openpose') else [],
        )
        for name, mistakes in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_a_mistake_would_show(name, mistake, states):
    model, inputs = build(name, states(name)), inputs_of(name)
    inputs = mistake(model, inputs) or inputs
    assert difference(name, model, inputs) > 1e-3
