"""LargeKernelConv2d: conv2d's values either way, and kept weights that are never stale."""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from cpm_plugin.core import create_model
from cpm_plugin.core.conv.layer import LargeKernelConv2d, set_conv_method


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
    [
        dict(kernel_size=9, padding=3),
        dict(kernel_size=9, padding=0),
        dict(kernel_size=9, padding=4, stride=2),
        dict(kernel_size=9, padding=8, dilation=2),
        dict(kernel_size=9, padding=4, groups=2),
        dict(kernel_size=9, padding=4, padding_mode='reflect'),
        dict(kernel_size=(9, 7), padding=(4, 3)),
        dict(kernel_size=8, padding=4),
        dict(kernel_size=1),
    ],
)
def test_what_cannot_be_tiled_goes_directly(arguments):
    layer = LargeKernelConv2d(4, 4, method='tiled', **arguments)
    plain = nn.Conv2d(4, 4, **arguments)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(1, 4, 24, 24)
    assert torch.equal(layer(x), plain(x))
    assert layer.last_choice is None


def test_padding_by_name_is_tiled(pair):
    plain, _, x = pair
    layer = LargeKernelConv2d(3, 4, 9, padding='same', method='tiled').double()
    layer.load_state_dict(plain.state_dict())
    assert_equal_values(layer(x), plain(x))
    assert layer.last_choice.tile is not None


def test_half_precision_and_single_images_go_directly(pair):
    layer = pair[1].to(torch.bfloat16)
    assert layer(torch.randn(1, 3, 20, 17, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert layer(torch.randn(3, 20, 17, dtype=torch.bfloat16)).shape == (4, 20, 17)
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
    with pytest.raises(ValueError, match=r"'fft' .*: there are auto, direct, tiled"):
        LargeKernelConv2d(3, 4, 9, method='fft')


def test_relu_in_place_after_it_trains(pair):
    plain, layer, x = pair
    for module in pair[:2]:
        nn.Sequential(module, nn.ReLU(inplace=True))(x).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)


def test_method_of_a_whole_model_is_set():
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
    assert 'estimated: direct ' in repr(layer)
    layer.method = 'direct'
    layer(x)
    assert 'last' not in repr(layer)


def _one_tap(weight):
    weight.data[:, :, 4, 4] += 1


def _one_channel(weight):
    weight.data[:, 3] = 0


def _one_value(weight):
    weight.data[5, 7, 2, 3] += 1


@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('change', [_one_tap, _one_channel, _one_value])
def test_a_change_of_some_weights_through_data_is_seen(change, order):
    torch.manual_seed(0)
    layer = LargeKernelConv2d(16, 16, 9, padding=4, method='tiled').eval()
    layer.to(memory_format=order)
    x = torch.randn(1, 16, 20, 20)
    with torch.no_grad():
        layer(x)
        change(layer.weight)
        expected = nn.functional.conv2d(x, layer.weight, layer.bias, padding=4)
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize('mode', [True, False])
@pytest.mark.parametrize('name', ['weight', 'bias'])
def test_one_parameter_alone_can_be_trained(pair, name, mode):
    gradients = []
    for module in pair[:2]:
        module.train(mode).requires_grad_(False)
        parameter = getattr(module, name).requires_grad_()
        module(pair[2]).square().sum().backward()
        gradients.append(parameter.grad)
    assert gradients[0].abs().max() > 1
    torch.testing.assert_close(*gradients)


def test_second_derivatives(pair):
    found = []
    for module in pair[:2]:
        x = pair[2].clone().requires_grad_()
        (first,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [x, module.weight]))
    for one, other in zip(*found, strict=True):
        assert one.abs().max() > 1
        torch.testing.assert_close(one, other)


def test_a_backward_pass_inside_autocast(pair):
    layer, x = pair[1].float(), pair[2].float()
    with torch.autocast('cpu', torch.bfloat16):
        with torch.autocast('cpu', enabled=False):
            loss = layer(x).square().sum()
        loss.backward()
    expected = pair[0].float()
    expected(x).square().sum().backward()
    scale = float(expected.weight.grad.abs().max())
    difference = (layer.weight.grad - expected.weight.grad).abs().max()
    assert difference < 1e-5 * scale


def test_weights_made_in_inference_mode():
    with torch.inference_mode():
        layer = LargeKernelConv2d(3, 4, 9, padding=4, method='tiled').eval()
        x = torch.randn(1, 3, 20, 20)
        for _ in range(2):
            expected = nn.functional.conv2d(x, layer.weight, layer.bias, padding=4)
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-5)
            layer.weight.mul_(2)


def test_threads_with_other_tiles_do_not_mix(pair):
    plain, layer, _ = pair
    torch.manual_seed(1)
    inputs = [torch.randn(1, 3, side, side, dtype=torch.float64) for side in (12, 20, 31)]
    with torch.no_grad():
        expected = [plain(x) for x in inputs]

    def work(number):
        with torch.no_grad():
            return [(layer(inputs[number]) - expected[number]).abs().max() for _ in range(60)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as pool:
            errors = [error for worker in pool.map(work, range(3)) for error in worker]
    finally:
        sys.setswitchinterval(interval)
    assert max(errors) < 1e-10


def test_fake_tensors_leave_nothing_behind(pair):
    plain, layer, x = pair
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        assert layer(mode.from_tensor(x)).shape == (2, 4, 20, 17)
    with torch.no_grad():
        assert_equal_values(layer(x), plain(x))


@pytest.mark.parametrize('dynamic', [False, True])
def test_export_goes_directly(pair, dynamic):
    _, layer, x = pair
    shapes = {'x': {0: torch.export.Dim('batch')}} if dynamic else None
    exported = torch.export.export(layer, (x,), dynamic_shapes=shapes)
    assert 'aten.conv2d' in str(exported.graph)
    with torch.no_grad():
        assert_equal_values(exported.module()(x), layer(x))


def test_compile_goes_directly(pair):
    _, layer, x = pair
    with torch.no_grad():
        expected = layer(x)
        layer.last_choice = None
        assert_equal_values(torch.compile(layer, backend='eager')(x), expected)
    assert layer.last_choice is None


def test_unknown_method_of_a_model_is_refused():
    with pytest.raises(ValueError, match=r"'tield' of a convolution .*there are auto"):
        set_conv_method(nn.ReLU(), 'tield')
