"""The small matrices: correlations of known values, at every length in use."""

import pytest
import torch

from cpm_plugin.core.conv.bilinear import columns, rows


def correlate(x, w, outputs):
    """One dimension, by the matrices of a real row."""
    data, taps, products = columns(outputs, len(w), 1)
    return products.T @ ((data @ x) * (taps @ w))


def correlate_2d(x, w, outputs):
    """Both dimensions, block by block."""
    along_y, blocks = rows(outputs[0], len(w))
    seen, kernel = along_y.data @ x, along_y.taps @ w
    result = torch.zeros(len(seen), outputs[1], dtype=x.dtype)
    start = 0
    for size in blocks:
        block = slice(start, start + size)
        data, taps, products = columns(outputs[1], len(w), size)
        product = (data @ seen[block].flatten()) * (taps @ kernel[block].flatten())
        result[block] = (products.T @ product).view(size, -1)
        start += size
    return along_y.products.T @ result


def test_a_correlation_worked_out_by_hand():
    x = torch.tensor([1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
    w = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    # 1 + 20 + 300, 2 + 30 + 500
    expected = torch.tensor([321.0, 532.0], dtype=torch.float64)
    torch.testing.assert_close(correlate(x, w, 2), expected)


@pytest.mark.parametrize('size', [2, 3, 5, 7, 9, 11])
def test_equals_the_sum_over_taps(size):
    generator = torch.Generator().manual_seed(0)
    for outputs in range(2, 30):
        x = torch.randn(outputs + size - 1, generator=generator, dtype=torch.float64)
        w = torch.randn(size, generator=generator, dtype=torch.float64)
        expected = x.unfold(0, size, 1) @ w
        torch.testing.assert_close(correlate(x, w, outputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('outputs', [(2, 2), (3, 2), (8, 12), (17, 16), (12, 7)])
@pytest.mark.parametrize('size', [2, 3, 9, 11])
def test_equals_the_sum_over_taps_in_two_dimensions(size, outputs):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(
        *(side + size - 1 for side in outputs), generator=generator, dtype=torch.float64
    )
    w = torch.randn(size, size, generator=generator, dtype=torch.float64)
    expected = (x.unfold(0, size, 1).unfold(1, size, 1) * w).sum(dim=(2, 3))
    torch.testing.assert_close(correlate_2d(x, w, outputs), expected, rtol=0, atol=1e-11)


def test_needs_fewer_products_than_the_sum():
    assert len(columns(12, 11, 1).data) == 31  # instead of 132
    _, blocks = rows(12, 11)
    assert blocks == (1,) * 4 + (2,) * 9
    # instead of 132 * 132; 31 * 31 without complex rows
    assert sum(len(columns(12, 11, size).data) for size in blocks) == 4 * 31 + 9 * 66


def test_the_first_value_is_that_at_1():
    for made in (rows(5, 3)[0], columns(5, 3, 1)):
        assert torch.equal(made.products[0], torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize('sizes', [(1, 9), (9, 1)])
def test_refuses_what_needs_no_transform(sizes):
    with pytest.raises(ValueError, match='must be at least 2'):
        rows(*sizes)
    with pytest.raises(ValueError, match='must be at least 2'):
        columns(*sizes, 1)
