"""The network, layer for layer, against a second implementation, and what depends on what."""

import numpy as np
import pytest
import torch
from cpm_testing.networks import NARROW, VARIANTS, network, random_image, reference

from cpm_plugin.core import (
    build_network,
    center_map,
)


@pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
@torch.no_grad()
def test_forward_equals_a_second_implementation(options):
    """Layers, their order, the order of the concatenation, the default center map."""
    model = network(**options)
    image = random_image(channels=options.get('in_channels', 3))
    stages = options.get('num_stages', 3)
    heat = None
    sigma = options.get('center_map_sigma', 21.0)
    if sigma is not None and stages > 1:
        x, y = torch.arange(49).double(), torch.arange(40).double()[:, None]
        heat = torch.exp(-((x - 24) ** 2 + (y - 19.5) ** 2) / (2 * sigma**2))
        heat = heat.float().double().expand(2, 1, 40, 49)
    outputs = model(image)
    expected = reference(model.state_dict(), image, heat, stages)
    assert len(outputs) == len(expected) == stages
    for output, wanted in zip(outputs, expected):
        assert output.shape == (2, 3 + options.get('background', True), 5, 6)
        assert wanted.std() > 0.01
        torch.testing.assert_close(output, wanted, rtol=1e-6, atol=1e-7)


@torch.no_grad()
def test_explicit_center_map_of_each_image():
    model, image = network(), random_image()
    heat = torch.from_numpy(np.stack([center_map((49, 40), c) for c in [(5, 30), (40, 3)]]))
    heat = heat[:, None].double()
    expected = reference(model.state_dict(), image, heat, 3)
    for output, wanted in zip(model(image, heat), expected):
        torch.testing.assert_close(output, wanted, rtol=1e-6, atol=1e-7)


# What depends on what


@torch.no_grad()
def test_default_center_map_is_the_one_in_the_middle():
    model, image = network(), random_image()
    middle, corner = (
        torch.from_numpy(center_map((49, 40), c)).double().expand(2, 1, 40, 49)
        for c in [(24, 19.5), (0, 0)]
    )
    default, explicit, other = model(image), model(image, middle), model(image, corner)
    for stage in range(3):
        torch.testing.assert_close(explicit[stage], default[stage], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(other[0], default[0], rtol=0, atol=0)
    for stage in (1, 2):
        assert (other[stage] - default[stage]).abs().max() > 1e-3


@torch.no_grad()
def test_stage_1_has_its_own_trunk():
    model, image = network(), random_image()
    before = model(image)
    for parameter in model.trunks.shared_trunk.parameters():
        parameter.zero_()
    after = model(image)
    torch.testing.assert_close(after[0], before[0], rtol=0, atol=0)
    assert (after[1] - before[1]).abs().max() > 1e-3


@torch.no_grad()
def test_images_of_a_batch_do_not_influence_each_other():
    model, image = network(), random_image()
    image[1] *= 3
    together, alone = model(image), model(image[1:])
    for stage in range(3):
        torch.testing.assert_close(together[stage][1:], alone[stage], rtol=1e-9, atol=1e-12)


def test_a_network_of_one_stage_has_no_second_trunk():
    model = build_network(**{**NARROW, 'num_stages': 1})
    assert model.trunks.shared_trunk is None
    assert {name.split('.')[0] + '.' + name.split('.')[1] for name in model.state_dict()} == {
        'trunks.stage1_trunk',
        'stages.first',
    }


def test_one_line_slim_network_of_the_docstring():
    model = build_network(num_keypoints=14, num_stages=3, channels=32, first_stage_channels=128)
    outputs = model(torch.zeros(1, 3, 64, 48))
    assert [tuple(output.shape) for output in outputs] == [(1, 15, 8, 6)] * 3


def test_traced_network_is_the_same_function_at_other_sizes_too():
    torch.manual_seed(0)
    network = build_network(
        num_keypoints=2, num_stages=2, channels=2, first_stage_channels=2, reduced_channels=2
    ).eval()
    traced = torch.jit.trace(network, torch.rand(1, 3, 64, 64))
    for shape in [(1, 3, 64, 64), (2, 3, 48, 80)]:
        image = torch.rand(shape)
        torch.testing.assert_close(traced(image), network(image), rtol=0, atol=0)
