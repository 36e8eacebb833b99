"""Configs of users: read with a scope, changed by options, and named in every error."""

import argparse

import pytest
import torch

from cpm_plugin.apps.arguments import OptionsAction
from cpm_plugin.apps.configs import build_model, keypoints_apart, named, read_config
from cpm_plugin.core.weights import read_checkpoint, weights_file


def test_a_config_without_a_scope_is_mmposes_and_options_are_merged(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('model = dict(depth=50)\n')
    config = read_config(path, {'model.depth': 18}, needs=('model',))
    assert (config.default_scope, config.model.depth) == ('mmpose', 18)


@pytest.mark.parametrize(
    ('text', 'needs', 'message'),
    [
        (None, (), r'config\.py: no such file'),
        ('model = dict(\n', (), r'config\.py: .*(SyntaxError|never closed)'),
        ('a = 1\n', ('model',), r'config\.py.*model'),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, needs, message):
    path = tmp_path / 'config.py'
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(path, needs=needs)


def test_a_missing_checkpoint_is_named_before_anything_is_built(tmp_path):
    with pytest.raises(ValueError, match=r'no\.pth: no such file'):
        build_model(None, tmp_path / 'no.pth', 'cpu')


def test_every_error_gets_the_name_of_the_config():
    with pytest.raises(ValueError, match=r'^a\.py: KeyError: type$'), named('a.py'):
        raise KeyError('type')


REPEATED = "dict(type='RepeatDataset', times=2, dataset=dict(type='LspDataset'))"


@pytest.mark.parametrize(
    ('dataset', 'apart'),
    [
        ("dict(type='LspDataset')", False),
        ("dict(type='OwnCocoDataset')", True),
        (REPEATED, True),  # MMPose does not look into it, and would take COCO's names
        ("dict(type='OwnCocoDataset', metainfo=dict(from_file='configs/_base_/coco.py'))", False),
    ],
)
def test_names_stay_with_the_weights_where_the_config_has_none(dataset, apart, tmp_path):
    path, weights = tmp_path / 'config.py', tmp_path / 'a.pth'
    path.write_text(f'train_dataloader = dict(dataset={dataset})\n')
    config = read_config(path)
    meta = dict(dataset_name='own', keypoint_id2name={0: 'tip'})
    torch.save(dict(state_dict={}, meta=dict(epoch=3, dataset_meta=meta)), weights)
    assert keypoints_apart(config, weights) == (dict(dataset_meta=meta) if apart else {})
    torch.save({}, weights)  # bare weights
    if not apart:
        assert keypoints_apart(config, weights) == {}
        return
    with pytest.raises(ValueError, match=r'a\.pth has no names of keypoints .*metainfo'):
        keypoints_apart(config, weights)


@pytest.mark.parametrize('dataset', ["dict(type='OwnCocoDataset')", REPEATED])
def test_a_model_without_names_of_keypoints_is_not_built(dataset, tmp_path, repo):
    (slim,) = (repo / 'configs').glob('*/topdown_heatmap/own/*slim*')
    path = tmp_path / 'config.py'
    path.write_text(
        f'_base_ = {str(slim)!r}\nmodel = dict(head=dict(num_keypoints=14))\n'
        f'train_dataloader = dict(dataset=dict(_delete_=True, **{dataset}))\n'
    )
    weights = weights_file('cpm_slim_3s')
    with pytest.raises(ValueError, match=rf'config\.py: {weights} has no names of keypoints'):
        build_model(read_config(path), weights, 'cpu')
    state, _ = read_checkpoint(weights)
    torch.save(dict(state_dict=state, meta=dict(dataset_meta='theirs')), tmp_path / 'a.pth')
    assert build_model(read_config(path), tmp_path / 'a.pth', 'cpu').dataset_meta == 'theirs'


def test_options_are_key_value(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    options = parser.parse_args(['--cfg-options', 'a.b=1', 'c=[1,2]']).cfg_options
    assert options == {'a.b': 1, 'c': [1, 2]}
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'a.b'])
    assert 'a.b: give KEY=VALUE' in capsys.readouterr().err
