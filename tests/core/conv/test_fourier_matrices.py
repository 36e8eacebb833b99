"""The matrices along a row: one correlation and both of its gradients, worked out by sums."""

import pytest
import torch

from cpm_plugin.core.conv.fourier_matrices import Row, row_matrices, row_of


@pytest.mark.parametrize(
    ('width', 'size', 'row'),
    [
        (46, 11, Row(46, 56, 1)),
        (184, 9, Row(46, 54, 4)),
        (47, 11, Row(48, 58, 1)),  # an odd row: one output more
        (1, 5, Row(2, 6, 1)),
        (60, 5, Row(60, 64, 1)),
        (61, 5, Row(32, 36, 2)),  # one more than fits: in two halves
        (200, 33, Row(68, 100, 3)),  # a kernel beyond half of 64
    ],
)
def test_a_row_is_cut_into_few_even_pieces(width, size, row):
    assert row_of(width, size) == row
    assert row.outputs * row.pieces >= width


def correlate(x, w, outputs):
    """By the definition."""
    return torch.stack([(x[j : j + len(w)] * w).sum() for j in range(outputs)])


def blocks(matrices, w):
    """The 2 x 2 matrices of the frequencies: (G, part in, part out)."""
    return (matrices.taps @ w).view(-1, 2, 2)


@pytest.mark.parametrize(('points', 'size'), [(6, 5), (8, 5), (18, 7), (64, 11)])
def test_one_row_and_its_gradients(points, size):
    outputs = points - size + 1
    made = row_matrices(points, size, torch.float64, 'cpu')
    x, w = torch.randn(points).double(), torch.randn(size).double()
    seen = (made.inputs @ x).view(-1, 1, 2)
    found = made.outputs @ (seen @ blocks(made, w)).flatten()
    torch.testing.assert_close(found, correlate(x, w, outputs), rtol=0, atol=1e-13)

    # Inputs of a longer row get the sum of e[u - q + k - 1] w[q].
    e = torch.randn(points).double()
    results = (made.inputs @ e).view(-1, 1, 2)
    found = made.gradients @ (results @ blocks(made, w).transpose(1, 2)).flatten()
    expected = torch.stack([(e[u : u + size].flip(0) * w).sum() for u in range(outputs)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)

    # A tap gets the sum of z[u] e[u - q + k - 1].
    z = torch.randn(outputs).double()
    seen = (made.cells @ z).view(-1, 2, 1)
    found = made.lags @ (seen @ results).flatten()
    expected = torch.stack([(z * e[lag : lag + outputs]).sum() for lag in reversed(range(size))])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_the_transform_makes_no_value_larger_than_the_data_require():
    made = row_matrices(54, 9, torch.float64, 'cpu')
    # orthonormal, where the real and the imaginary part share the weight of two frequencies
    lengths = made.inputs.square().sum(1)
    assert lengths[:2].tolist() == pytest.approx([1, 1])
    assert lengths[2:].tolist() == pytest.approx([0.5] * 52)


def test_matrices_have_the_type_of_the_data_and_are_kept():
    made = row_matrices(16, 5, torch.bfloat16, 'cpu')
    assert made.inputs.dtype == made.outputs.dtype == torch.bfloat16
    assert made.taps.dtype == made.lags.dtype == torch.float32  # of weights, which are few
    assert row_matrices(16, 5, torch.bfloat16, 'cpu') is made


@pytest.mark.parametrize(('points', 'size'), [(15, 5), (4, 5)])
def test_points_that_do_not_do_are_refused(points, size):
    with pytest.raises(ValueError, match=f'{points} points for 5 taps: must be even'):
        row_matrices(points, size, torch.float32, 'cpu')
