"""Stages by themselves, on features of any trunk."""

import pytest
import torch

from cpm_plugin.core import BeliefStages
from cpm_plugin.core.models.settings import StageSettings
from cpm_plugin.core.models.stages import FirstStage, split_features


def test_split_features():
    a, b, c = torch.zeros(1), torch.ones(1), torch.zeros(2)
    assert [id(f) for f in split_features(a)] == [id(a), id(a)]
    assert [id(f) for f in split_features([a])] == [id(a), id(a)]
    assert [id(f) for f in split_features((a, b))] == [id(a), id(b)]
    assert [id(f) for f in split_features([a, b, c])] == [id(a), id(b), id(c)]
    for maps in ([], [a, b, c, a]):
        with pytest.raises(ValueError, match=f'^{len(maps)} feature maps; expected'):
            split_features(maps)


def test_stages_on_features_of_two_widths():
    stages = BeliefStages((3, 5), StageSettings(num_keypoints=2, num_stages=2, channels=4))
    outputs = stages(torch.zeros(1, 3, 6, 7), torch.zeros(1, 5, 6, 7))
    assert [tuple(output.shape) for output in outputs] == [(1, 2, 6, 7)] * 2


@pytest.mark.parametrize('channels', [(128, 5), (5, 3), (3, 3)])
def test_stages_name_features_of_another_width(channels):
    stages = BeliefStages((3, 5), StageSettings(num_keypoints=2, num_stages=2, channels=4))
    with pytest.raises(ValueError) as error:
        stages(torch.zeros(1, channels[0], 6, 7), torch.zeros(1, channels[1], 6, 7))
    assert f'{channels} channels' in str(error.value)
    assert 'in_channels=(3, 5)' in str(error.value)


@pytest.mark.parametrize('built', [True, False])
def test_stages_name_a_center_map_given_or_missing(built):
    stages = BeliefStages(
        (3, 3), StageSettings(num_keypoints=2, num_stages=2, channels=4), center_map=built
    )
    center = None if built else torch.zeros(1, 1, 6, 7)
    state = 'missing' if built else 'given'
    with pytest.raises(ValueError, match=f'center map {state}.*center_map={built}'):
        stages(torch.zeros(1, 3, 6, 7), torch.zeros(1, 3, 6, 7), center)


@pytest.mark.parametrize('in_channels', [(128,), (128, 128, 1)])
def test_stages_need_two_widths(in_channels):
    with pytest.raises(ValueError, match='expected two numbers') as error:
        BeliefStages(in_channels, StageSettings(num_keypoints=2))
    assert str(in_channels) in str(error.value)


def test_dropout_of_a_first_stage_without_a_large_convolution():
    """One place is left of the two; half of 512 channels, the others doubled."""
    stage = FirstStage(
        2,
        StageSettings(
            reduced_channels=None, dropout=0.5, num_keypoints=1, first_stage_kernel_size=None
        ),
    )
    seen = []
    stage.beliefs.register_forward_hook(lambda layer, args, output: seen.append(args[0]))
    stage.conv2.register_forward_hook(lambda layer, args, output: seen.append(output))
    stage(torch.rand(1, 2, 3, 3))
    before, after = seen
    kept = after != 0
    assert torch.equal(after[kept], 2 * before[kept])
    assert 0.4 < kept[before > 0].float().mean() < 0.6
