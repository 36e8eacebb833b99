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
from cpm_plugin.core.models.settings import TrunkSettings
from cpm_plugin.core.models.trunks import VggTrunk


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


def test_names_and_channels_of_the_vgg_trunk():
    """VGG-19's to conv4_2, then the authors' conv4_3_CPM to conv4_7_CPM."""
    trunk = VggTrunk(TrunkSettings(vgg_tail=(512, 512, 256, 256, 256, 256, 128)))
    widths = [3]
    expected = {}
    for group, channels in enumerate(
        [[64] * 2, [128] * 2, [256] * 4, [512, 512, 256, 256, 256, 256, 128]], start=1
    ):
        for number, width in enumerate(channels, start=1):
            prefix = f'layers.conv{group}_{number}.conv'
            expected[f'{prefix}.weight'] = (width, widths[-1], 3, 3)
            expected[f'{prefix}.bias'] = (width,)
            widths.append(width)
    assert {name: tuple(value.shape) for name, value in trunk.state_dict().items()} == expected
    order = [name for name, _ in trunk.layers.named_children()]
    assert [name for name in order if name.startswith('pool')] == ['pool1', 'pool2', 'pool3']
    for pool, before, after in (('pool1', 'conv1_2', 'conv2_1'), ('pool3', 'conv3_4', 'conv4_1')):
        place = order.index(pool)
        assert order[place - 1 : place + 2] == [before, pool, after]


@torch.no_grad()
def test_vgg_pools_are_caffes():
    """2x2 from pixel 0 on, the last one clipped: 105 -> 53 -> 27 -> 14 and 16 -> 8 -> 4 -> 2."""
    trunk = VggTrunk(TrunkSettings(vgg_tail=(2,), in_channels=1))
    sizes = []
    for number in (1, 2, 3):
        trunk.layers.get_submodule(f'pool{number}').register_forward_hook(
            lambda layer, seen, pooled: sizes.append(tuple(pooled.shape[2:]))
        )
    first, second = trunk(torch.zeros(1, 1, 105, 16))
    assert sizes == [(53, 8), (27, 4), (14, 2)]
    assert first is second and tuple(first.shape) == (1, 2, 14, 2)
    pixels = 10 * torch.arange(5.0)[:, None] - torch.arange(4.0)
    expected = [[10.0, 8.0], [30.0, 28.0], [40.0, 38.0]]  # rows 0-1, 2-3, 4; columns 0-1, 2-3
    for number in (1, 2, 3):
        pooled = trunk.layers.get_submodule(f'pool{number}')(pixels[None, None])
        assert pooled.tolist() == [[expected]]


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


def test_vgg_trunk_without_a_tail_is_refused():
    with pytest.raises(ValueError, match='vgg_tail is empty: give the channels of at least one'):
        VggTrunk(TrunkSettings(vgg_tail=()))


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
