"""Row-Fourier convolution in plain PyTorch: conv2d's values and gradients, of any sizes."""

import math

import pytest
import torch
import torch.nn.functional as F

from cpm_plugin.core.conv.fourier import backward, forward, transform_weight
from cpm_plugin.core.conv.fourier_plain import PLAIN

# images, input and output channels, kernel, height, width
CASES = [
    (2, 3, 4, 5, 13, 9),  # odd, one piece
    (1, 9, 5, 9, 20, 131),  # three pieces, the last one beyond the image; channels of no group
    (3, 2, 17, 7, 6, 116),  # two pieces that fill the row
    (2, 8, 16, 11, 4, 7),  # smaller than the kernel both ways
    (1, 1, 1, 5, 1, 1),
    (1, 2, 2, 35, 9, 40),  # a kernel beyond half of the longest piece
]


def draw(case, dtype=torch.float64):
    images, channels, outputs, size, height, width = case
    torch.manual_seed(0)
    x = torch.randn(images, channels, height, width, dtype=dtype)
    weight = torch.randn(outputs, channels, size, size, dtype=dtype)
    return x, weight, torch.randn(outputs, dtype=dtype)


@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients_are_those_of_conv2d(case, order):
    inputs = [value.requires_grad_() for value in draw(case)]
    x, weight, bias = inputs
    expected = F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)
    gradient = torch.randn_like(expected)
    of_x, of_weight, _ = torch.autograd.grad(expected, inputs, gradient)
    x, weight, bias, gradient = (value.detach() for value in (x, weight, bias, gradient))
    x, weight, gradient = (value.to(memory_format=order) for value in (x, weight, gradient))
    found = forward(x, weight, bias, None, PLAIN)
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-11)
    assert found.is_contiguous(memory_format=torch.channels_last)
    found = backward(gradient, x, weight, PLAIN, for_x=True, for_weight=True)
    torch.testing.assert_close(found.x, of_x, rtol=0, atol=1e-11)
    torch.testing.assert_close(found.weight, of_weight, rtol=0, atol=1e-10)


def test_only_the_gradient_that_is_wanted_is_made():
    x, weight, _ = draw(CASES[0])
    gradient = torch.randn(2, 4, 13, 9, dtype=torch.float64)
    both = backward(gradient, x, weight, PLAIN, for_x=True, for_weight=True)
    one = backward(gradient, x, weight, PLAIN, for_x=True, for_weight=False)
    assert torch.equal(one.x, both.x) and one.weight is None
    one = backward(gradient, x, weight, PLAIN, for_x=False, for_weight=True)
    assert one.x is None and torch.equal(one.weight, both.weight)


def test_a_kernel_transformed_before_gives_the_same():
    x, weight, bias = draw(CASES[1])
    kept = transform_weight(weight, x.shape[3], x.dtype, PLAIN)
    # 57 = 131 / 3 rounded up to even, 44, and 8 more points; 9 and 5 channels become 16 and 8
    assert kept.shape == (26, 9, 32, 16)
    found = forward(x, weight, bias, kept, PLAIN)
    assert torch.equal(found, forward(x, weight, bias, None, PLAIN))


def rms(found, expected):
    return float(
        (found.double() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    )


# A prototype on an NVIDIA H100 had 4.9e-3 against 2.9e-3 in bfloat16, and 5.8e-4 in float16.
@pytest.mark.parametrize(
    ('dtype', 'least', 'most'),
    [(torch.bfloat16, 2.9e-3, 6e-3), (torch.float16, 3.6e-4, 7e-4), (torch.float32, 0, 1e-6)],
)
def test_rounding_is_less_than_twice_that_of_a_direct_convolution(dtype, least, most):
    x, weight = torch.randn(1, 16, 46, 46), torch.randn(16, 16, 11, 11) / math.sqrt(16 * 121)
    expected = F.conv2d(x.double(), weight.double(), padding=5)
    x = x.to(dtype)
    found = forward(x, weight, None, None, PLAIN)
    assert found.dtype == dtype
    direct = F.conv2d(x.float(), weight.to(dtype).float(), padding=5).to(dtype)
    error, of_direct = rms(found, expected), rms(direct, expected)
    assert least < error < most
    if dtype != torch.float32:
        assert of_direct < error < 2 * of_direct


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_rounding_of_the_gradients_is_less_than_twice_that_of_a_direct_convolution(dtype):
    def by_conv2d(*values, dtype):
        inputs = [value.to(dtype).requires_grad_() for value in values[:2]]
        return torch.autograd.grad(F.conv2d(*inputs, padding=4), inputs, values[2].to(dtype))

    x, weight, _ = draw((2, 8, 8, 9, 24, 24), torch.float32)
    gradient = torch.randn_like(x)
    expected = by_conv2d(x, weight, gradient, dtype=torch.float64)
    rounded = [value.to(dtype).float() for value in (x, weight, gradient)]
    direct = [value.to(dtype) for value in by_conv2d(*rounded, dtype=torch.float32)]
    found = backward(gradient.to(dtype), x.to(dtype), weight, PLAIN, for_x=True, for_weight=True)
    assert found.x.dtype == dtype and found.weight.dtype == torch.float32
    for one, other, exact in zip(found, direct, expected, strict=True):
        assert rms(one, exact) < 2 * rms(other, exact)
