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


@pytest.mark.parametrize('dropout', [-0.1, 1.5])
def test_dropout_is_a_probability(dropout):
    with pytest.raises(ValueError, match=f'dropout={dropout} is a probability'):
        build_network(**{**NARROW, 'dropout': dropout})
