"""The loss of belief maps and part affinity fields at every stage (arXiv 1611.08050, eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from .affinity_stages import PartMaps
from .loss import REDUCTIONS, stage_losses


class PartLosses(NamedTuple):
    """Losses of the stages that have belief maps, and of those that have fields, in their order.

    Attributes:
        beliefs: (number of stages with belief maps,).
        fields: (number of stages with fields,).
    """

    beliefs: Tensor
    fields: Tensor


def affinity_losses(
    stages: Sequence[PartMaps],
    beliefs: Tensor,
    fields: Tensor,
    mask: Tensor | None = None,
    *,
    reduction: str = 'mean',
) -> PartLosses:
    """Compute the losses of the belief maps and of the fields of every stage.

    Each is a squared error, normalized as in ``stage_losses``:

    - ``'mean'``: over N, C, h and w. Belief maps and fields then weigh the same, whatever their
      numbers of channels. Cells outside the mask still count in the denominator.
    - ``'sum'``: sum / (2 N), as in Caffe's ``EuclideanLoss``, which the authors use.

    Args:
        stages: Maps of all stages.
        beliefs: Target belief maps, (N, K + background, h, w).
        fields: Target fields, (N, 2 L, h, w).
        mask: (N, 1, h, w), the weights of the cells. 0 is for people without labels and for crowds,
            where the network cannot be told wrong. Or (N, K + background + 2 L, h, w), for each
            belief map and each field. None: all are 1.
        reduction: ``'mean'`` or ``'sum'``.

    Returns:
        Losses of the stages. The sum of all is the loss of the network.

    Raises:
        ValueError: If shapes do not fit, no stage has one of the two, or the reduction is unknown.

    Examples:
        Every value differs from its target by 1; half of the cells are masked:

        >>> import torch
        >>> from cpm_plugin.core import affinity_losses
        >>> from cpm_plugin.core.models import PartMaps
        >>> stages = [PartMaps(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, 4))] * 2
        >>> mask = torch.ones(1, 1, 4, 4)
        >>> mask[..., :2] = 0
        >>> affinity_losses(stages, torch.ones(1, 3, 4, 4), torch.ones(1, 4, 4, 4), mask)
        PartLosses(beliefs=tensor([0.5000, 0.5000]), fields=tensor([0.5000, 0.5000]))
    """
    masks = (None, None) if mask is None else _split(mask, beliefs, fields)
    losses = []
    for kind, target, weights in zip(('beliefs', 'fields'), (beliefs, fields), masks):
        maps = [found for stage in stages if (found := getattr(stage, kind)) is not None]
        if not maps:
            raise ValueError(f'no stage has {kind}: give the maps of all stages')
        losses.append(stage_losses(maps, target, weights, reduction=reduction))
    return PartLosses(*losses)


def _split(mask: Tensor, beliefs: Tensor, fields: Tensor) -> tuple[Tensor, Tensor]:
    """Return the masks of belief maps and fields; raise ValueError for another shape."""
    counts = beliefs.shape[1], fields.shape[1]
    count, height, width = len(beliefs), *beliefs.shape[2:]
    if mask.shape == (count, 1, height, width):
        return mask.expand_as(beliefs), mask.expand(-1, counts[1], -1, -1)
    if mask.shape == (count, sum(counts), height, width):
        return mask[:, : counts[0]], mask[:, counts[0] :]
    raise ValueError(
        f'mask of shape {tuple(mask.shape)}: expected {(count, 1, height, width)}, a weight for '
        f'every cell, or {(count, sum(counts), height, width)}, one for every cell of each belief '
        'map and field'
    )


class AffinityLoss(nn.Module):
    """``affinity_losses`` as a module.

    Args:
        reduction: See ``affinity_losses``.
        belief_weight: Factor on the losses of the belief maps.
        field_weight: Factor on the losses of the fields.

    Raises:
        ValueError: If the reduction is unknown.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.models import AffinityLoss, PartMaps
        >>> stages = [PartMaps(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, 4))]
        >>> loss = AffinityLoss(field_weight=0.5)
        >>> loss(stages, torch.ones(1, 3, 4, 4), torch.ones(1, 4, 4, 4))
        PartLosses(beliefs=tensor([1.]), fields=tensor([0.5000]))
    """

    def __init__(
        self, *, reduction: str = 'mean', belief_weight: float = 1.0, field_weight: float = 1.0
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction {reduction!r} must be one of {REDUCTIONS}')
        self.reduction = reduction
        self.belief_weight = belief_weight
        self.field_weight = field_weight

    def forward(
        self,
        stages: Sequence[PartMaps],
        beliefs: Tensor,
        fields: Tensor,
        mask: Tensor | None = None,
    ) -> PartLosses:
        """Compute the losses of every stage.

        Args:
            stages: Maps of all stages.
            beliefs: Target belief maps, (N, K + background, h, w).
            fields: Target fields, (N, 2 L, h, w).
            mask: See ``affinity_losses``.

        Returns:
            Losses of the stages, times the factors.
        """
        losses = affinity_losses(stages, beliefs, fields, mask, reduction=self.reduction)
        return PartLosses(losses.beliefs * self.belief_weight, losses.fields * self.field_weight)
