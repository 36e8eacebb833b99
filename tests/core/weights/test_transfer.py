"""Trained weights in a model with other outputs: what is kept, what begins anew, what is said."""

import logging

import pytest
import torch

from cpm_plugin import create_model
from cpm_plugin.core.weights import weights_file
from cpm_plugin.core.weights.transfer import load_into_other_outputs

# What depends on the number of outputs: the belief layers, and the convolution that sees beliefs.
ANEW = {
    'stages.first.beliefs.weight', 'stages.first.beliefs.bias',
    *(f'stages.later.{stage}.{name}' for stage in (0, 1) for name in (
        'refine.0.conv.weight', 'beliefs.weight', 'beliefs.bias',
    )),
}  # fmt: skip


def test_all_but_what_depends_on_the_outputs_is_kept_and_the_rest_is_named(caplog):
    trained = create_model('cpm_slim_3s', pretrained=True).state_dict()
    torch.manual_seed(0)
    fresh = create_model('cpm_slim_3s', num_keypoints=17).state_dict()
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING, 'cpm_plugin'):
        model = create_model('cpm_slim_3s', pretrained=True, num_keypoints=17)
    own = model.state_dict()
    assert {name for name in own if own[name].shape != trained[name].shape} == ANEW
    for name, values in own.items():
        assert torch.equal(values, (fresh if name in ANEW else trained)[name]), name
    assert f'8 of {len(own)} weights begin anew' in caplog.text
    assert all(name in caplog.text for name in ANEW)
    assert model(torch.zeros(1, 3, 64, 64))[-1].shape == (1, 18, 8, 8)


def test_the_same_outputs_are_loaded_as_always(caplog):
    trained = create_model('cpm_slim_3s', pretrained=True)
    same = create_model('cpm_slim_3s', pretrained=True, num_keypoints=14, joints='lsp')
    for name, values in same.state_dict().items():
        assert torch.equal(values, trained.state_dict()[name])
    assert caplog.text == ''


def test_other_differences_are_refused():
    with pytest.raises(ValueError, match='does not fit the model'):
        create_model('cpm_slim_3s', pretrained=True, num_keypoints=17, channels=48)
    model = create_model('cpm_slim_3s', num_keypoints=17, num_stages=2)
    before = {name: values.clone() for name, values in model.state_dict().items()}

    with pytest.raises(ValueError, match=r'other layers than its weights: stages\.later\.1\.'):
        load_into_other_outputs(model, weights_file('cpm_slim_3s'), create_model('cpm_slim_3s'))
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
