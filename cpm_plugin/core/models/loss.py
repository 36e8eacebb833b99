"""Intermediate supervision: a squared-error loss at every stage (paper, eq. 4 and 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

REDUCTIONS = ('mean', 'sum')


def stage_losses(
    beliefs: Sequence[Tensor],
    targets: Sequence[Tensor] | Tensor,
    weights: Tensor | None = None,
    *,
    stage_weights: Sequence[float] | None = None,
    reduction: str = 'mean',
) -> Tensor:
    """The loss of every stage; their sum is the network's loss.

    With e = weights * (beliefs - targets)^2, summed over N, C, H, W:

    - ``'mean'``: sum(e) / (N C H W), MMPose's ``KeypointMSELoss``. Pixels masked by a
      weight of 0 still count in the denominator.
    - ``'sum'``: sum(e) / (2 N), Caffe's ``EuclideanLoss``, which the authors use.

    Args:
        beliefs: T tensors (N, C, H, W).
        targets: (N, C, H, W) for all stages, or T of them.
        weights: (N, C) or (N, C, H, W); 0 masks a joint that is not labeled.
        stage_weights: T factors, by default all 1.
        reduction: one of ``REDUCTIONS``.

    Returns:
        (T,) losses, stage 1 first.

    Raises:
        ValueError: for shapes or lengths that do not fit, or an unknown reduction.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction {reduction!r} must be one of {REDUCTIONS}')
    targets = [targets] * len(beliefs) if isinstance(targets, Tensor) else list(targets)
    factors = [1.0] * len(beliefs) if stage_weights is None else list(stage_weights)
    if not 1 <= len(beliefs) == len(targets) == len(factors):
        raise ValueError(
            f'{len(beliefs)} stages, {len(targets)} targets and {len(factors)} stage_weights '
            'must be as many, and at least one'
        )
    losses = []
    for stage, (belief, target, factor) in enumerate(zip(beliefs, targets, factors), start=1):
        if belief.shape != target.shape:
            raise ValueError(
                f'stage {stage}: beliefs {tuple(belief.shape)} but target '
                f'{tuple(target.shape)}; check the number of joints, background and the '
                'heatmap_size of the codec'
            )
        # Beliefs may be half precision under autocast, where a sum of squares overflows.
        dtype = torch.promote_types(belief.dtype, torch.float32)
        error = (belief.to(dtype) - target.to(dtype)) ** 2
        if weights is not None:
            error = error * _per_pixel(weights, belief)
        scale = error.numel() if reduction == 'mean' else 2 * len(belief)
        losses.append(error.sum() / scale * factor)
    return torch.stack(losses)


def _per_pixel(weights: Tensor, belief: Tensor) -> Tensor:
    if weights.shape == belief.shape:
        return weights
    if weights.shape == belief.shape[:2]:
        return weights[..., None, None]
    raise ValueError(
        f'weights {tuple(weights.shape)} must be {tuple(belief.shape[:2])} or {tuple(belief.shape)}'
    )


class IntermediateSupervisionLoss(nn.Module):
    """``stage_losses`` as a module.

    Args:
        stage_weights: T factors, by default all 1.
        reduction: ``'mean'`` or ``'sum'``.
        use_target_weight: False ignores the weights of joints.
        loss_weight: factor on all stages.
    """

    def __init__(
        self,
        *,
        stage_weights: Sequence[float] | None = None,
        reduction: str = 'mean',
        use_target_weight: bool = True,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction {reduction!r} must be one of {REDUCTIONS}')
        self.stage_weights = None if stage_weights is None else tuple(stage_weights)
        self.reduction = reduction
        self.use_target_weight = use_target_weight
        self.loss_weight = loss_weight

    def forward(
        self,
        beliefs: Sequence[Tensor],
        targets: Sequence[Tensor] | Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """See ``stage_losses``. Returns (T,)."""
        losses = stage_losses(
            beliefs,
            targets,
            weights if self.use_target_weight else None,
            stage_weights=self.stage_weights,
            reduction=self.reduction,
        )
        return losses * self.loss_weight
