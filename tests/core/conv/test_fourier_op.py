"""The operators of the row-Fourier convolution: autograd, compile, types, and direct ways out."""

import pytest
import torch
import torch.nn.functional as F

from cpm_plugin.core.conv import fourier_op
from cpm_plugin.core.conv.fourier_op import is_possible, row_fourier, row_fourier_weight

DOUBLE = torch.float64


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    shapes = (2, 3, 6, 9), (4, 3, 5, 5), (4,)
    return [torch.randn(shape, dtype=DOUBLE, requires_grad=True) for shape in shapes]


def expected_of(x, weight, bias=None):
    return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)


def test_gradcheck(inputs):
    assert torch.autograd.gradcheck(row_fourier, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(row_fourier, inputs, fast_mode=True)


@pytest.mark.parametrize('alone', [0, 1, 2])
def test_gradient_of_one_input_alone(inputs, alone):
    for number, value in enumerate(inputs):
        value.requires_grad_(number == alone)
    gradients = []
    for function in (row_fourier, expected_of):
        (gradient,) = torch.autograd.grad(function(*inputs).square().sum(), inputs[alone])
        gradients.append(gradient)
    assert gradients[0].abs().max() > 1
    torch.testing.assert_close(*gradients)


def test_operators_keep_pytorchs_rules(inputs):
    """Schemas, shapes and strides of fake tensors, autograd, compiling with changing sizes."""
    x, weight, bias = inputs
    plain = [value.detach() for value in inputs]
    library = torch.ops.cpm_plugin
    gradient = torch.randn(2, 4, 6, 9, dtype=DOUBLE)
    for operator, arguments in (
        (library.row_fourier, (x, weight, bias, None)),
        (library.row_fourier, (x, weight, None, None)),
        (library.row_fourier_weight, (plain[1], 9, torch.float32)),
        (library.row_fourier_backward, (gradient, plain[0], plain[1], True, False)),
        (library.row_fourier_backward, (gradient, plain[0], plain[1], False, True)),
    ):
        assert set(torch.library.opcheck(operator, arguments).values()) == {'SUCCESS'}


def test_a_compiled_function_is_one_graph_forth_and_back(inputs):
    x, weight, bias = inputs
    graphs = []

    def backend(graph, example):
        graphs.append(str(graph.graph))
        return graph

    from torch._dynamo.backends.common import aot_autograd

    compiled = torch.compile(
        lambda *values: row_fourier(*values).square().sum(),
        backend=aot_autograd(fw_compiler=backend, bw_compiler=backend),
        fullgraph=True,
    )
    found = torch.autograd.grad(compiled(x, weight, bias), inputs)
    assert [graph.count('cpm_plugin.row_fourier.default') for graph in graphs] == [1, 0]
    assert [graph.count('row_fourier_backward.default') for graph in graphs] == [0, 1]
    expected = torch.autograd.grad(expected_of(x, weight, bias).square().sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_weight_keeps_its_own_type(inputs):
    x, weight, bias = (value.detach().float().requires_grad_() for value in inputs)
    expected = expected_of(x, weight, bias)
    with torch.autocast('cpu', torch.bfloat16):  # which would round products within
        torch.testing.assert_close(row_fourier(x, weight, bias), expected)
    found = row_fourier(x.bfloat16(), weight, bias)
    assert found.dtype == torch.bfloat16
    gradients = torch.autograd.grad(found.float().square().sum(), (x, weight, bias))
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    expected = expected_of(x.bfloat16().float(), weight, bias).square().sum()
    for one, other in zip(gradients, torch.autograd.grad(expected, (x, weight, bias))):
        assert (one - other).norm() < 0.02 * other.norm()


def test_a_kept_weight_gives_the_same(inputs):
    x, weight, bias = (value.detach() for value in inputs)
    kept = row_fourier_weight(weight, 9, DOUBLE)
    assert torch.equal(row_fourier(x, weight, bias, kept), row_fourier(x, weight, bias))


@pytest.mark.parametrize('shape', [(0, 3, 6, 9), (2, 3, 0, 9), (2, 3, 6, 0)])
def test_empty_images(inputs, shape):
    x = torch.zeros(shape, dtype=DOUBLE, requires_grad=True)
    found = row_fourier(x, *inputs[1:])
    assert found.shape == (shape[0], 4, *shape[2:])
    of_x, of_weight = torch.autograd.grad(found.sum(), (x, inputs[1]))
    assert of_x.shape == shape and of_weight.abs().max() == 0


@pytest.mark.parametrize('needed', [(True, True), (True, False), (False, True)])
def test_where_it_is_not_possible_the_operator_computes_directly(inputs, needed, monkeypatch):
    monkeypatch.setattr(fourier_op, 'is_possible', lambda device, dtype: False)
    monkeypatch.setattr(fourier_op, '_steps', None)  # not asked
    x, weight, bias = inputs
    x.requires_grad_(needed[0])
    weight.requires_grad_(needed[1])
    learned = [value for value in (x, weight) if value.requires_grad]
    found, expected = row_fourier(x, weight, bias), expected_of(x, weight, bias)
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for one, other in zip(
        torch.autograd.grad(found.sum(), learned), torch.autograd.grad(expected.sum(), learned)
    ):
        torch.testing.assert_close(one, other)


def test_devices_and_types_that_it_is_possible_for(monkeypatch):
    cpu, gpu = torch.device('cpu'), torch.device('cuda', 3)
    assert is_possible(cpu, torch.bfloat16) and is_possible(cpu, DOUBLE)
    assert not is_possible(cpu, torch.int64)
    assert not is_possible(torch.device('meta'), torch.float32)

    def here(capability=(9, 0), triton='there', hip=None):
        fourier_op._has_kernels.cache_clear()
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device: capability)
        monkeypatch.setattr(fourier_op, 'find_spec', lambda name: triton)
        monkeypatch.setattr(torch.version, 'hip', hip)

    here()
    assert is_possible(gpu, torch.bfloat16) and is_possible(gpu, torch.float16)
    assert not is_possible(gpu, DOUBLE)
    monkeypatch.setattr(fourier_op, 'tf32_allowed', lambda: True)
    assert is_possible(gpu, torch.float32)
    monkeypatch.setattr(fourier_op, 'tf32_allowed', lambda: False)
    assert not is_possible(gpu, torch.float32)
    for other in (dict(capability=(7, 5)), dict(triton=None), dict(hip='6.0')):
        here(**other)
        assert not is_possible(gpu, torch.bfloat16)
    fourier_op._has_kernels.cache_clear()


def test_tf32_follows_pytorchs_setting(monkeypatch):
    from cpm_plugin.core.conv.fourier import tf32_allowed

    assert tf32_allowed()  # PyTorch's default
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    assert not tf32_allowed()
