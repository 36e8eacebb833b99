"""LargeKernelConv2d: conv2d's values either way, and kept weights that are never stale."""

import copy
import pickle

import pytest
import torch
from torch import nn

from cpm_plugin.core.large_conv import LargeKernelConv2d


@pytest.fixture
def pair():
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 4, 9, padding=4).double().eval()
    layer = LargeKernelConv2d(3, 4, 9, padding=4, method='tiled').double().eval()
    layer.load_state_dict(plain.state_dict())
    return plain, layer, torch.randn(2, 3, 20, 17, dtype=torch.float64)


def assert_equal_values(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_state_dict_is_that_of_conv2d(pair):
    plain, layer, _ = pair
    assert list(layer.state_dict()) == list(plain.state_dict()) == ['weight', 'bias']


def test_values_and_gradients(pair):
    plain, layer, x = pair
    for module in pair[:2]:
        module.train()
        module(x).square().sum().backward()
    assert layer.last_choice.tile is not None
    assert_equal_values(layer(x), plain(x))
    assert plain.weight.grad.abs().max() > 1
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)
    torch.testing.assert_close(layer.bias.grad, plain.bias.grad)


def _optimizer_step(weight):
    weight.grad = torch.ones_like(weight)
    torch.optim.SGD([weight], lr=0.1).step()


def _write_in_place(weight):
    with torch.no_grad():
        weight.mul_(2)


def _write_through_data(weight):  # as MMEngine's EMA hook, which leaves the version alone
    weight.data.copy_(weight.data * 2)


@pytest.mark.parametrize('change', [_optimizer_step, _write_in_place, _write_through_data])
def test_kept_weights_follow_the_weights(pair, change):
    plain, layer, x = pair
    with torch.no_grad():
        before = layer(x)
    kept = layer._kept
    with torch.no_grad():
        layer(x)
    assert layer._kept is kept is not None  # used again
    change(layer.weight)
    change(plain.weight)
    with torch.no_grad():
        after = layer(x)
        assert_equal_values(after, plain(x))
    assert (after - before).abs().max() > 0.1


def test_loading_weights_drops_the_kept_ones(pair):
    plain, layer, x = pair
    with torch.no_grad():
        layer(x)
        other = {name: value + 1 for name, value in plain.state_dict().items()}
        plain.load_state_dict(other)
        layer.load_state_dict(other)
        assert_equal_values(layer(x), plain(x))


def test_training_keeps_nothing(pair):
    _, layer, x = pair
    with torch.no_grad():
        layer(x)
    layer.train()
    assert layer._kept is None
    layer(x)
    assert layer._kept is None


def test_copies_and_pickles_go_without_kept_weights(pair):
    _, layer, x = pair
    with torch.no_grad():
        expected = layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other._kept is None
        with torch.no_grad():
            assert_equal_values(other(x), expected)


def test_direct_is_conv2d_bit_for_bit(pair):
    plain, layer, x = pair
    layer.method = 'direct'
    assert torch.equal(layer(x), plain(x))


@pytest.mark.parametrize(
    'arguments',
    [dict(padding=3), dict(padding=4, stride=2), dict(padding=8, dilation=2), dict(padding=0)],
)
def test_what_cannot_be_tiled_goes_directly(arguments):
    layer = LargeKernelConv2d(3, 4, 9, method='tiled', **arguments)
    plain = nn.Conv2d(3, 4, 9, **arguments)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(1, 3, 24, 24)
    assert torch.equal(layer(x), plain(x))
    assert layer.last_choice is None


def test_tracing_goes_directly(pair):
    _, layer, x = pair
    traced = torch.jit.trace(layer, x)
    assert 'aten::_convolution' in str(traced.inlined_graph)
    assert_equal_values(traced(x), layer(x))


def test_autocast_goes_directly(pair):
    layer = pair[1].float()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert layer(torch.randn(1, 3, 20, 17)).dtype == torch.bfloat16
    assert layer.last_choice is None


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="'fft': there are auto, direct, tiled"):
        LargeKernelConv2d(3, 4, 9, method='fft')


def test_relu_in_place_after_it_trains(pair):
    plain, layer, x = pair
    for module in pair[:2]:
        nn.Sequential(module, nn.ReLU(inplace=True))(x).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)


def test_method_of_a_whole_model_is_set():
    from cpm_plugin.core import create_model, set_conv_method

    model = create_model('cpm_slim_3s', conv_method='direct')
    layers = [layer for layer in model.modules() if isinstance(layer, LargeKernelConv2d)]
    assert len(layers) == 6 + 3 + 2 * 5
    assert {layer.method for layer in layers} == {'direct'}
    set_conv_method(model, 'tiled')
    assert {layer.method for layer in layers} == {'tiled'}


def test_the_choice_is_printed(pair):
    _, layer, x = pair
    assert 'method=tiled)' in repr(layer)
    layer(x)
    assert 'method=tiled, last tiles of ' in repr(layer)
    assert 'model: direct ' in repr(layer)
