"""optimize_for_inference: the same beliefs of all stages, at sizes where pools clip."""

import pytest
import torch
from cpm_testing.networks import random_norms
from torch import nn

import cpm_plugin
from cpm_plugin.core import build_network, optimize_for_inference
from cpm_plugin.core.models import inference
from cpm_plugin.core.models.inference import ConvPool

NORMS = {
    'none': None,
    'batch': nn.BatchNorm2d,
    'batch without weights': lambda channels: nn.BatchNorm2d(channels, affine=False),
    'group': lambda channels: nn.GroupNorm(2, channels),
}


def _model(norm='batch', **arguments):
    torch.manual_seed(0)
    model = build_network(
        num_keypoints=3,
        num_stages=3,
        channels=8,
        first_stage_channels=8,
        reduced_channels=4,
        norm_layer=NORMS[norm],
        **arguments,
    ).eval()
    random_norms(model)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.uniform_(layer.weight, -1.5, 1.5)  # a negative one, too
            nn.init.normal_(layer.bias, std=0.2)
        elif isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.2)
    for name, layer in model.named_modules():
        if name.endswith('beliefs'):
            nn.init.normal_(layer.weight, std=0.3)
    return model


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize(('pool_padding', 'size'), [(0, (40, 56)), (0, (41, 49)), (1, (40, 56))])
def test_beliefs_stay(norm, pool_padding, size):
    model = _model(norm, pool_padding=pool_padding)
    image = torch.rand(2, 3, *size) - 0.5
    with torch.no_grad():
        expected = model(image)
        found = optimize_for_inference(model)(image)
    for one, other in zip(found, expected, strict=True):
        assert other.std() > 0.05
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize('height', range(32, 50))
@pytest.mark.parametrize('pool_padding', [0, 1])
def test_bands_meet_at_every_height(height, pool_padding):
    trunk = _model('none', pool_padding=pool_padding, center_map_sigma=None).trunks.stage1_trunk
    joined = ConvPool(trunk.conv1, trunk.pool1)
    image = torch.rand(2, 3, height, 17 + height)
    with torch.no_grad():
        expected = trunk.pool1(trunk.conv1(image))
        torch.testing.assert_close(joined(image), expected, rtol=0, atol=1e-5)


def test_norms_are_gone_and_the_model_is_untouched():
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = cpm_plugin.optimize_for_inference(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in fast.modules())
    assert not any(weight.requires_grad for weight in fast.parameters())
    assert model.state_dict().keys() == before.keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(weight.requires_grad for weight in model.parameters())


def test_in_place():
    model = _model()
    assert optimize_for_inference(model, inplace=True) is model
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())


def test_vgg_trunk():
    model = _model(vgg_tail=(8,), center_map_sigma=None)
    image = torch.rand(1, 3, 40, 48)
    with torch.no_grad():
        for one, other in zip(optimize_for_inference(model)(image), model(image)):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def test_a_batch_in_parts_is_the_batch(monkeypatch):
    model = _model()
    image = torch.rand(3, 3, 40, 56) - 0.5
    fast = optimize_for_inference(model)
    with torch.no_grad():
        expected = fast(image)
        monkeypatch.setattr(inference, 'ALLOCATOR_BYTES', 2 * 8 * 20 * 28 * 4)  # two images
        sizes = []
        fast.trunks.stage1_trunk.front.first.register_forward_hook(
            lambda _, inputs, __: sizes.append(len(inputs[0]))
        )
        found = fast(image)
    assert sizes == [2, 1]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def test_a_traced_one_takes_other_batches():
    fast = optimize_for_inference(_model())
    images = torch.rand(3, 3, 40, 56) - 0.5
    with torch.no_grad():
        traced = torch.jit.trace(lambda x: tuple(fast(x)), images[:1], check_trace=False)
        for one, other in zip(traced(images), fast(images), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def test_an_empty_batch():
    model = _model()
    with torch.no_grad():
        empty = optimize_for_inference(model)(torch.empty(0, 3, 40, 56))
    assert [belief.shape for belief in empty] == [(0, 4, 5, 7)] * 3


def test_again_changes_nothing():
    fast = optimize_for_inference(_model())
    again = optimize_for_inference(fast)
    image = torch.rand(1, 3, 40, 56) - 0.5
    with torch.no_grad():
        for one, other in zip(fast(image), again(image), strict=True):
            assert torch.equal(one, other)


def test_what_is_not_ours_is_refused():
    with pytest.raises(ValueError, match=r'Sequential has no parts of a CPM'):
        optimize_for_inference(nn.Sequential(nn.Conv2d(3, 3, 9)))


def test_a_wrapped_convolution_is_named():
    model = _model()
    model.stages.first.reduce.conv = nn.Sequential(model.stages.first.reduce.conv)
    with pytest.raises(ValueError, match=r'a convolution is a Sequential, not an nn\.Conv2d'):
        optimize_for_inference(model)
