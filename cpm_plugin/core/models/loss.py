"""Intermediate supervision: a squared-error loss at every stage (paper, equations 4 and 5)."""

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
    """Compute the loss of every stage; their sum is the loss of the network.

    Let e = weights * (beliefs - targets)^2, and sum(e) its sum over N, C, H and W.

    - ``'mean'``: sum(e) / (N C H W), as in MMPose's ``KeypointMSELoss``. Cells that a weight of 0
      masks still count in the denominator.
    - ``'sum'``: sum(e) / (2 N), as in Caffe's ``EuclideanLoss``, which the authors use.

    Half precision is converted to float32 first.

    Args:
        beliefs: Belief maps of T stages, each (N, C, H, W).
        targets: Target belief maps, (N, C, H, W) for all stages, or T of them.
        weights: (N, C) or (N, C, H, W). A weight of 0 masks a keypoint that is not labeled. None:
            all are 1.
        stage_weights: T factors, one for each stage; by default all are 1.
        reduction: ``'mean'`` or ``'sum'``.

    Returns:
        (T,), the losses, stage 1 first.

    Raises:
        ValueError: If shapes or lengths do not fit, or the reduction is unknown.

    Examples:
        Three stages, where each belief differs from its target by 1:

        >>> import torch
        >>> from cpm_plugin.core import stage_losses
        >>> beliefs, targets = [torch.zeros(1, 2, 4, 4)] * 3, torch.ones(1, 2, 4, 4)
        >>> stage_losses(beliefs, targets)
        tensor([1., 1., 1.])
        >>> stage_losses(beliefs, targets, torch.tensor([[1.0, 0.0]]), reduction='sum')
        tensor([8., 8., 8.])
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
        # Under autocast, beliefs may be in half precision, where a sum of squares overflows.
        dtype = torch.promote_types(belief.dtype, torch.float32)
        error = (belief.to(dtype) - target.to(dtype)) ** 2
        if weights is not None:
            error = error * _per_pixel(weights, belief)
        scale = error.numel() if reduction == 'mean' else 2 * len(belief)
        losses.append(error.sum() / scale * factor)
    return torch.stack(losses)


def _per_pixel(weights: Tensor, belief: Tensor) -> Tensor:
    """Return weights that can be multiplied with belief maps: (N, C, 1, 1) or (N, C, H, W)."""
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
        stage_weights: See ``stage_losses``.
        reduction: See ``stage_losses``.
        use_target_weight: Use the weights of keypoints. If False, all count.
        loss_weight: Factor on the losses of all stages.

    Raises:
        ValueError: If the reduction is unknown.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core import IntermediateSupervisionLoss
        >>> loss = IntermediateSupervisionLoss(stage_weights=(0.5, 1.0), loss_weight=2.0)
        >>> loss([torch.zeros(1, 2, 4, 4)] * 2, torch.ones(1, 2, 4, 4))
        tensor([1., 2.])
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
        """Compute the loss of every stage.

        Args:
            beliefs: Belief maps of T stages, each (N, C, H, W).
            targets: Target belief maps, (N, C, H, W) for all stages, or T of them.
            weights: (N, C) or (N, C, H, W); see ``stage_losses``.

        Returns:
            (T,), the losses, stage 1 first.
        """
        losses = stage_losses(
            beliefs,
            targets,
            weights if self.use_target_weight else None,
            stage_weights=self.stage_weights,
            reduction=self.reduction,
        )
        return losses * self.loss_weight
