"""The authors' VGG networks, layer for layer, against a second implementation."""

import math

import pytest
import torch
import torch.nn.functional as F
from cpm_testing.networks import (
    NARROW,
    VGG_STAGES,
    beliefs_of,
    block,
    center_pool,
    losses_of,
    network,
    random_image,
)

from cpm_plugin.core import (
    build_network,
    center_map,
)


def vgg_reference(state, image, heat, num_stages):
    """The layers of the authors' pose_deploy_resize.prototxt, one after the other."""
    x = image
    for group, number in enumerate((2, 2, 4, 3), start=1):
        for layer in range(1, number + 1):
            x = block(state, f'trunks.layers.conv{group}_{layer}', x)
        if group < 4:  # 2x2, stride 2; half a window at the right and lower border
            height, width = x.shape[2:]
            x = F.pad(x, (0, width % 2, 0, height % 2), value=-math.inf)
            x = torch.stack([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(dim=0)
    features = x
    outputs = [beliefs_of(state, 'stages.first', block(state, 'stages.first.conv2', features))]
    for later in range(num_stages - 1):
        x = torch.cat([outputs[-1], features, *([] if heat is None else [heat])], dim=1)
        for layer in range(6):  # 5 large convolutions and one of 1x1
            x = block(state, f'stages.later.{later}.refine.{layer}', x)
        outputs.append(beliefs_of(state, f'stages.later.{later}', x))
    return outputs


@pytest.mark.parametrize('sigma', [None, 9.0])
@torch.no_grad()
def test_vgg_forward_equals_a_second_implementation(sigma):
    model = network(**VGG_STAGES, vgg_tail=(7, 3, 5), center_map_sigma=sigma)
    image, heat, pooled = random_image(45, 54), (), None
    if sigma is not None:
        heat = (torch.from_numpy(center_map((54, 45), (11, 30))).double().expand(2, 1, 45, 54),)
        pooled = center_pool(*heat, 6, 7)
    outputs = model(image, *heat)
    expected = vgg_reference(model.state_dict(), image, pooled, 3)
    assert len(outputs) == len(expected) == 3
    for output, wanted in zip(outputs, expected):
        assert output.shape == (2, 4, 6, 7)
        assert wanted.std() > 0.01
        torch.testing.assert_close(output, wanted, rtol=1e-6, atol=1e-7)


@torch.no_grad()
def test_beliefs_first_is_another_order_of_the_same_inputs():
    """Columns of 4 features, 4 beliefs and the center map, against 4 beliefs in front."""
    model, other = network(), network(beliefs_first=True)
    image = random_image()
    other.load_state_dict(model.state_dict())
    plain, swapped = model(image), other(image)
    torch.testing.assert_close(swapped[0], plain[0], rtol=0, atol=0)
    assert (swapped[1] - plain[1]).abs().max() > 1e-2
    for stage in other.stages.later:
        weight = stage.refine[0].conv.weight
        assert weight.shape[1] == 9
        weight.copy_(weight[:, [4, 5, 6, 7, 0, 1, 2, 3, 8]].clone())
    for output, wanted in zip(other(image), plain):
        torch.testing.assert_close(output, wanted, rtol=1e-9, atol=1e-12)


def test_every_parameter_of_a_vgg_network_gets_a_gradient_from_every_stage():
    torch.manual_seed(0)
    model = build_network(**{**NARROW, **VGG_STAGES, 'vgg_tail': (6, 4)})
    with torch.no_grad():  # of N(0, 0.001) little would come through several stages
        for stage in (model.stages.first, *model.stages.later):
            stage.beliefs.weight.normal_(std=0.5)
    losses = losses_of(model)
    for stage, loss in enumerate(losses):
        model.zero_grad()
        loss.backward(retain_graph=True)
        reached = ['trunks.', 'stages.first.', *(f'stages.later.{t}.' for t in range(stage))]
        for name, parameter in model.named_parameters():
            trained = parameter.grad is not None and bool(parameter.grad.any())
            assert trained == name.startswith(tuple(reached)), (stage, name)
            assert not trained or parameter.grad.isfinite().all(), (stage, name)
