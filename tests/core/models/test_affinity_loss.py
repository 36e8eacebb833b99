"""Loss of belief maps and fields against numbers computed by hand; maps and targets differ."""

import pytest
import torch

from cpm_plugin.core import AffinityLoss, PartMaps, affinity_losses, build_affinity_network

# One image, 1 x 2 cells. Errors of two belief maps: 1, -2 | 3, 0; of four fields: 1, 1 | 2, 0 |
# 0, 3 | 1, -1.
BELIEFS = torch.tensor([[[[1.0, 2.0]], [[0.0, 5.0]]]])
FIELDS = torch.tensor([[[[0.5, 0.0]], [[1.0, -1.0]], [[0.0, 0.0]], [[-0.5, 1.0]]]])
MAPS = PartMaps(
    beliefs=BELIEFS + torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]]),
    fields=FIELDS + torch.tensor([[[[1.0, 1.0]], [[2.0, 0.0]], [[0.0, 3.0]], [[1.0, -1.0]]]]),
)


def check(losses, beliefs, fields):
    torch.testing.assert_close(losses.beliefs, torch.tensor(beliefs), rtol=1e-6, atol=0)
    torch.testing.assert_close(losses.fields, torch.tensor(fields), rtol=1e-6, atol=0)


def test_both_reductions_by_hand():
    """Squares: 14 of 4 values, and 1 + 1 + 4 + 9 + 1 + 1 = 17 of 8."""
    check(affinity_losses([MAPS], BELIEFS, FIELDS), [14 / 4], [17 / 8])
    check(affinity_losses([MAPS], BELIEFS, FIELDS, reduction='sum'), [14 / 2], [17 / 2])


def test_mask_leaves_cells_out_of_all_channels():
    """The first cell: 1 + 9 = 10, and 1 + 4 + 0 + 1 = 6. The second: 4, and 11."""
    for mask, beliefs, fields in (([1.0, 0.0], 10, 6), ([0.0, 1.0], 4, 11), ([0.0, 0.0], 0, 0)):
        weights = torch.tensor([[[mask]]])
        check(affinity_losses([MAPS], BELIEFS, FIELDS, weights), [beliefs / 4], [fields / 8])
        found = affinity_losses([MAPS], BELIEFS, FIELDS, weights, reduction='sum')
        check(found, [beliefs / 2], [fields / 2])


def test_mask_belongs_to_its_image():
    maps = PartMaps(*(torch.cat([m, m]) for m in MAPS))
    targets = torch.cat([BELIEFS, BELIEFS]), torch.cat([FIELDS, FIELDS])
    mask = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 0.5]]]])
    check(affinity_losses([maps], *targets, mask), [(10 + 2) / 8], [(6 + 5.5) / 16])


def test_every_stage_has_its_own_loss():
    stages = [MAPS, PartMaps(BELIEFS + 2, FIELDS + 1), PartMaps(BELIEFS, FIELDS)]
    check(affinity_losses(stages, BELIEFS, FIELDS), [3.5, 4.0, 0.0], [17 / 8, 1.0, 0.0])
    apart = [PartMaps(None, FIELDS + 3), PartMaps(None, FIELDS + 1), PartMaps(BELIEFS + 2, None)]
    check(affinity_losses(apart, BELIEFS, FIELDS), [4.0], [9.0, 1.0])


def test_factors_of_the_module():
    loss = AffinityLoss(belief_weight=2.0, field_weight=0.5, reduction='sum')
    check(loss([MAPS], BELIEFS, FIELDS), [14.0], [17 / 4])
    check(loss([MAPS], BELIEFS, FIELDS, torch.tensor([[[[1.0, 0.0]]]])), [10.0], [1.5])


def test_each_map_can_have_a_mask_of_its_own():
    """The losses by one mask of all channels are those of the maps that it leaves, one by one."""
    torch.manual_seed(0)
    beliefs, fields = torch.rand(2, 3, 4, 5), torch.rand(2, 2, 4, 5)
    maps = PartMaps(torch.zeros(2, 3, 4, 5), torch.zeros(2, 2, 4, 5))
    mask = torch.zeros(2, 5, 4, 5)
    mask[0, 1, 2:] = 1  # of the second belief map
    mask[1, 4] = 1  # of the second field
    found = affinity_losses([maps], beliefs, fields, mask)
    check(found, [float(beliefs[0, 1, 2:].square().sum() / beliefs.numel())],
          [float(fields[1, 1].square().sum() / fields.numel())])  # fmt: skip


@pytest.mark.parametrize(
    'arguments, message',
    [
        (([MAPS], BELIEFS, FIELDS, torch.ones(1, 2, 1, 2)), r'mask of shape \(1, 2, 1, 2\)'),
        (([MAPS], BELIEFS, FIELDS, torch.ones(1, 1, 2, 1)), r'expected \(1, 1, 1, 2\)'),
        (([MAPS], FIELDS, FIELDS), r'beliefs \(1, 2, 1, 2\) but target \(1, 4, 1, 2\)'),
        (([PartMaps(None, FIELDS)], BELIEFS, FIELDS), 'no stage has beliefs'),
        (([PartMaps(BELIEFS, None)], BELIEFS, FIELDS), 'no stage has fields'),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        affinity_losses(*arguments)


def test_unknown_reduction_is_named():
    with pytest.raises(ValueError, match="reduction 'max'"):
        AffinityLoss(reduction='max')


@pytest.mark.parametrize('kind', [{}, {'field_stages': 2, 'dense': True, 'prelu': True}], ids=str)
def test_gradients_reach_every_parameter_and_stop_at_the_mask(kind):
    torch.manual_seed(0)
    network = build_affinity_network(
        joints='lsp', vgg_tail=(4,), channels=4, first_stage_channels=4, hidden_channels=4,
        first_stage_hidden_channels=4, num_stages=3, refine_kernel_size=3, **kind,
    )  # fmt: skip
    for name, layer in network.named_modules():
        if name.endswith('output'):
            torch.nn.init.normal_(layer.weight, std=0.3)
    stages = network(torch.rand(1, 3, 32, 32) - 0.5)
    targets = torch.rand(1, 15, 4, 4), torch.rand(1, 26, 4, 4)
    kept = [m for stage in stages for m in stage if m is not None]
    for maps in kept:
        maps.retain_grad()
    mask = torch.ones(1, 1, 4, 4)
    mask[..., 1:] = 0
    losses = affinity_losses(stages, *targets, mask)
    (losses.beliefs.sum() + losses.fields.sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    outputs = [p for name, p in network.named_parameters() if name.endswith('output.weight')]
    assert len(outputs) == len(kept) and all(p.grad.any() for p in outputs)
    assert not kept[-1].grad[..., 1:].any() and kept[-1].grad[..., :1].all()


@pytest.mark.parametrize('stage', range(3))
def test_loss_of_each_stage_trains_its_own_branch(stage):
    """Without the later losses, later branches get no gradient: each stage is supervised itself."""
    torch.manual_seed(0)
    network = build_affinity_network(
        joints='lsp', vgg_tail=(4,), channels=4, first_stage_channels=4, hidden_channels=4,
        first_stage_hidden_channels=4, num_stages=3, refine_kernel_size=3,
    )  # fmt: skip
    stages = network(torch.rand(1, 3, 32, 32) - 0.5)
    losses = affinity_losses(stages, torch.rand(1, 15, 4, 4), torch.rand(1, 26, 4, 4))
    (losses.beliefs[stage] + losses.fields[stage]).backward()
    for kind in (network.stages.fields, network.stages.beliefs):
        assert kind[stage].output.bias.grad.any()
        assert not any(branch.output.bias.grad.any() for branch in kind[stage + 1 :])
