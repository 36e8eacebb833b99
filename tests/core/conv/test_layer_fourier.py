"""LargeKernelConv2d with method='fourier': where it is taken, and that it is conv2d there."""

import pytest
import torch
from torch import nn

from cpm_plugin.core import create_model, set_conv_method
from cpm_plugin.core.conv import layer as layer_module
from cpm_plugin.core.conv.fourier_matrices import Row
from cpm_plugin.core.conv.layer import LargeKernelConv2d


@pytest.fixture
def pair():
    torch.manual_seed(0)
    plain = nn.Conv2d(16, 17, 9, padding=4).double().eval()
    layer = LargeKernelConv2d(16, 17, 9, padding=4, method='fourier').double().eval()
    layer.load_state_dict(plain.state_dict())
    return plain, layer, torch.randn(2, 16, 12, 21, dtype=torch.float64)


def assert_equal_values(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_values_and_gradients(pair):
    _, layer, x = pair
    gradients = []
    for module in pair[:2]:
        module.train()
        values = x.clone().requires_grad_()
        module(values).square().sum().backward()
        gradients.append([values.grad, *(one.grad for one in module.parameters())])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
    assert layer.last_choice.row == Row(outputs=22, points=30, pieces=1)
    assert layer._kept is None
    assert 'method=fourier, last row-Fourier by 22' in repr(layer)


def test_relu_in_place_after_it_trains(pair):
    layer, plain, x = pair
    for conv in (layer, plain):
        torch.nn.functional.relu(conv(x), inplace=True).sum().backward()
    assert_equal_values(layer.weight.grad, plain.weight.grad)


def test_kept_weights_follow_the_weights(pair):
    plain, layer, x = pair
    with torch.no_grad():
        assert_equal_values(layer(x), plain(x))
        kept = layer._kept
        layer(x)
        assert layer._kept is kept is not None
        layer(x[..., :20])  # other widths need other ones
        assert layer._kept is not kept
        for module in pair[:2]:
            module.weight.data.mul_(2)
        assert_equal_values(layer(x), plain(x))


def test_tiles_of_a_weight_are_not_taken_for_it(pair):
    plain, layer, x = pair
    with torch.no_grad():
        for method in ('tiled', 'fourier', 'tiled'):
            layer.method = method
            assert_equal_values(layer(x), plain(x))


@pytest.mark.parametrize(
    'arguments',
    [
        dict(kernel_size=9, padding=3),
        dict(kernel_size=9, padding=4, stride=2),
        dict(kernel_size=9, padding=4, groups=2),
        dict(kernel_size=9, padding=4, padding_mode='reflect'),
        dict(kernel_size=(9, 7), padding=(4, 3)),
        dict(kernel_size=3, padding=1),
        dict(kernel_size=1),
    ],
)
def test_what_is_not_possible_goes_directly(arguments):
    layer = LargeKernelConv2d(16, 16, method='fourier', **arguments)
    plain = nn.Conv2d(16, 16, **arguments)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(1, 16, 24, 24)
    assert torch.equal(layer(x), plain(x))
    assert layer.last_choice is None


def test_few_channels_and_empty_batches_go_directly(pair):
    layer = LargeKernelConv2d(3, 16, 9, padding=4, method='fourier')
    assert layer(torch.randn(1, 3, 20, 20)).shape == (1, 16, 20, 20)
    assert layer.last_choice is None
    assert pair[1](pair[2][:0]).shape == (0, 17, 12, 21)
    assert pair[1].last_choice.row is None


@pytest.mark.parametrize('training', [False, True])
def test_autocast_rounds_no_more_than_twice_as_much_and_keeps_gradients_in_float32(pair, training):
    plain, layer, x = pair[0], pair[1].float().train(training), pair[2].float()
    expected = plain(x.double()).detach()
    results = []
    for module in (layer, nn.Conv2d.forward):
        with torch.autocast('cpu', torch.bfloat16), torch.set_grad_enabled(training):
            found = module(x) if module is layer else module(layer, x)
        assert found.dtype == torch.bfloat16
        results.append(float((found.detach().double() - expected).norm() / expected.norm()))
    assert layer.last_choice.row is not None
    assert results[0] < 2 * results[1]
    if training:
        layer(x).sum().backward()
        assert layer.weight.grad.dtype == layer.bias.grad.dtype == torch.float32


def test_autocast_leaves_float64_alone(pair):
    plain, layer, x = pair
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        assert_equal_values(layer(x), plain(x))
    layer.float()
    with torch.no_grad(), pytest.raises(RuntimeError):
        layer(x)  # as conv2d: float64 with weights of float32


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_a_layer_of_half_precision(pair, dtype):
    plain, layer, x = pair
    with torch.no_grad():
        found = layer.to(dtype)(x.to(dtype))
    assert found.dtype == dtype and layer.last_choice.row is not None
    torch.testing.assert_close(found.double(), plain(x), rtol=0.05, atol=0.05)


def test_where_the_device_has_none_it_goes_directly(pair, monkeypatch):
    plain, layer, x = pair
    monkeypatch.setattr(layer_module, 'is_possible', lambda device, dtype: False)
    with torch.no_grad():
        assert torch.equal(layer(x), plain(x))
    assert layer.last_choice is None


def test_compile_takes_the_operator_in_one_graph(pair):
    plain, layer, x = pair
    graphs = []

    def backend(graph, example):
        graphs.append([str(node.target) for node in graph.graph.nodes])
        return graph

    compiled = torch.compile(layer, backend=backend, fullgraph=True)
    with torch.no_grad():
        assert_equal_values(compiled(x), plain(x))
    compiled(x.requires_grad_()).sum().backward()
    expected = x.grad.clone()
    x.grad = None
    plain(x).sum().backward()
    assert_equal_values(x.grad, expected)
    assert [graph.count('cpm_plugin.row_fourier') for graph in graphs] == [1, 1]
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        assert (
            torch.compile(layer.float(), backend=backend, fullgraph=True)(x.float()).dtype
            == torch.bfloat16
        )
    assert 'cpm_plugin.row_fourier' in graphs[-1]


@pytest.mark.parametrize('strict', [False, True])
def test_export_goes_directly(pair, strict):
    plain, layer, x = pair
    exported = torch.export.export(layer, (x,), strict=strict)
    assert 'aten.conv2d' in str(exported.graph) and 'row_fourier' not in str(exported.graph)
    with torch.no_grad():
        assert_equal_values(exported.module()(x), plain(x))


def test_tracing_and_transforms_go_directly(pair):
    plain, layer, x = pair
    assert 'aten::_convolution' in str(torch.jit.trace(layer, x).inlined_graph)
    with torch.no_grad():
        found = torch.func.vmap(lambda image: layer(image[None]))(x)
        assert_equal_values(found[:, 0], plain(x))
    assert layer.last_choice is None


TRANSFORMS = {
    'vmap': lambda module: lambda x: torch.func.vmap(lambda image: module(image[None]))(x),
    'grad': lambda module: torch.func.grad(lambda x: module(x).square().sum()),
    'jvp': lambda module: lambda x: torch.func.jvp(module, (x,), (x,))[1],
}


@pytest.mark.parametrize('transform', TRANSFORMS.values(), ids=TRANSFORMS)
def test_compiled_transforms_go_directly(pair, transform):
    """The operator has no rule for them: a tangent, for one, would be 0 without a word."""
    plain, layer, x = pair
    found = torch.compile(transform(layer), backend='eager', fullgraph=True)(x)
    torch.testing.assert_close(found, transform(plain)(x))


def test_second_derivatives(pair):
    found = []
    for module in pair[:2]:
        x = pair[2].clone().requires_grad_()
        (first,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [x, module.weight]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_whole_network_has_the_same_beliefs():
    image = torch.rand(1, 3, 48, 40) - 0.5
    model = create_model('cpm_slim_3s', pretrained=True).eval()
    with torch.no_grad():
        expected = model(image)
        set_conv_method(model, 'fourier')
        found = model(image)
    taken = [
        layer.last_choice is not None and layer.last_choice.row is not None
        for layer in model.modules()
        if isinstance(layer, LargeKernelConv2d)
    ]
    assert sum(taken) >= 5
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))
