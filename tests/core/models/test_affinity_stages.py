"""Stages with belief maps and fields: what each sees and gives."""

import pytest
import torch
from torch import nn

from cpm_plugin.core.models.affinity_settings import AffinityStageSettings
from cpm_plugin.core.models.affinity_stages import (
    AffinityStages,
    Branch,
    DenseBlock,
    PartMaps,
    last_maps,
)
from cpm_plugin.core.models.layers import ConvBlock

SMALL = {
    'num_keypoints': 3, 'num_limbs': 2, 'channels': 4, 'first_stage_channels': 5,
    'hidden_channels': 6, 'first_stage_hidden_channels': 7,
}  # fmt: skip
# kinds of the two papers
KINDS = {
    'both': {'num_stages': 3},
    'fields_first': {
        'num_stages': 4, 'field_stages': 2, 'dense': True, 'prelu': True, 'features_first': True,
    },
}  # fmt: skip


def stages_of(kind, **changes):
    torch.manual_seed(0)
    return AffinityStages((8, 9), AffinityStageSettings(**{**SMALL, **KINDS[kind], **changes}))


def features(seed=0):
    torch.manual_seed(seed)
    return torch.rand(2, 8, 6, 5), torch.rand(2, 9, 6, 5)


def shapes(maps):
    return [tuple(None if m is None else tuple(m.shape[1:]) for m in stage) for stage in maps]


def test_what_each_stage_gives():
    both = ((4, 6, 5), (4, 6, 5))
    assert shapes(stages_of('both')(*features())) == [both] * 3
    found = stages_of('fields_first')(*features())
    assert shapes(found) == [(None, both[1])] * 2 + [(both[0], None)] * 2
    assert last_maps(found) == (found[3].beliefs, found[1].fields)
    assert shapes(stages_of('both', background=False)(*features()))[0][0] == (3, 6, 5)


def test_layers_of_a_branch():
    """The paper: 3 x 3x3, 1x1, 1x1 at first; then 5 x 7x7, 1x1, 1x1."""
    settings = AffinityStageSettings(**SMALL)
    for first, expected in (
        (True, [(8, 5, 3), (5, 5, 3), (5, 5, 3), (5, 7, 1), (7, 4, 1)]),
        (False, [(8, 4, 7)] + [(4, 4, 7)] * 4 + [(4, 6, 1), (6, 4, 1)]),
    ):
        branch = Branch(8, 4, settings, first=first)
        convs = [layer for layer in branch.modules() if isinstance(layer, nn.Conv2d)]
        sizes = [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convs]
        assert sizes == expected
        assert [c.bias is None for c in convs] == [False] * len(convs)


def test_dense_block_concatenates_all_three_outputs():
    torch.manual_seed(0)
    block = DenseBlock(2, 3, 3, None)
    x = torch.rand(1, 2, 4, 4)
    one = block.convs[0](x)
    two = block.convs[1](one)
    expected = torch.cat([one, two, block.convs[2](two)], dim=1)
    assert torch.equal(block(x), expected) and expected.shape == (1, 9, 4, 4)


def seen_by(branch, run):
    """What a branch is given when ``run`` is called."""
    given = []
    handle = branch.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    run()
    handle.remove()
    (one,) = given
    return one


def test_order_of_concatenation_of_2017():
    """concat_stage2 of the deploy file: (fields, beliefs, features)."""
    stages, (first, shared) = stages_of('both'), features()
    maps = stages(first, shared)
    for branches in (stages.fields, stages.beliefs):
        assert torch.equal(seen_by(branches[0], lambda: stages(first, shared)), first)
        for stage in (1, 2):
            seen = seen_by(branches[stage], lambda: stages(first, shared))
            before = maps[stage - 1]
            assert torch.equal(seen, torch.cat([before.fields, before.beliefs, shared], dim=1))


def test_order_of_concatenation_of_body_25():
    """concat_stage1_L2, concat_stage0_L1 and concat_stage1_L1 of the deploy file."""
    stages, (first, shared) = stages_of('fields_first'), features()
    maps = stages(first, shared)
    seen = [seen_by(b, lambda: stages(first, shared)) for b in (*stages.fields, *stages.beliefs)]
    assert torch.equal(seen[0], first)
    assert torch.equal(seen[1], torch.cat([shared, maps[0].fields], dim=1))
    assert torch.equal(seen[2], torch.cat([shared, maps[1].fields], dim=1))
    assert torch.equal(seen[3], torch.cat([shared, maps[2].beliefs, maps[1].fields], dim=1))


@pytest.mark.parametrize('kind', KINDS)
def test_initialization_is_that_of_all_networks(kind):
    stages = stages_of(kind, channels=40, first_stage_channels=40)
    for name, layer in stages.named_modules():
        if name.endswith('output'):
            assert layer.weight.std() < 0.002 and not layer.bias.any()
        elif isinstance(layer, ConvBlock):
            conv = layer.conv
            he = (2 / conv.weight[0].numel()) ** 0.5
            assert conv.weight.std().item() == pytest.approx(he, rel=0.15) and not conv.bias.any()
    kinds = {type(block[-1]) for block in stages.modules() if isinstance(block, ConvBlock)}
    assert kinds == {nn.PReLU if kind == 'fields_first' else nn.ReLU}


@pytest.mark.parametrize('kind', KINDS)
def test_norm_layer(kind):
    settings = AffinityStageSettings(**SMALL, **KINDS[kind])
    stages = AffinityStages((8, 9), settings, norm_layer=nn.BatchNorm2d)
    blocks = [layer for layer in stages.modules() if isinstance(layer, ConvBlock)]
    assert all(isinstance(b.norm, nn.BatchNorm2d) and b.conv.bias is None for b in blocks)


def test_what_does_not_fit_is_refused():
    stages, (first, shared) = stages_of('both'), features()
    with pytest.raises(ValueError, match=r'features with \(9, 8\) channels.*\(8, 9\)'):
        stages(shared, first)
    with pytest.raises(ValueError, match=r'in_channels=\(8,\): expected two numbers'):
        AffinityStages((8,), AffinityStageSettings(**SMALL))


def test_last_maps_of_stages_without_one_kind():
    fields = torch.zeros(1, 4, 2, 2)
    assert last_maps([PartMaps(None, fields)]) == (None, fields)
    assert last_maps([]) == (None, None)
