"""Intermediate supervision against numbers computed by hand; prediction and target differ."""

import pytest
import torch

from cpm_plugin.core import IntermediateSupervisionLoss, stage_losses

# One image, two joints, 1 x 2 cells. Errors 1, -2 | 3, 0: squares 1, 4 | 9, 0.
TARGET = torch.tensor([[[[1.0, 2.0]], [[0.0, 5.0]]]])
BELIEF = torch.tensor([[[[2.0, 0.0]], [[3.0, 5.0]]]])


def exactly(losses, expected):
    torch.testing.assert_close(losses, torch.tensor(expected), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    'weights, weighted_sum',
    [
        (None, 14.0),
        ([[1.0, 1.0]], 14.0),
        ([[1.0, 0.0]], 5.0),
        ([[0.5, 2.0]], 20.5),
        ([[[[1.0, 0.0]], [[0.25, 7.0]]]], 3.25),
    ],
)
def test_both_reductions_by_hand(weights, weighted_sum):
    """Masked cells still count: mean divides by all 4, sum by 2 x 1 image."""
    weights = None if weights is None else torch.tensor(weights)
    mean = stage_losses([BELIEF], TARGET, weights)
    exactly(mean, [weighted_sum / 4])
    exactly(stage_losses([BELIEF], TARGET, weights, reduction='sum'), [weighted_sum / 2])


@pytest.mark.parametrize('reduction, expected', [('mean', 58 / 12), ('sum', 58 / 4)])
def test_weights_of_a_batch_belong_to_their_image_and_joint(reduction, expected):
    """Two images, three joints, 2 cells; the error of joint k of image n is constant."""
    error = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.8, 0.0]])
    belief = error[..., None, None].expand(2, 3, 1, 2) + 7
    target = torch.full((2, 3, 1, 2), 7.0)
    # 2 cells x (1 x 1 + 0.5 x 16 + 0.8 x 25)
    exactly(stage_losses([belief], target, weights, reduction=reduction), [expected])


def test_shape_of_the_loss_follows_the_weights_not_square_maps():
    """With N = C = H = W the weights must not be spread over the cells."""
    belief = torch.zeros(2, 2, 2, 2)
    target = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[..., None, None].expand(2, 2, 2, 2)
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    exactly(stage_losses([belief], target, weights), [4 / 16])
    exactly(stage_losses([belief], target, weights.flip(1)), [16 / 16])


def test_every_stage_has_its_own_loss_target_and_factor():
    beliefs = [BELIEF, TARGET + 1, TARGET + 3]
    exactly(stage_losses(beliefs, TARGET), [3.5, 1.0, 9.0])
    exactly(stage_losses(beliefs, TARGET, stage_weights=(2.0, 0.5, 0.0)), [7.0, 0.5, 0.0])
    targets = [BELIEF + 2, TARGET, TARGET + 1]
    exactly(stage_losses(beliefs, targets), [4.0, 1.0, 4.0])


@pytest.mark.parametrize('reduction, divisor', [('mean', 8.0), ('sum', 4.0)], ids=['mean', 'sum'])
def test_gradient_by_hand(reduction, divisor):
    """2 w (b - t) factor / divisor with 2 images of 2 joints and 2 cells."""
    target = torch.cat([TARGET, -TARGET])
    belief = torch.cat([BELIEF, BELIEF]).requires_grad_()
    weights = torch.tensor([[1.0, 0.5], [0.0, 3.0]])
    loss = stage_losses([belief], target, weights, stage_weights=[0.25], reduction=reduction)
    loss.sum().backward()
    slope = torch.tensor(
        [[[[2.0, -4.0]], [[3.0, 0.0]]], [[[0.0, 0.0]], [[18.0, 60.0]]]]  # 2 w (b - t)
    )
    torch.testing.assert_close(belief.grad, slope * 0.25 / divisor, rtol=1e-6, atol=0)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('target_dtype', [torch.float32, None])
def test_half_precision_neither_overflows_nor_rounds(dtype, target_dtype):
    """300^2 is above the largest half-precision number, 90000 no bfloat16 at all."""
    beliefs = torch.full((2, 3, 4, 4), 300.0, dtype=dtype)
    target = torch.zeros(2, 3, 4, 4, dtype=target_dtype or dtype)
    weights = torch.ones(2, 3, dtype=target_dtype or dtype)
    loss = stage_losses([beliefs], target, weights)
    assert loss.dtype == torch.float32
    exactly(loss, [90000.0])
    exactly(stage_losses([beliefs], target, reduction='sum'), [90000.0 * 96 / 4])


def test_module_is_the_function_with_its_options():
    weights = torch.tensor([[1.0, 0.0]])
    beliefs = [BELIEF, TARGET + 1]
    exactly(IntermediateSupervisionLoss()(beliefs, TARGET, weights), [1.25, 0.5])
    exactly(IntermediateSupervisionLoss()(beliefs, TARGET), [3.5, 1.0])
    loss = IntermediateSupervisionLoss(
        stage_weights=[1, 3], reduction='sum', use_target_weight=False, loss_weight=10
    )
    exactly(loss(beliefs, TARGET, weights), [70.0, 60.0])
    assert not list(loss.parameters())


def test_errors_name_the_values():
    with pytest.raises(ValueError, match=r"'median' must be one of .*'mean', 'sum'"):
        stage_losses([BELIEF], TARGET, reduction='median')
    with pytest.raises(ValueError, match=r"'median' must be one of .*'mean', 'sum'"):
        IntermediateSupervisionLoss(reduction='median')
    with pytest.raises(ValueError, match='3 stages, 2 targets and 3 stage_weights'):
        stage_losses([BELIEF] * 3, [TARGET] * 2)
    with pytest.raises(ValueError, match='1 stages, 1 targets and 2 stage_weights'):
        stage_losses([BELIEF], TARGET, stage_weights=[1, 1])
    with pytest.raises(ValueError, match=r'stage 2: beliefs \(1, 3, 1, 2\) .*\(1, 2, 1, 2\)'):
        stage_losses([BELIEF, torch.zeros(1, 3, 1, 2)], TARGET)
    # would broadcast silently
    with pytest.raises(ValueError, match=r'stage 1: beliefs \(1, 2, 1, 2\) .*\(1, 2, 1, 1\)'):
        stage_losses([BELIEF], TARGET[..., :1])


@pytest.mark.parametrize('shape', [(2, 1), (2,), (1, 2, 1), (1, 2, 1, 1), (1, 1)])
def test_weights_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r'weights .* must be') as error:
        stage_losses([BELIEF], TARGET, torch.ones(shape))
    for named in (shape, (1, 2), (1, 2, 1, 2)):
        assert str(named) in str(error.value)


def test_double_precision_is_kept():
    beliefs = [torch.full((1, 1, 1, 2), 1 + 1e-12, dtype=torch.float64, requires_grad=True)]
    targets = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    (loss,) = stage_losses(beliefs, targets)
    assert loss.item() == pytest.approx(1e-24, rel=1e-3)
    assert torch.autograd.gradcheck(lambda b: stage_losses([b], targets).sum(), beliefs)
