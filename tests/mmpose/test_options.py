"""Options that a config does not know are named, and those that it may lack are not."""

import pytest
from mmengine.config import Config

from cpm_plugin.mmpose.options import options_checked, unknown_options

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
