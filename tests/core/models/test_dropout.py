"""Dropout: where the authors have it, and in training only."""

import pytest
import torch
from cpm_testing.networks import (
    NARROW,
    network,
    random_image,
    reference,
)

from cpm_plugin.core import (
    build_network,
)
from cpm_plugin.core.models.settings import StageSettings
from cpm_plugin.core.models.stages import FirstStage


def test_dropout_is_the_authors_in_training():
    """After stage 1's 9x9 and the 1x1 convolution that follows, and nowhere else."""
    model, image = network(dropout=0.5).train(), random_image()
    x, y = torch.arange(49).double(), torch.arange(40).double()[:, None]
    heat = torch.exp(-((x - 24) ** 2 + (y - 19.5) ** 2) / (2 * 21.0**2))
    heat = heat.float().double().expand(2, 1, 40, 49)
    with torch.no_grad():
        torch.manual_seed(3)
        outputs = model(image)
        torch.manual_seed(3)
        expected = reference(model.state_dict(), image, heat, 3, dropout=0.5)
        whole = reference(model.state_dict(), image, heat, 3)
    for output, wanted, undropped in zip(outputs, expected, whole):
        torch.testing.assert_close(output, wanted, rtol=1e-6, atol=1e-7)
        assert (output - undropped).abs().max() > 0.1


@torch.no_grad()
def test_dropout_is_only_in_training_and_not_in_the_state():
    plain, dropping = network(), network(dropout=0.5)
    assert list(dropping.state_dict()) == list(plain.state_dict())
    image = random_image()
    for output, wanted in zip(dropping(image), plain(image)):
        assert torch.equal(output, wanted)
    dropping.train()
    assert not torch.equal(dropping(image)[0], dropping(image)[0])


@torch.no_grad()
def test_no_dropout_by_default():
    model, image = network(), random_image()
    evaluated = model(image)
    for output, wanted in zip(model.train()(image), evaluated):
        assert torch.equal(output, wanted)


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


@pytest.mark.parametrize('dropout', [-0.1, 1.5])
def test_dropout_is_a_probability(dropout):
    with pytest.raises(ValueError, match=f'dropout={dropout} is a probability'):
        build_network(**{**NARROW, 'dropout': dropout})
