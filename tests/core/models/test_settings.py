"""Settings of trunks and stages: what is refused, and where each goes."""

import inspect
from dataclasses import FrozenInstanceError, fields

import pytest

from cpm_plugin.core.models.settings import (
    StageSettings,
    TrunkSettings,
    names_of,
    settings_from,
    split_settings,
)


def test_defaults_are_the_papers_widths_and_kernels():
    trunks, stages = TrunkSettings(), StageSettings(num_keypoints=14, background=True)
    assert (trunks.channels, trunks.kernel_size) == (128, 9)
    assert (stages.num_stages, stages.refine_depth, stages.out_channels) == (6, 3, 15)
    kernels = ('reduce_kernel_size', 'first_stage_kernel_size', 'refine_kernel_size')
    assert [getattr(stages, name) for name in kernels] == [5, 9, 11]
    widths = ('reduced_channels', 'first_stage_channels', 'channels')
    assert [getattr(stages, name) for name in widths] == [32, 512, 128]


@pytest.mark.parametrize('kind', [TrunkSettings, StageSettings])
def test_every_setting_is_documented_once_in_its_order(kind):
    text = inspect.cleandoc(kind.__doc__)  # which Python 3.13 has done
    documented = text.partition('Attributes:')[2].partition('Raises:')[0]
    lines = [line for line in documented.splitlines() if line[:4].isspace() and line[4:5].isalpha()]
    assert [line.strip().partition(':')[0] for line in lines] == [f.name for f in fields(kind)]


def test_settings_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        TrunkSettings().channels = 3


def test_unknown_settings_are_named_with_the_known_ones():
    class Backbone:
        def __init__(self, norm_cfg=None, channels=None, **settings): ...

    with pytest.raises(ValueError, match=r'^Backbone: unknown setting chanels, width') as error:
        settings_from(TrunkSettings, {'chanels': 3, 'channels': 4, 'width': 5}, Backbone)
    known = ', '.join((*names_of(TrunkSettings), 'norm_cfg'))
    assert str(error.value).endswith(f'there are: {known}')


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'channels': 0}, 'channels=0 must be a whole number of at least 1'),
        ({'channels': 8.0}, r'channels=8\.0 must be a whole number'),
        ({'kernel_size': 4}, 'kernel_size=4 must be odd'),
        ({'pool_padding': 2}, 'pool_padding=2 must be 0'),
        ({'center_map_sigma': 0.0}, r'center_map_sigma=0\.0 must be positive'),
        ({'vgg_tail': ()}, 'vgg_tail is empty'),
        ({'encoder': 'vgg'}, "no encoder 'vgg'; there are: movenet_lightning, movenet_thunder"),
        ({'frozen_groups': 2}, 'frozen_groups=2 is for an encoder'),
        ({'channels': True}, 'channels=True must be a whole number'),
        ({'center_map_sigma': '21'}, "center_map_sigma='21' must be a number or None"),
        ({'vgg_tail': 5}, 'vgg_tail=5 must be a list of whole numbers or None'),
        ({'shared_trunk': 'no'}, "shared_trunk='no' must be True or False"),
        ({'encoder': 5}, 'encoder=5 must be a text or None'),
        *(
            ({'encoder': 'movenet_thunder', name: value}, f'{name}=.* has no effect with enc')
            for name, value in (
                ('vgg_tail', (3,)),
                ('in_channels', 4),
                ('kernel_size', 5),
                ('pool_padding', 1),
                ('shared_trunk', False),
                ('joint_first_layers', True),
            )
        ),
        *(
            ({'vgg_tail': (8,), name: value}, f'{name}=.* has no effect with vgg_tail=')
            for name, value in (
                ('kernel_size', 5),
                ('pool_padding', 1),
                ('shared_trunk', False),
                ('joint_first_layers', True),
            )
        ),
        ({'shared_trunk': False, 'center_map_sigma': 9.0}, 'needs the shared trunk'),
        ({'shared_trunk': False, 'joint_first_layers': True}, 'joint.*=True needs a second trunk'),
    ],
)
def test_wrong_settings_of_trunks_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TrunkSettings(**settings)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'num_keypoints': 0}, 'num_keypoints=0 must be a whole number'),
        ({'num_stages': '3'}, "num_stages='3' must be a whole number"),
        ({'reduced_channels': 0}, 'reduced_channels=0 must be'),
        ({'refine_depth': 0}, 'refine_depth=0 must be'),
        ({'refine_kernel_size': 6}, 'refine_kernel_size=6 must be odd'),
        ({'first_stage_kernel_size': 2}, 'first_stage_kernel_size=2 must be odd'),
        ({'num_keypoints': True}, 'num_keypoints=True must be a whole number'),
        ({'background': 2}, 'background=2 must be True or False'),
        ({'beliefs_first': 'no'}, "beliefs_first='no' must be True or False"),
        ({'dropout': 'a'}, "dropout='a' must be a number"),
        ({'dropout': 1.5}, r'dropout=1\.5 is a probability'),
    ],
)
def test_wrong_settings_of_stages_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        StageSettings(**{'num_keypoints': 3, **settings})


def test_a_setting_goes_to_each_half_that_has_it():
    trunks, stages = split_settings(
        {'num_keypoints': 3, 'channels': 8, 'trunk_kernel_size': 5, 'vgg_tail': (4,)}
    )
    assert trunks == {'channels': 8, 'kernel_size': 5, 'vgg_tail': (4,)}
    assert stages == {'num_keypoints': 3, 'channels': 8}
    trunks, stages = split_settings({'channels': 8, 'trunk_channels': 16})
    assert trunks['channels'] == 16 and stages['channels'] == 8


@pytest.mark.parametrize('name', ['kernel_size', 'trunk_num_stages', 'trunk_encoder', 'stages'])
def test_a_network_refuses_what_neither_half_has(name):
    with pytest.raises(ValueError, match=f'unknown setting {name}; .*trunk_kernel_size, .*norm_l'):
        split_settings({name: 3}, others=('norm_layer',))


def test_lists_of_configs_are_taken():
    assert TrunkSettings(vgg_tail=[4, 3]).vgg_tail == (4, 3)
