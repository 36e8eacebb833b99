"""Options that a config does not know are named, and those that it may lack are not."""

import re

import pytest
from mmengine.config import Config

from cpm_plugin.mmpose.options import copies_of, options_checked, unknown_options

CONFIG = dict(
    test_dataloader=dict(batch_size=1, dataset=dict(pipeline=[dict(type='LoadImage')])),
    default_hooks=dict(checkpoint=dict(interval=1), timer=None),
    load_from=None,
)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('test_dataloder.batch_size', 'no test_dataloder; test_dataloader is meant?'),
        (
            'test_dataloader.datset.x',
            'no test_dataloader.datset; test_dataloader.dataset is meant?',
        ),
        ('default_hooks.chekpoint.interval', 'default_hooks.checkpoint is meant?'),
        ('load_form', 'no load_form; load_from is meant?'),
        ('randomnes.seed', 'no randomnes; randomness is meant?'),
        ('something.else', 'no something'),
    ],
)
@pytest.mark.parametrize('kind', [dict, Config])
def test_mistyped_names(kind, option, message):
    (found,) = unknown_options(kind(CONFIG), {option: 1})
    assert found.startswith(f'{option}: the config has ') and found.endswith(message)


@pytest.mark.parametrize(
    'option',
    [
        'test_dataloader.batch_size',
        'test_dataloader.dataset.indices',  # a new argument
        'test_dataloader.dataset.pipeline.0.type',
        'test_dataloader.dataset.pipeline.9.type',  # MMEngine refuses it
        'default_hooks.fast.type',  # a new hook
        'default_hooks.timer.x',
        'randomness.seed',  # of the runner
        'experiment_name',
        'custom_imports.imports',
        'own',
    ],
)
def test_names_that_a_config_has_or_may_lack(option):
    assert unknown_options(Config(CONFIG), {option: 1}) == []


def test_a_script_that_merges_options_warns_once(capsys):
    stock = Config.merge_from_dict
    config = Config(CONFIG)
    with options_checked(), options_checked():
        config.merge_from_dict({'test_dataloder.batch_size': 2})
    assert capsys.readouterr().err.count('test_dataloader is meant?\n') == 1
    assert config.test_dataloder.batch_size == 2 and Config.merge_from_dict is stock


COPIED = dict(
    codec=dict(type='CPMHeatmap', sigma=7.0, size=[8, 8]),
    number=3,
    data_root='data/own/',
    work_dir='data/own/',
    model=dict(head=dict(decoder=dict(type='CPMHeatmap', sigma=7.0, size=[8, 8]), stages=3)),
    train_dataloader=dict(
        dataset=dict(
            data_root='data/own/',
            pipeline=[dict(encoder=dict(type='CPMHeatmap', sigma=7.0, size=[8, 8]))],
        )
    ),
)


def test_copies_of_a_variable():
    decoder, encoder = 'model.head.decoder', 'train_dataloader.dataset.pipeline.0.encoder'
    config = Config(COPIED)
    assert copies_of(config, 'codec') == [decoder, encoder]
    assert copies_of(config, 'data_root') == ['work_dir', 'train_dataloader.dataset.data_root']
    assert copies_of(config, 'number') == []  # by chance
    assert copies_of(config, 'work_dir') == []  # which is read itself
    assert copies_of(config, 'none') == []


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (
            {'codec.sigma': 5.0},
            r'codec: it is a variable, .*change model\.head\.decoder and 1 more\.',
        ),
        (
            {'codec.sigma': 5.0, 'model.head.decoder.sigma': 5.0},
            r'change train_dataloader\.dataset\.pipeline\.0\.encoder\. Name',
        ),
        (
            {
                f'{name}.sigma': 5.0
                for name in (
                    'codec',
                    'model.head.decoder',
                    'train_dataloader.dataset.pipeline.0.encoder',
                )
            },
            None,
        ),
        ({'codec.sigma': 7.0}, None),  # as it was
        ({'model.head.decoder.sigma': 5.0}, None),  # the variable is not asked for
    ],
)
def test_a_variable_whose_copies_stay_is_warned_of(options, told, capsys):
    with options_checked():
        Config(COPIED).merge_from_dict(options)
    found = capsys.readouterr().err
    assert found == '' if told is None else re.search(f'^warning: --cfg-options .*{told}', found)


def test_options_do_not_take_the_place_of_other_arguments(monkeypatch):
    arguments = ['config.py', 'epoch_2.pth', '--work-dir=out', '--cfg-options']
    monkeypatch.setattr('sys.argv', ['test.py', *arguments, 'load_from=None', 'work_dir=other'])
    with options_checked():
        config = Config(dict(load_from='epoch_2.pth', work_dir='out'))  # as test.py sets them
        for options, message in (
            ({'load_from': None}, "load_from=None: 'epoch_2.pth' is given, too, and would be forg"),
            ({'work_dir': 'other'}, "work_dir=other: 'out' is given"),
        ):
            with pytest.raises(ValueError, match=message):
                config.merge_from_dict(options)
        config.merge_from_dict({'load_from': 'epoch_2.pth', 'work_dir': 'out'})
        config = Config(dict(load_from='start.pth'))  # of the config
        config.merge_from_dict({'load_from': None})
        assert config.load_from is None
