"""IntermediateSupervisionLoss is the core's class, built from a config."""

import pytest
import torch

from cpm_plugin.core.models.loss import IntermediateSupervisionLoss

from mmpose.models.losses import KeypointMSELoss
from mmpose.registry import MODELS


def test_registry_builds_the_class_of_the_core_with_its_arguments():
    loss = MODELS.build(
        dict(
            type='IntermediateSupervisionLoss',
            stage_weights=[1, 2],
            reduction='sum',
            use_target_weight=False,
            loss_weight=0.5,
        )
    )
    assert type(loss) is IntermediateSupervisionLoss
    beliefs = [torch.full((2, 1, 2, 2), 3.0)] * 2
    target = torch.full((2, 1, 2, 2), 1.0)
    # error 2^2 on 8 pixels = 32; Caffe's 1 / (2 N) = 1 / 4; factor 0.5; stage weights
    assert loss(beliefs, target, torch.zeros(2, 1)).tolist() == [4, 8]


@pytest.mark.parametrize('use_target_weight', [True, False])
def test_every_stage_equals_stock_keypoint_mse(use_target_weight):
    beliefs = [torch.rand(3, 4, 5, 6) for _ in range(3)]
    targets = torch.rand(3, 4, 5, 6)
    weights = (torch.rand(3, 4) > 0.4).float()
    assert 0 < weights.sum() < 12
    ours = MODELS.build(
        dict(type='IntermediateSupervisionLoss', use_target_weight=use_target_weight)
    )(beliefs, targets, weights)
    stock = KeypointMSELoss(use_target_weight=use_target_weight)
    for stage in range(3):
        expected = stock(beliefs[stage], targets, weights if use_target_weight else None)
        assert ours[stage].item() == pytest.approx(expected.item(), rel=1e-6)
