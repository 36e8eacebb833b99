"""Settings of stages with fields: the paper's numbers, and what is refused."""

from dataclasses import fields

import pytest

from cpm_plugin.core.models.affinity_settings import AffinityStageSettings

COUNTS = {'num_keypoints': 18, 'num_limbs': 19}


def test_defaults_are_the_paper_of_2017():
    settings = AffinityStageSettings(**COUNTS)
    assert (settings.belief_channels, settings.field_channels) == (19, 38)
    assert AffinityStageSettings(**COUNTS, background=False).belief_channels == 18
    assert (settings.num_stages, settings.field_stages) == (6, None)


def test_every_setting_is_documented_once_in_its_order():
    documented = AffinityStageSettings.__doc__.partition('Attributes:')[2].partition('Raises:')[0]
    lines = [line for line in documented.splitlines() if line[:8].isspace() and line[8:9].isalpha()]
    names = [line.strip().partition(':')[0] for line in lines]
    assert names == [f.name for f in fields(AffinityStageSettings)]


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'num_limbs': 0}, 'num_limbs=0 must be a whole number of at least 1'),
        ({'hidden_channels': 1.5}, 'hidden_channels=1.5 must be a whole number'),
        ({'refine_kernel_size': 4}, 'refine_kernel_size=4 must be odd'),
        ({'field_stages': 0}, 'field_stages=0 of num_stages=6: there must be at least one'),
        ({'field_stages': 6}, 'field_stages=6 of num_stages=6: there must be at least one'),
        ({'dense': 1}, 'dense=1 must be True or False'),
    ],
)
def test_wrong_values_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        AffinityStageSettings(**{**COUNTS, **settings})
