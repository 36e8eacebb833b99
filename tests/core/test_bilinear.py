"""The small matrices: correlations of known values, at every length in use."""

import pytest
import torch

from cpm_plugin.core.bilinear import transforms


def test_a_correlation_worked_out_by_hand():
    data, taps, products = transforms(2, 3)
    x = torch.tensor([1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
    w = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    # 1 + 20 + 300, 2 + 30 + 500
    expected = torch.tensor([321.0, 532.0], dtype=torch.float64)
    torch.testing.assert_close(products.T @ ((data @ x) * (taps @ w)), expected)


@pytest.mark.parametrize('size', [2, 3, 5, 7, 9, 11])
def test_equals_the_sum_over_taps(size):
    generator = torch.Generator().manual_seed(0)
    for outputs in range(2, 30):
        data, taps, products = transforms(outputs, size)
        x = torch.randn(outputs + size - 1, generator=generator, dtype=torch.float64)
        w = torch.randn(size, generator=generator, dtype=torch.float64)
        expected = x.unfold(0, size, 1) @ w
        found = products.T @ ((data @ x) * (taps @ w))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_needs_fewer_products_than_the_sum():
    assert len(transforms(12, 11).data) == 31  # instead of 132


@pytest.mark.parametrize('sizes', [(1, 9), (9, 1)])
def test_refuses_what_needs_no_transform(sizes):
    with pytest.raises(ValueError, match='must be at least 2'):
        transforms(*sizes)
