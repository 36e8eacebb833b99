"""The steps by Triton: sizes of blocks, and values on a GPU where there is one."""

import pytest
import torch

from cpm_plugin.core.conv.fourier_matrices import row_matrices, row_of
from cpm_plugin.core.conv.fourier_plain import PLAIN
from cpm_plugin.core.conv.fourier_triton import STEPS, Blocks, block_sizes


@pytest.mark.parametrize(
    ('sizes', 'blocks'),
    [
        # an H100, with 227 KB of shared memory: products of a layer of 128 channels, bfloat16
        ((1472, 256, 256, 2, 227 * 1024), Blocks(128, 256, 64, 8, 4)),
        ((1472, 256, 256, 2, 99 * 1024), Blocks(128, 256, 64, 8, 2)),
        ((1472, 256, 96, 2, 227 * 1024), Blocks(128, 256, 32, 8, 4)),  # 48 channels = 3 x 32 / 2
        ((46, 64, 256, 2, 227 * 1024), Blocks(64, 64, 64, 4, 4)),  # one image
        ((1472, 256, 256, 4, 99 * 1024), Blocks(128, 128, 32, 4, 3)),
        ((256, 256, 1471, 2, 227 * 1024), Blocks(128, 256, 64, 8, 4)),  # sums over 1471 pieces
        ((16, 16, 3, 2, 99 * 1024), Blocks(16, 16, 16, 4, 4)),
    ],
)
def test_blocks_fit_the_product_and_the_gpu(sizes, blocks):
    assert block_sizes(*sizes) == blocks
    stage = (blocks.rows + blocks.columns) * blocks.depth * sizes[3]
    assert blocks.stages * stage <= sizes[4]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize(
    ('images', 'channels', 'outputs', 'size', 'side'),
    [(2, 128, 128, 11, 46), (1, 48, 128, 9, 92), (2, 3, 20, 5, 61)],
)
def test_steps_on_a_gpu_are_those_in_plain_pytorch(images, channels, outputs, size, side, dtype):
    row = row_of(side, size)
    made = row_matrices(row.points, size, dtype, 'cuda')
    x = torch.randn(images, side, side, channels, device='cuda').to(dtype)
    y = torch.randn(images, side, side, outputs, device='cuda').to(dtype)
    weight = torch.randn(outputs, channels, size, size, device='cuda')
    cells = PLAIN.to_points(x, made.cells, row, 0)
    results = PLAIN.to_points(y, made.inputs, row, -(size // 2))
    kernel = PLAIN.weight_points(weight, made.taps, dtype)
    sums = PLAIN.sums(cells, results, size)
    for step in (
        lambda by: by.to_points(x, made.inputs, row, -(size // 2)),
        lambda by: by.from_points(results, made.outputs, row, (side, outputs), weight[:, 0, 0, 0]),
        lambda by: by.products(cells, kernel, transposed=False),
        lambda by: by.products(results, kernel, transposed=True),
        lambda by: by.sums(cells, results, size),
        lambda by: by.weight_points(weight, made.taps, dtype),
        lambda by: by.weight_gradient(sums, made.lags, weight),
    ):
        found, again, expected = step(STEPS), step(STEPS), step(PLAIN)
        assert torch.equal(found, again)  # deterministic
        error = (found.double() - expected.double()).square().mean().sqrt()
        # TF32 has 10 bits, as float16
        unit = torch.finfo(torch.float16 if dtype == torch.float32 else dtype).eps
        assert error < unit * expected.double().square().mean().sqrt()
