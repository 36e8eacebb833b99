"""Models side by side: what is counted and timed."""

import pytest
import torch
from mmengine.config import Config

from cpm_plugin.apps import compare as comparison
from cpm_plugin.apps import measure
from cpm_plugin.apps.configs import read_config
from cpm_plugin.core.models.layers import ConvBlock

from mmpose.registry import MODELS


def test_multiply_adds_are_those_of_direct_convolutions():
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='CPMBackbone', channels=4, kernel_size=3, shared_trunk=False),
            head=dict(
                type='CPMStageHead',
                in_channels=4,
                num_keypoints=3,
                num_stages=1,
                reduced_channels=None,
                first_stage_channels=8,
                first_stage_kernel_size=9,
            ),
        )
    )
    found = comparison.multiply_adds(model, torch.rand(1, 3, 32, 32))
    trunk = 32 * 32 * 3 * 4 * 9 + 16 * 16 * 4 * 4 * 9 + 8 * 8 * 4 * 4 * 9
    assert found == trunk + 4 * 4 * (4 * 8 * 81 + 8 * 8 + 8 * 3)
    assert model.head.stages.first.conv1.conv.method == 'auto'  # as before


def test_networks_are_timed_in_turns_in_whole_batches_after_a_warm_up(monkeypatch):
    seen = []

    class Notes(torch.nn.Module):
        def forward(self, inputs, data_samples, mode):
            seen.append(tuple(inputs.shape))

    # starts and ends: of the first network 1, 2 and 6 seconds, of the second always 4
    clock = iter([10, 11, 20, 24, 30, 32, 40, 44, 50, 56, 60, 64])
    monkeypatch.setattr(measure.time, 'perf_counter', lambda: next(clock))
    networks = {
        name: comparison.Network(Notes(), torch.rand(1, 3, side, side))
        for name, side in (('a', 8), ('b', 16))
    }
    times = comparison.time_networks(networks, 4, range(3), 'cpu')
    assert times == {
        'a': {'images/s': 2, 'spread': 6},
        'b': {'images/s': 1, 'spread': 1},
    }
    assert seen == [(4, 3, 8, 8), (4, 3, 16, 16)] * 4


def test_other_test_sets_are_named():
    def config(pipeline, **dataset):
        dataset.update(type='LspDataset', pipeline=[pipeline])
        return comparison.test_set(Config({'test_dataloader': {'dataset': dataset}}))

    same = {
        'small': config('a', ann_file='a.json'),
        'large': config('b', ann_file='a.json'),  # only another input size
    }
    assert comparison.other_test_sets(same) == ''
    told = comparison.other_test_sets({**same, 'part': config('a', ann_file='b.json', indices=9)})
    assert 'as small is' in told and "part, with ann_file='b.json', indices=9." in told
    assert 'large' not in told


def test_metrics_of_the_same_name_that_measure_another_thing_are_named():
    def config(**evaluator):
        evaluator = dict(type='PCKAccuracy', **evaluator)
        return comparison.test_set(
            Config({'test_dataloader': {'dataset': {}}, 'test_evaluator': evaluator})
        )

    assert comparison.other_test_sets({'a': config(thr=0.1), 'b': config(thr=0.1)}) == ''
    told = comparison.other_test_sets({'a': config(thr=0.1), 'b': config(thr=0.3)})
    assert "b, with test_evaluator={'type': 'PCKAccuracy', 'thr': 0.3}. Do not compare" in told


def test_test_data_that_is_missing_is_found_before_anything_is_measured(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        "test_dataloader = dict(dataset=dict(type='LspDataset', data_root='nowhere'))\n"
    )
    config = read_config(path)
    with pytest.raises(ValueError, match=r'config\.py: nowhere/joints\.mat: no such file'):
        comparison.check_test_data(config)


def test_a_model_of_ours_is_optimized_and_stocks_is_not():
    ours = torch.nn.Sequential(ConvBlock(3, 4, 3, norm_layer=torch.nn.BatchNorm2d)).eval()
    found = comparison.optimized(ours)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in found.modules())
    image = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(found(image), ours(image))
    stock = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
    assert comparison.optimized(stock) is stock
