"""Compare the kernels of the row-Fourier convolution, in Triton's interpreter, with plain PyTorch.

    TRITON_INTERPRET=1 python tests/cpm_testing/interpreted.py

It prints, as JSON, the largest difference of each step by type and way, relative to the largest
value. It needs a process of its own: Triton asks for the interpreter when it is imported.
"""

import json

import torch
import torch.nn.functional as F

from cpm_plugin.core.conv import fourier_triton
from cpm_plugin.core.conv.fourier import backward, forward
from cpm_plugin.core.conv.fourier_matrices import Row, row_matrices
from cpm_plugin.core.conv.fourier_plain import PLAIN
from cpm_plugin.core.conv.fourier_triton import STEPS, Blocks

SIZE, ROW = 5, Row(outputs=4, points=8, pieces=3)
# Channels of no group of 8; a row whose last piece goes beyond it.
IMAGES, HEIGHT, WIDTH, CHANNELS, OUTPUTS = 2, 3, 11, 3, 20
SMALL = Blocks(rows=16, columns=16, depth=16, warps=4, stages=2)  # several blocks of each kind


def steps_of(dtype):
    """Each step as a function of who computes, by name."""
    made = row_matrices(ROW.points, SIZE, dtype, 'cpu')
    x = torch.randn(IMAGES, HEIGHT, WIDTH, CHANNELS).to(dtype)
    y = torch.randn(IMAGES, HEIGHT, WIDTH, OUTPUTS).to(dtype)
    weight, bias = torch.randn(OUTPUTS, CHANNELS, SIZE, SIZE), torch.randn(OUTPUTS)
    last = weight.to(memory_format=torch.channels_last)
    cells = PLAIN.to_points(x, made.cells, ROW, 0)
    points = PLAIN.to_points(x, made.inputs, ROW, -2)
    results = PLAIN.to_points(y, made.inputs, ROW, -2)
    kernel = PLAIN.weight_points(weight, made.taps, dtype)
    sums = PLAIN.sums(cells, results, SIZE)
    found = PLAIN.products(points, kernel, transposed=False)
    size = (WIDTH, OUTPUTS)
    return {
        'to_points': lambda by: by.to_points(x, made.inputs, ROW, -2),
        'to_points, cells': lambda by: by.to_points(x, made.cells, ROW, 0),
        'from_points': lambda by: by.from_points(found, made.outputs, ROW, size, None),
        'from_points, bias': lambda by: by.from_points(found, made.gradients, ROW, size, bias),
        'products': lambda by: by.products(points, kernel, transposed=False),
        'products, transposed': lambda by: by.products(results, kernel, transposed=True),
        'sums': lambda by: by.sums(cells, results, SIZE),
        'weight_points': lambda by: by.weight_points(weight, made.taps, dtype),
        'weight_points, last': lambda by: by.weight_points(last, made.taps, dtype),
        'weight_gradient': lambda by: by.weight_gradient(sums, made.lags, weight),
        'weight_gradient, last': lambda by: by.weight_gradient(sums, made.lags, last),
    }


def relative(found, expected):
    assert found.shape == expected.shape
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


def whole():
    """Values and gradients of a convolution against conv2d in float64, by the table's blocks."""
    x, weight = torch.randn(2, 3, 4, 7), torch.randn(4, 3, SIZE, SIZE)
    inputs = [value.double().requires_grad_() for value in (x, weight, torch.randn(4))]
    expected = F.conv2d(*inputs, padding=2)
    gradient = torch.randn(2, 4, 4, 7)
    of_x, of_weight, _ = torch.autograd.grad(expected, inputs, gradient.double())
    found = forward(x, weight, inputs[2].detach().float(), None, STEPS)
    gradients = backward(gradient, x, weight, STEPS, for_x=True, for_weight=True)
    return {
        'float32, all, values': relative(found, expected.detach()),
        'float32, all, gradient of x': relative(gradients.x, of_x),
        'float32, all, gradient of weight': relative(gradients.weight, of_weight),
    }


def main():
    torch.manual_seed(0)
    found = whole()
    fourier_triton.block_sizes = lambda *sizes: SMALL
    for dtype in (torch.float32, torch.float16):
        for name, step in steps_of(dtype).items():
            one, other = step(STEPS), step(PLAIN)
            assert one.dtype == other.dtype, name
            found[f'{str(dtype)[6:]}, {name}'] = relative(one, other)
    print(json.dumps(found))


if __name__ == '__main__':
    main()
