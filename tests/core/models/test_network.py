"""The network, layer for layer, against a second implementation and the published sizes."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cpm_plugin.core import (
    BeliefStages,
    FeatureTrunks,
    JointSet,
    build_network,
    center_map,
    decode_peaks,
    ideal_belief_maps,
    stage_losses,
    torso_pck,
)
from cpm_plugin.core.models.layers import ConvBlock
from cpm_plugin.core.models.settings import StageSettings, TrunkSettings
from cpm_plugin.core.models.stages import FirstStage, split_features
from cpm_plugin.core.models.trunks import FeatureTrunk, VggTrunk

NARROW = {
    'num_keypoints': 3,
    'num_stages': 3,
    'channels': 6,
    'reduced_channels': 4,
    'first_stage_channels': 5,
    'trunk_kernel_size': 5,
    'reduce_kernel_size': 3,
    'first_stage_kernel_size': 5,
    'refine_kernel_size': 7,
}
VARIANTS = {
    'default': {},
    'one_stage': {'num_stages': 1},
    'no_background': {'background': False},
    'no_center_map': {'center_map_sigma': None},
    'small_center_map': {'center_map_sigma': 9.0, 'num_stages': 2},
    'batch_norm': {'norm_layer': nn.BatchNorm2d},
    'gray': {'in_channels': 1, 'num_stages': 2},
}


def network(**options):
    """A narrow network with weights and statistics as random as possible, in double."""
    torch.manual_seed(1)
    model = build_network(**{**NARROW, **options}).double().eval()
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 2)
        elif value.dtype.is_floating_point:
            fan_in = value[0].numel() if value.ndim == 4 else 4
            value.normal_(std=math.sqrt(2 / fan_in))
    return model


def random_image(height=40, width=49, *, count=2, channels=3):
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, channels, height, width, generator=generator).double() - 0.5


# A second implementation of the forward pass, from the names and values of the state dict


def block(state, prefix, x):
    weight = state[f'{prefix}.conv.weight']
    x = F.conv2d(x, weight, state.get(f'{prefix}.conv.bias'), padding=(weight.shape[-1] - 1) // 2)
    if f'{prefix}.norm.weight' in state:
        mean, var, scale, shift = (
            state[f'{prefix}.norm.{name}'][:, None, None]
            for name in ('running_mean', 'running_var', 'weight', 'bias')
        )
        x = (x - mean) / torch.sqrt(var + 1e-5) * scale + shift
    return x * (x > 0)


def max_pool(x):
    """3x3, stride 2, windows clipped at the right and lower border."""
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2)


def trunk(state, prefix, x):
    for number in (1, 2, 3):
        x = max_pool(block(state, f'{prefix}.conv{number}', x))
    return x


def center_pool(heat, height, width):
    """Means over 9x9 windows 8 pixels apart; at the border over what there is."""
    means = [
        [heat[..., 8 * v : 8 * v + 9, 8 * u : 8 * u + 9].mean(dim=(-2, -1)) for u in range(width)]
        for v in range(height)
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in means], dim=-2)


def beliefs_of(state, prefix, x):
    return F.conv2d(x, state[f'{prefix}.beliefs.weight'], state[f'{prefix}.beliefs.bias'])


def reference(state, image, heat, num_stages, dropout=0.0):
    x = trunk(state, 'trunks.stage1_trunk', image)
    for layer in ('reduce', 'conv1', 'conv2'):
        x = block(state, f'stages.first.{layer}', x)
        if layer != 'reduce':  # 'C','C','D','C','D','C' of genProto.py
            x = F.dropout(x, dropout)
    outputs = [beliefs_of(state, 'stages.first', x)]
    if num_stages > 1:
        shared = trunk(state, 'trunks.shared_trunk', image)
    for later in range(num_stages - 1):
        prefix = f'stages.later.{later}'
        seen = [block(state, f'{prefix}.reduce', shared), outputs[-1]]
        if heat is not None:
            seen.append(center_pool(heat, *shared.shape[2:]))
        x = torch.cat(seen, dim=1)
        for layer in range(4):
            x = block(state, f'{prefix}.refine.{layer}', x)
        outputs.append(beliefs_of(state, prefix, x))
    return outputs


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


# The authors' VGG networks

VGG_STAGES = {
    'reduced_channels': None,
    'first_stage_kernel_size': None,
    'refine_depth': 5,
    'beliefs_first': True,
}


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


# Dropout


def test_dropout_is_the_authors_in_training():
    """After stage 1's 9x9 and the 1x1 convolution that follows, and nowhere else."""
    model, image = network(dropout=0.5).train(), random_image()
    x, y = torch.arange(49).double(), torch.arange(40).double()[:, None]
    heat = torch.exp(-((x - 24) ** 2 + (y - 19.5) ** 2) / (2 * 21.0**2))
    heat = heat.float().double().expand(2, 1, 40, 49)
    with torch.no_grad():
        torch.manual_seed(3)
        outputs = model(image)
        torch.manual_seed(3)
        expected = reference(model.state_dict(), image, heat, 3, dropout=0.5)
        whole = reference(model.state_dict(), image, heat, 3)
    for output, wanted, undropped in zip(outputs, expected, whole):
        torch.testing.assert_close(output, wanted, rtol=1e-6, atol=1e-7)
        assert (output - undropped).abs().max() > 0.1


@torch.no_grad()
def test_dropout_is_only_in_training_and_not_in_the_state():
    plain, dropping = network(), network(dropout=0.5)
    assert list(dropping.state_dict()) == list(plain.state_dict())
    image = random_image()
    for output, wanted in zip(dropping(image), plain(image)):
        assert torch.equal(output, wanted)
    dropping.train()
    assert not torch.equal(dropping(image)[0], dropping(image)[0])


@torch.no_grad()
def test_no_dropout_by_default():
    model, image = network(), random_image()
    evaluated = model(image)
    for output, wanted in zip(model.train()(image), evaluated):
        assert torch.equal(output, wanted)


def test_dropout_of_a_first_stage_without_a_large_convolution():
    """One place is left of the two; half of 512 channels, the others doubled."""
    stage = FirstStage(
        2,
        StageSettings(
            reduced_channels=None, dropout=0.5, num_keypoints=1, first_stage_kernel_size=None
        ),
    )
    seen = []
    stage.beliefs.register_forward_hook(lambda layer, args, output: seen.append(args[0]))
    stage.conv2.register_forward_hook(lambda layer, args, output: seen.append(output))
    stage(torch.rand(1, 2, 3, 3))
    before, after = seen
    kept = after != 0
    assert torch.equal(after[kept], 2 * before[kept])
    assert 0.4 < kept[before > 0].float().mean() < 0.6


@pytest.mark.parametrize('dropout', [-0.1, 1.5])
def test_dropout_is_a_probability(dropout):
    with pytest.raises(ValueError, match=f'dropout={dropout} is a probability'):
        build_network(**{**NARROW, 'dropout': dropout})


# Sizes

ALL_KERNELS_OF_THE_PAPER = {
    # two trunks, three 9x9 convolutions each
    'trunks': 2 * (81 * 3 * 128 + 128 + 2 * (81 * 128 * 128 + 128)),
    # 5x5-32, 9x9-512, 1x1-512, 1x1-15
    'stage 1': (25 * 128 * 32 + 32) + (81 * 32 * 512 + 512) + (512 * 512 + 512) + (512 * 15 + 15),
    # 5x5-32, on 32 + 15 + 1 channels 11x11-128, 2 x 11x11-128, 1x1-128, 1x1-15
    'stages 2-6': 5
    * (
        (25 * 128 * 32 + 32)
        + (121 * 48 * 128 + 128)
        + 2 * (121 * 128 * 128 + 128)
        + (128 * 128 + 128)
        + (128 * 15 + 15)
    ),
}


def test_default_is_the_authors_lsp_network():
    """Without memory or arithmetic: on the meta device."""
    with torch.device('meta'):
        model = build_network()
        outputs = model(torch.zeros(2, 3, 368, 376))
    assert sum(p.numel() for p in model.parameters()) == 31_219_866
    assert sum(ALL_KERNELS_OF_THE_PAPER.values()) == 31_219_866
    trunks = sum(p.numel() for p in model.trunks.parameters())
    first = sum(p.numel() for p in model.stages.first.parameters())
    assert (trunks, first) == tuple(ALL_KERNELS_OF_THE_PAPER.values())[:2]
    assert [tuple(output.shape) for output in outputs] == [(2, 15, 46, 47)] * 6


def test_one_line_slim_network_of_the_docstring():
    model = build_network(num_keypoints=14, num_stages=3, channels=32, first_stage_channels=128)
    outputs = model(torch.zeros(1, 3, 64, 48))
    assert [tuple(output.shape) for output in outputs] == [(1, 15, 8, 6)] * 3


@pytest.mark.parametrize('height, width', [(97, 104), (98, 96), (96, 103), (130, 12), (20, 105)])
@torch.no_grad()
def test_any_image_size_without_center_map(height, width):
    """Not only multiples of the stride: one cell for every 8 whole pixels."""
    model = build_network(**{**NARROW, 'channels': 2, 'center_map_sigma': None})
    outputs = model(torch.zeros(1, 3, height, width))
    assert [output.shape[2:] for output in outputs] == [(height // 8, width // 8)] * 3


def test_too_small_a_image_is_named():
    model = build_network(**{**NARROW, 'channels': 2, 'center_map_sigma': None})
    assert model(torch.zeros(1, 3, 8, 9))[-1].shape[2:] == (1, 1)
    with pytest.raises(ValueError, match='image of 40 x 7 pixels: sides must have at least 8'):
        model(torch.zeros(1, 3, 40, 7))


# VGG's 2x2 pools by the ceil rule: 97 -> 49 -> 25 -> 13, the center map's 97 -> 12
VGG = {'reduced_channels': None, 'first_stage_kernel_size': None, 'vgg_tail': (3, 2)}


@pytest.mark.parametrize(
    'options, good, bad, rule',
    [
        ({}, (96, 97), (90, 95), 'side % 8 of 0 or 1'),
        ({'pool_padding': 1}, (96, 90, 95), (97, 105), 'side % 8 other than 1'),
        (VGG, (96, 90, 95), (97, 105), 'side % 8 other than 1'),
    ],
    ids=['paper', 'padded', 'vgg'],
)
@torch.no_grad()
def test_sizes_that_caffe_accepts_with_a_center_map(options, good, bad, rule):
    """Elsewhere Caffe's two pooling rules disagree, and its Concat layer refuses."""
    model = build_network(**{**NARROW, 'channels': 2, **options})
    for side in good:
        cells = -(-side // 8) if options else side // 8
        for height, width in ((side, 32), (32, side)):
            expected = (cells, 4) if width == 32 else (4, cells)
            assert model(torch.zeros(1, 3, height, width))[-1].shape[2:] == expected
    for side in bad:
        for height, width in ((side, 32), (32, side)):
            with pytest.raises(ValueError, match=f'{height} x {width} pixels.*{rule}'):
                model(torch.zeros(1, 3, height, width))


def test_stage_1_sees_167_pixels_and_stage_2_sees_407():
    """The paper says 160 for stage 1. Found by lighting columns under positive weights.

    Cell g of the trunk is the middle of the 15 pixels from 8 g on, so it is 8 g + 7.
    """
    model = build_network(
        num_keypoints=1,
        num_stages=2,
        background=False,
        center_map_sigma=None,
        in_channels=1,
        channels=1,
        reduced_channels=1,
        first_stage_channels=1,
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(0 if name.endswith('bias') else 1 / parameter[0].numel())
        cell, half, width = 15, 83, 256
        first, last = 8 * cell + 7 - half, 8 * cell + 7 + half
        lit = torch.eye(width)[:, None, None].expand(-1, 1, 8, -1)  # image p: column p is 1
        seen = model(lit)[0][:, 0, 0, cell] != 0
        assert seen.nonzero().flatten().tolist() == list(range(first, last + 1))
        assert last - first + 1 == 167

        cell, half, width = 26, 203, 440
        first, last = 8 * cell + 7 - half, 8 * cell + 7 + half
        lit = torch.zeros(4, 1, 8, width)
        lit[0, ..., first] = 1
        lit[1, ..., last] = 1
        lit[2] = 1
        lit[2, ..., first : last + 1] = 0
        seen = model(lit)[1][:, 0, 0, cell] != 0
        assert seen.tolist() == [True, True, False, False]
        assert last - first + 1 == 407


# Pools


def test_max_pools_are_caffes():
    """Windows start at pixel 0, without padding; the last one is clipped."""
    layer = FeatureTrunk(TrunkSettings(in_channels=1, channels=1, kernel_size=1))
    column = torch.tensor([0.0, 1.0, 2.0, 9.0, 4.0, 5.0])
    image = (column[:, None] + 10 * torch.arange(4.0)).expand(1, 1, 6, 4)
    # rows 0-2, 2-4, 4-5; columns 0-2, 2-3
    expected = torch.tensor([[[[22.0, 32.0], [29.0, 39.0], [25.0, 35.0]]]])
    for name in ('pool1', 'pool2', 'pool3'):
        torch.testing.assert_close(layer.get_submodule(name)(image), expected, rtol=0, atol=0)
    negative = layer.get_submodule('pool1')(torch.full((1, 1, 6, 4), -3.0))
    torch.testing.assert_close(negative, torch.full((1, 1, 3, 2), -3.0), rtol=0, atol=0)


@pytest.mark.parametrize('height, width', [(16, 24), (16, 17), (8, 105), (9, 25)])
def test_center_map_is_averaged_over_clipped_windows(height, width):
    """9x9 windows 8 pixels apart; the last of 16 pixels has 8 rows and divides by 8."""
    trunks = FeatureTrunks(TrunkSettings(channels=1, kernel_size=1, center_map_sigma=21.0))
    heat = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    stage1, shared, pooled = trunks(torch.zeros(2, 3, height, width), heat)
    assert stage1.shape == shared.shape == (2, 1, height // 8, width // 8)
    expected = center_pool(heat, height // 8, width // 8)
    torch.testing.assert_close(pooled, expected, rtol=1e-6, atol=0)


def test_center_map_pool_by_hand():
    """Mean row of 0..8 is 4, of 8..15 is 11.5; columns 0..8, 8..16 and 16..23."""
    trunks = FeatureTrunks(TrunkSettings(channels=1, kernel_size=1, center_map_sigma=21.0))
    heat = (100 * torch.arange(16.0)[:, None] + torch.arange(24.0))[None, None]
    pooled = trunks(torch.zeros(1, 3, 16, 24), heat)[2]
    expected = torch.tensor([[[[404.0, 412.0, 419.5], [1154.0, 1162.0, 1169.5]]]])
    torch.testing.assert_close(pooled, expected, rtol=1e-6, atol=0)


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


# Gradients


def losses_of(model, channels=3):
    torch.manual_seed(2)
    beliefs = model(random_image(48, 48, channels=channels).float())
    return stage_losses(beliefs, torch.rand_like(beliefs[0]))


@pytest.mark.parametrize(
    'options',
    [*VARIANTS.values(), {'norm_layer': lambda channels: nn.GroupNorm(2, channels)}],
    ids=[*VARIANTS, 'group_norm'],
)
def test_every_parameter_gets_a_gradient_from_the_first_step(options):
    torch.manual_seed(0)
    if 'norm_layer' in options:
        options = {**options, 'first_stage_channels': 6}
    model = build_network(**{**NARROW, **options})
    losses_of(model, options.get('in_channels', 3)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.count_nonzero() > 0, name
    for stage in model.stages.later:  # behind the features: each belief and the center map
        grad = stage.refine[0].conv.weight.grad[:, 4:]
        assert grad.shape[1] == model.stages.out_channels + (
            model.trunks.center_map_sigma is not None
        )
        assert (grad.abs().amax(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize('stage', [1, 2, 3])
def test_loss_of_a_stage_trains_what_is_before_it_and_nothing_after(stage):
    torch.manual_seed(0)
    model = build_network(**NARROW)
    losses_of(model)[stage - 1].backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    reached = ['trunks.stage1_trunk.', 'stages.first.']
    if stage > 1:
        reached += ['trunks.shared_trunk.', *(f'stages.later.{t}.' for t in range(stage - 1))]
    expected = {n for n, _ in model.named_parameters() if n.startswith(tuple(reached))}
    assert trained == expected


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


# Halves by themselves


def test_trunks_give_what_the_stages_need():
    image = torch.zeros(2, 3, 24, 16)
    one = FeatureTrunks(TrunkSettings(channels=2, kernel_size=3, shared_trunk=False))(image)
    two = FeatureTrunks(TrunkSettings(channels=2, kernel_size=3))(image)
    three = FeatureTrunks(TrunkSettings(channels=2, kernel_size=3, center_map_sigma=21.0))(image)
    assert [len(features) for features in (one, two, three)] == [1, 2, 3]
    assert [tuple(f.shape) for f in three] == [(2, 2, 3, 2), (2, 2, 3, 2), (2, 1, 3, 2)]


def test_split_features():
    a, b, c = torch.zeros(1), torch.ones(1), torch.zeros(2)
    assert [id(f) for f in split_features(a)] == [id(a), id(a)]
    assert [id(f) for f in split_features([a])] == [id(a), id(a)]
    assert [id(f) for f in split_features((a, b))] == [id(a), id(b)]
    assert [id(f) for f in split_features([a, b, c])] == [id(a), id(b), id(c)]
    for maps in ([], [a, b, c, a]):
        with pytest.raises(ValueError, match=f'^{len(maps)} feature maps; expected'):
            split_features(maps)


def test_stages_on_features_of_two_widths():
    stages = BeliefStages((3, 5), StageSettings(num_keypoints=2, num_stages=2, channels=4))
    outputs = stages(torch.zeros(1, 3, 6, 7), torch.zeros(1, 5, 6, 7))
    assert [tuple(output.shape) for output in outputs] == [(1, 2, 6, 7)] * 2


@pytest.mark.parametrize('channels', [(128, 5), (5, 3), (3, 3)])
def test_stages_name_features_of_another_width(channels):
    stages = BeliefStages((3, 5), StageSettings(num_keypoints=2, num_stages=2, channels=4))
    with pytest.raises(ValueError) as error:
        stages(torch.zeros(1, channels[0], 6, 7), torch.zeros(1, channels[1], 6, 7))
    assert f'{channels} channels' in str(error.value)
    assert 'in_channels=(3, 5)' in str(error.value)


@pytest.mark.parametrize('built', [True, False])
def test_stages_name_a_center_map_given_or_missing(built):
    stages = BeliefStages(
        (3, 3), StageSettings(num_keypoints=2, num_stages=2, channels=4), center_map=built
    )
    center = None if built else torch.zeros(1, 1, 6, 7)
    state = 'missing' if built else 'given'
    with pytest.raises(ValueError, match=f'center map {state}.*center_map={built}'):
        stages(torch.zeros(1, 3, 6, 7), torch.zeros(1, 3, 6, 7), center)


# Errors


@pytest.mark.parametrize(
    'option',
    ['trunk_kernel_size', 'reduce_kernel_size', 'first_stage_kernel_size', 'refine_kernel_size'],
)
def test_even_kernel_is_named(option):
    name = option.removeprefix('trunk_')
    with pytest.raises(ValueError, match=f'^{name}=4 must be odd'):
        build_network(**{**NARROW, option: 4})
    with pytest.raises(ValueError, match='kernel size 4 must be odd'):
        ConvBlock(1, 1, 4, None)


@pytest.mark.parametrize('option', [{'num_stages': 0}, {'num_stages': -1}, {'num_keypoints': 0}])
def test_at_least_one_stage_and_joint(option):
    name, value = next(iter(option.items()))
    with pytest.raises(ValueError, match=f'{name}={value}.* at least 1'):
        build_network(**{**NARROW, **option})


@pytest.mark.parametrize('in_channels', [(128,), (128, 128, 1)])
def test_stages_need_two_widths(in_channels):
    with pytest.raises(ValueError, match='expected two numbers') as error:
        BeliefStages(in_channels, StageSettings(num_keypoints=2))
    assert str(in_channels) in str(error.value)


@pytest.mark.parametrize('shape', [(1, 1, 32, 32), (3, 32, 32), (1, 4, 32, 32)])
def test_image_of_another_shape_is_named(shape):
    model = build_network(**NARROW)
    with pytest.raises(ValueError, match=r'takes \(N, 3, H, W\)') as error:
        model(torch.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize('shape', [(2, 32, 40), (1, 1, 32, 40), (2, 1, 40, 32), (2, 1, 4, 5)])
def test_center_map_of_another_shape_is_named(shape):
    model = build_network(**NARROW)
    with pytest.raises(ValueError, match='one channel as large as the image') as error:
        model(torch.zeros(2, 3, 32, 40), torch.zeros(shape))
    assert str(shape) in str(error.value)
    assert '(2, 1, 32, 40)' in str(error.value)


def test_center_map_for_a_network_without():
    model = build_network(**{**NARROW, 'center_map_sigma': None})
    with pytest.raises(ValueError, match='no center map; build it with center_map_sigma'):
        model(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))


def test_center_map_for_a_network_of_one_stage_blames_the_stage():
    """Such a network has center_map_sigma=21 by default: that is not what is wrong."""
    model = build_network(**{**NARROW, 'num_stages': 1})
    with pytest.raises(ValueError, match='stage'):
        model(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))


def test_center_map_without_the_trunk_that_takes_it():
    with pytest.raises(ValueError, match=r'center_map_sigma=9\.0 needs the shared trunk'):
        FeatureTrunks(TrunkSettings(shared_trunk=False, center_map_sigma=9.0))


# Learning


def test_learns_four_images_by_heart():
    """A blob of one color per joint, anywhere: the mean pose is no help."""
    joints = JointSet(('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip'))
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    rng = np.random.default_rng(0)
    points = rng.uniform(4, 59, (4, 4, 2))
    labeled = np.ones((4, 4))
    pixels = np.arange(64)
    x = np.exp(-((pixels - points[..., :1]) ** 2) / 32)
    y = np.exp(-((pixels - points[..., 1:]) ** 2) / 32)
    images = torch.from_numpy(np.einsum('nkh,nkw,kc->nchw', y, x, colors)).float() - 0.5
    targets = torch.from_numpy(
        np.stack([ideal_belief_maps(p[None], np.ones((1, 4)), (8, 8)) for p in points])
    )
    torch.manual_seed(0)
    model = build_network(
        num_keypoints=4,
        num_stages=3,
        background=False,
        channels=12,
        reduced_channels=8,
        first_stage_channels=16,
        trunk_kernel_size=5,
        reduce_kernel_size=3,
        first_stage_kernel_size=3,
        refine_kernel_size=5,
        norm_layer=nn.BatchNorm2d,
    )

    def pck():
        model.eval()
        with torch.no_grad():
            found, _ = decode_peaks(model(images)[-1].numpy())
        model.train()
        return torso_pck(found, points, labeled, joints).mean

    assert pck() < 50
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = []
    for _ in range(80):
        optimizer.zero_grad()
        losses = stage_losses(model(images), targets)
        losses.sum().backward()
        optimizer.step()
        history.append(losses.detach())
    assert (history[-1] < 0.1 * history[0]).all()  # at every stage
    assert pck() == 100


def test_traced_network_is_the_same_function_at_other_sizes_too():
    torch.manual_seed(0)
    network = build_network(
        num_keypoints=2, num_stages=2, channels=2, first_stage_channels=2, reduced_channels=2
    ).eval()
    traced = torch.jit.trace(network, torch.rand(1, 3, 64, 64))
    for shape in [(1, 3, 64, 64), (2, 3, 48, 80)]:
        image = torch.rand(shape)
        torch.testing.assert_close(traced(image), network(image), rtol=0, atol=0)


@pytest.mark.parametrize(
    'arguments',
    [dict(channels=0), dict(num_stages=2.0), dict(num_stages='3'), dict(num_keypoints=0)],
)
def test_numbers_that_make_no_network_are_named(arguments):
    (value,) = arguments.values()
    with pytest.raises(ValueError, match=str(value)):
        build_network(**arguments)


@pytest.mark.parametrize('sigma', [0.0, -1.0])
def test_center_map_sigma_must_be_positive(sigma):
    with pytest.raises(ValueError, match=f'center_map_sigma={sigma} must be positive'):
        build_network(center_map_sigma=sigma)


@pytest.mark.parametrize('norm_layer', [None, nn.BatchNorm2d])
def test_tiled_convolutions_train_the_whole_network_as_direct_ones(norm_layer):
    """In float64, where rounding cannot flip a ReLU: beliefs and every gradient."""
    models = []
    for method in ('direct', 'tiled'):
        torch.manual_seed(0)
        model = build_network(
            num_keypoints=3,
            num_stages=3,
            channels=4,
            first_stage_channels=8,
            norm_layer=norm_layer,
            conv_method=method,
        ).double()
        beliefs = model(torch.rand(2, 3, 96, 80, dtype=torch.float64) - 0.5)
        sum((belief - 0.1).square().sum() for belief in beliefs).backward()
        models.append((model, beliefs))
    (direct, expected), (tiled, found) = models
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    tiles = [layer.last_choice for layer in tiled.modules() if hasattr(layer, 'last_choice')]
    assert sum(choice is not None and choice.tile is not None for choice in tiles) == 16
    for (name, one), other in zip(tiled.named_parameters(), direct.parameters(), strict=True):
        scale = float(other.grad.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-9 * scale)
