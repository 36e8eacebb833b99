"""ScaleSearchHook: a test over several scales, by a switch, in MMEngine's own runner."""

import numpy as np
import pytest
import torch
from cpm_testing.blobs import AFFINE, CROP, PEOPLE, config, run
from mmengine.config import Config
from mmengine.runner import Runner

from cpm_plugin.mmpose import PersonCrop


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('codec', ['CPMHeatmap', 'MSRAHeatmap'])
@pytest.mark.parametrize('crop', [AFFINE, CROP], ids=['TopdownAffine', 'PersonCrop'])
def test_joints_are_found_to_a_pixel(blobs, tmp_path, crop, codec, flip):
    results = run(blobs, tmp_path, crop, codec=codec, flip=flip, hook={})
    assert [result['crops'] for result in results] == [7, 7, 7]
    for result in results:
        assert np.abs(result['found'] - result['truth']).max() <= 1.001
        np.testing.assert_allclose(result['found'], result['found'].round(), atol=1e-3)
        assert (result['scores'] > 0.5).all()


@pytest.mark.parametrize('codec', ['CPMHeatmap', 'MSRAHeatmap'])
def test_cells_of_the_other_codec_move_the_joints(blobs, tmp_path, codec):
    other = {'CPMHeatmap': 0.0, 'MSRAHeatmap': 3.5}[codec]
    results = run(
        blobs, tmp_path, CROP, codec=codec, hook={}, **{'model.backbone.first_cell': other}
    )
    assert all(np.abs(result['found'] - result['truth']).max() >= 2 for result in results)


def test_without_the_hook_nothing_is_searched(blobs, tmp_path):
    results = run(blobs, tmp_path, CROP)
    assert [result['crops'] for result in results] == [0, 0, 0]
    assert any(np.abs(result['found'] - result['found'].round()).max() > 0.01 for result in results)


def test_workers_get_the_new_pipeline(blobs, tmp_path):
    runner = Runner.from_cfg(
        config(
            blobs, tmp_path, AFFINE, hook=dict(scales=[0.9, 1.1, 1.3]),
            **{'test_dataloader.num_workers': 1, 'test_dataloader.persistent_workers': True},
        )
    )  # fmt: skip
    results = runner.test()['results']
    assert [result['crops'] for result in results] == [3, 3, 3]
    again = runner.test()['results']
    for first, second in zip(results, again):
        np.testing.assert_array_equal(first['found'], second['found'])
        assert np.abs(first['found'] - first['truth']).max() <= 1.001
    # Collected as garbage, PyTorch's workers are waited for, for 5 seconds.
    runner.test_dataloader._iterator._shutdown_workers()


def test_scales_are_those_of_the_hook_and_batches_shrink(blobs, tmp_path):
    runner = Runner.from_cfg(
        config(
            blobs, tmp_path, CROP, hook=dict(scales=[0.8, 1.2]),
            **{'test_dataloader.batch_size': 6},
        )
    )  # fmt: skip
    runner.test()
    runner.test()  # does not shrink them again
    loader = runner.test_dataloader
    assert len(loader) == 1 and loader.batch_sampler.batch_size == 3
    (batch,) = loader
    assert [tuple(crop.shape) for crop in batch['inputs']] == [(4, 128, 128)] * 6
    meta = batch['data_samples'][1].metainfo
    np.testing.assert_allclose(
        meta['crop_scales'], meta['input_scale'] / np.array([[0.8], [1.2]]), rtol=1e-6
    )
    # the other settings of the config's crop stay
    (crop,) = (t for t in loader.dataset.pipeline.transforms if isinstance(t, PersonCrop))
    assert (crop.border, crop.center_map_sigma, crop.interpolation) == (0, 21.0, 'cubic')


def test_topdown_affine_keeps_its_pixels(blobs, tmp_path):
    """At scale 1 the crop is stock's own."""
    images = []
    for hook in (None, dict(scales=1)):
        runner = Runner.from_cfg(config(blobs, tmp_path, AFFINE, hook=hook))
        runner.test()
        images.append([crop for batch in runner.test_dataloader for crop in batch['inputs']])
    assert len(images[0]) == len(images[1]) == 3
    for stock, ours in zip(*images):
        assert torch.equal(stock, ours)


def test_center_and_scale_are_replaced(blobs, tmp_path):
    results = run(
        blobs,
        tmp_path,
        AFFINE,
        hook=dict(scales=[1.2, 1.3, 1.4], center_scale=dict(type='GetImageCenterScale')),
    )
    for result, ((_, height), _, _) in zip(results, PEOPLE):
        np.testing.assert_allclose(result['input_scale'], height / 0.8, rtol=1e-6)
        # the cubic through cells finds a blob of 0.7 cells with up to 0.18 cells of error
        cell = height / 0.8 / 1.2 / 16
        assert np.abs(result['found'] - result['truth']).max() <= 0.2 * cell


def test_octave_search_takes_its_own_scales(blobs, tmp_path):
    results = run(
        blobs, tmp_path, AFFINE, hook=dict(center_scale=dict(type='GetOctaveCenterScale'))
    )
    for result, (_, (_, top, _, bottom), _) in zip(results, PEOPLE):
        assert result['crops'] == 4
        np.testing.assert_allclose(result['input_scale'], 1.44 * (bottom - top), rtol=1e-6)
        assert np.abs(result['found'] - result['truth']).max() <= 1.001


@pytest.mark.parametrize('wrapper', ['ConcatDataset', 'RepeatDataset', 'CombinedDataset'])
def test_wrapped_data_sets(blobs, tmp_path, wrapper):
    made = config(blobs, tmp_path, AFFINE, hook=dict(scales=[0.9, 1.1]))
    inner = made.test_dataloader.dataset
    if wrapper == 'RepeatDataset':
        outer = dict(type=wrapper, dataset=inner, times=2)
    elif wrapper == 'ConcatDataset':
        outer = dict(type=wrapper, datasets=[inner, inner])
    else:
        outer = dict(
            type=wrapper, metainfo=inner.metainfo, datasets=[dict(inner, pipeline=[])] * 2,
            pipeline=inner.pipeline, test_mode=True,
        )  # fmt: skip
    made.test_dataloader.dataset = Config(dict(dataset=outer)).dataset
    results = Runner.from_cfg(made).test()['results']
    assert [result['crops'] for result in results] == [2] * 6
    assert all(np.abs(result['found'] - result['truth']).max() <= 1.001 for result in results)


def other_head():
    return dict(
        type='HeatmapHead', in_channels=3, out_channels=3, deconv_out_channels=None, _delete_=True
    )


@pytest.mark.parametrize(
    'crop, changes, message',
    [
        (dict(AFFINE, use_udp=True), {}, 'use_udp=True'),
        (dict(type='Resize', scale=(128, 128)), {}, 'neither TopdownAffine nor PersonCrop'),
        (CROP, {'model.test_cfg.output_heatmaps': True}, 'output_heatmaps=True'),
        (CROP, {'model.head.decoder.type': 'UDPHeatmap'}, 'the cells of UDPHeatmap lie'),
        (AFFINE, {'model.head': other_head()}, 'a model with a CPMStageHead, not HeatmapHead'),
    ],
)
def test_unfit_configs_are_refused(blobs, tmp_path, crop, changes, message):
    runner = Runner.from_cfg(config(blobs, tmp_path, crop, hook={}, **changes))
    with pytest.raises(ValueError, match=message):
        runner.test()


def test_a_pipeline_without_a_step_to_replace_is_refused(blobs, tmp_path):
    made = config(blobs, tmp_path, AFFINE, hook=dict(center_scale=dict(type='GetImageCenterScale')))
    made.test_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(ValueError, match='no step for GetImageCenterScale to replace'):
        Runner.from_cfg(made).test()
