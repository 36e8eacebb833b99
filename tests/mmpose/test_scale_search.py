"""ScaleSearchHook: a test over several scales, by a switch, in MMEngine's own runner.

Most tests run a model that reads joints off the image: each is a soft blob in a color of
its own, so a mistake anywhere from the crop to the result moves it.
"""

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import nn

from cpm_plugin.mmpose import CPMStageHead, PersonCrop
from cpm_plugin.mmpose.scale_search import GetOctaveCenterScale, collate_crops, search_scales

from mmpose.registry import HOOKS, KEYPOINT_CODECS, METRICS, MODELS, TRANSFORMS
from mmpose.structures import PoseDataSample

LEAVES = sorted((Path(__file__).parents[2] / 'configs' / 'body_2d_keypoint').rglob('*.py'))
PARTNERS = dict(left_eye='right_eye', right_eye='left_eye', nose='')
METAINFO = dict(
    dataset_name='blobs',
    keypoint_info={
        index: dict(name=name, id=index, color=[0, 0, 0], type='', swap=partner)
        for index, (name, partner) in enumerate(PARTNERS.items())
    },
    skeleton_info={},
    joint_weights=[1.0] * 3,
    sigmas=[0.1] * 3,
)
# of each image: size, box, and the three joints
PEOPLE = (
    ((200, 150), (50, 30, 150, 130), [(80, 60), (121, 64), (102, 101)]),
    ((120, 190), (60, 80, 118, 186), [(77, 95), (106, 103), (95, 171)]),
    ((160, 160), (2, 5, 92, 80), [(21, 20), (50, 17), (33, 62)]),
)
CROP = dict(type='PersonCrop', input_size=(128, 128), border=0, center_map_sigma=21.0)


# -- a dataset and a model that cannot be wrong


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """COCO-style; joint k is a blob in channel k."""
    folder = tmp_path_factory.mktemp('blobs')
    images, annotations = [], []
    for number, ((width, height), box, joints) in enumerate(PEOPLE, start=1):
        x, y = np.arange(width), np.arange(height)[:, None]
        blobs = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2 / 7.0**2) for a, b in joints]
        image = (250 * np.stack(blobs, axis=2)).round().astype(np.uint8)
        assert cv2.imwrite(str(folder / f'{number}.png'), image)
        images.append(dict(id=number, file_name=f'{number}.png', width=width, height=height))
        left, top, right, bottom = box
        annotations.append(
            dict(
                id=number, image_id=number, category_id=1, iscrowd=0, num_keypoints=3,
                area=float((right - left) * (bottom - top)),
                bbox=[left, top, right - left, bottom - top],
                keypoints=[value for joint in joints for value in (*joint, 2)],
            )
        )  # fmt: skip
    people = dict(images=images, annotations=annotations, categories=[dict(id=1, name='person')])
    (folder / 'people.json').write_text(json.dumps(people))
    return folder


class SeesBlobs(nn.Module):
    """Image -> its color channels in cells of 8 pixels, as a codec has them.

    Eyes change sides in a mirrored image, the colors do not: it looks which is further left.
    """

    def __init__(self, first_cell):
        super().__init__()
        self.pool = nn.AvgPool2d(8) if first_cell else nn.AvgPool2d(9, 8, padding=4)
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        maps = self.pool(x[:, :3])
        columns = torch.arange(maps.shape[3])
        middle = (maps.sum(2) * columns).sum(2) / maps.sum((2, 3))
        mirrored = middle[:, 0] > middle[:, 1]
        maps[mirrored] = maps[mirrored][:, [1, 0, 2]]
        return maps * self.weight


class BlobHead(CPMStageHead):
    def forward(self, feats):
        return [feats]


class KeepErrors(BaseMetric):
    """The largest error in pixels of each image, and the predictions."""

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            found = np.asarray(sample['pred_instances']['keypoints'])[0, :, :2]
            truth = np.asarray(sample['gt_instances']['keypoints'])[0]
            scores = np.asarray(sample['pred_instances']['keypoint_scores'])[0]
            meta = {key: np.asarray(sample[key]) for key in ('input_center', 'input_scale')}
            crops = len(sample['crop_scales']) if 'crop_scales' in sample else 0
            self.results.append(dict(found=found, truth=truth, scores=scores, crops=crops, **meta))

    def compute_metrics(self, results):
        return dict(results=results)


@pytest.fixture(scope='module', autouse=True)
def registered():
    parts = ((MODELS, SeesBlobs), (MODELS, BlobHead), (METRICS, KeepErrors))
    for registry, part in parts:
        registry.register_module(module=part)
    yield
    for registry, part in parts:
        registry.module_dict.pop(part.__name__)


def config(data, folder, crop, *, codec='CPMHeatmap', flip=False, hook=None, **changes):
    stock = codec != 'CPMHeatmap'
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        crop,
        dict(type='PackPoseInputs'),
    ]
    dataset = dict(
        type='CocoDataset',
        data_root=str(data),
        ann_file='people.json',
        test_mode=True,
        pipeline=pipeline,
        metainfo=METAINFO,
    )
    decoder = dict(type=codec, input_size=(128, 128), heatmap_size=(16, 16), sigma=2.0)
    hooks = {} if hook is None else dict(scale_search=dict(type='ScaleSearchHook', **hook))
    made = dict(
        default_scope='mmpose',
        work_dir=str(folder),
        model=dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(
                type='CPMDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=False
            ),
            backbone=dict(type='SeesBlobs', first_cell=0.0 if stock else 3.5),
            head=dict(
                type='BlobHead', in_channels=4, num_keypoints=3, num_stages=1, decoder=decoder
            ),
            test_cfg=dict(flip_test=flip, flip_mode='heatmap', shift_heatmap=stock),
        ),
        test_dataloader=dict(
            batch_size=14,  # two people at seven scales
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
            dataset=dataset,
        ),
        test_cfg=dict(),
        test_evaluator=dict(type='KeepErrors'),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), **hooks),
        log_level='ERROR',
        experiment_name=f'{folder.name}_{np.random.default_rng().integers(10**9)}',
    )
    made = Config(made)
    made.merge_from_dict(changes)
    return made


def run(*arguments, **options):
    return Runner.from_cfg(config(*arguments, **options)).test()['results']


AFFINE = dict(type='TopdownAffine', input_size=(128, 128))


# -- whole runs


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('codec', ['CPMHeatmap', 'MSRAHeatmap'])
@pytest.mark.parametrize('crop', [AFFINE, CROP], ids=['TopdownAffine', 'PersonCrop'])
def test_joints_are_found_to_a_pixel(data, tmp_path, crop, codec, flip):
    results = run(data, tmp_path, crop, codec=codec, flip=flip, hook={})
    assert [result['crops'] for result in results] == [7, 7, 7]
    for result in results:
        assert np.abs(result['found'] - result['truth']).max() <= 1.001
        np.testing.assert_allclose(result['found'], result['found'].round(), atol=1e-3)
        assert (result['scores'] > 0.5).all()


@pytest.mark.parametrize('codec', ['CPMHeatmap', 'MSRAHeatmap'])
def test_cells_of_the_other_codec_move_the_joints(data, tmp_path, codec):
    other = {'CPMHeatmap': 0.0, 'MSRAHeatmap': 3.5}[codec]
    results = run(
        data, tmp_path, CROP, codec=codec, hook={}, **{'model.backbone.first_cell': other}
    )
    assert all(np.abs(result['found'] - result['truth']).max() >= 2 for result in results)


def test_without_the_hook_nothing_is_searched(data, tmp_path):
    results = run(data, tmp_path, CROP)
    assert [result['crops'] for result in results] == [0, 0, 0]
    assert any(np.abs(result['found'] - result['found'].round()).max() > 0.01 for result in results)


def test_workers_get_the_new_pipeline(data, tmp_path):
    runner = Runner.from_cfg(
        config(
            data, tmp_path, AFFINE, hook=dict(scales=[0.9, 1.1, 1.3]),
            **{'test_dataloader.num_workers': 1, 'test_dataloader.persistent_workers': True},
        )
    )  # fmt: skip
    results = runner.test()['results']
    assert [result['crops'] for result in results] == [3, 3, 3]
    again = runner.test()['results']
    for first, second in zip(results, again):
        np.testing.assert_array_equal(first['found'], second['found'])
        assert np.abs(first['found'] - first['truth']).max() <= 1.001


def test_scales_are_those_of_the_hook_and_batches_shrink(data, tmp_path):
    runner = Runner.from_cfg(
        config(
            data, tmp_path, CROP, hook=dict(scales=[0.8, 1.2]),
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


def test_topdown_affine_keeps_its_pixels(data, tmp_path):
    """At scale 1 the crop is stock's own."""
    images = []
    for hook in (None, dict(scales=1)):
        runner = Runner.from_cfg(config(data, tmp_path, AFFINE, hook=hook))
        runner.test()
        images.append([crop for batch in runner.test_dataloader for crop in batch['inputs']])
    assert len(images[0]) == len(images[1]) == 3
    for stock, ours in zip(*images):
        assert torch.equal(stock, ours)


def test_center_and_scale_are_replaced(data, tmp_path):
    results = run(
        data,
        tmp_path,
        AFFINE,
        hook=dict(scales=[1.2, 1.3, 1.4], center_scale=dict(type='GetImageCenterScale')),
    )
    for result, ((_, height), _, _) in zip(results, PEOPLE):
        np.testing.assert_allclose(result['input_scale'], height / 0.8, rtol=1e-6)
        # the cubic through cells finds a blob of 0.7 cells with up to 0.18 cells of error
        cell = height / 0.8 / 1.2 / 16
        assert np.abs(result['found'] - result['truth']).max() <= 0.2 * cell


def test_octave_search_takes_its_own_scales(data, tmp_path):
    results = run(data, tmp_path, AFFINE, hook=dict(center_scale=dict(type='GetOctaveCenterScale')))
    for result, (_, (_, top, _, bottom), _) in zip(results, PEOPLE):
        assert result['crops'] == 4
        np.testing.assert_allclose(result['input_scale'], 1.44 * (bottom - top), rtol=1e-6)
        assert np.abs(result['found'] - result['truth']).max() <= 1.001


@pytest.mark.parametrize('wrapper', ['ConcatDataset', 'RepeatDataset', 'CombinedDataset'])
def test_wrapped_data_sets(data, tmp_path, wrapper):
    made = config(data, tmp_path, AFFINE, hook=dict(scales=[0.9, 1.1]))
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


def test_joints_between_others_are_between_their_peaks():
    """output_joints comes after the search: MPII's pelvis of the authors' 14 joints."""
    head = CPMStageHead(
        in_channels=4, num_keypoints=14, joints='cpm', output_joints='mpii', num_stages=1,
        decoder=dict(type='CPMHeatmap', input_size=(64, 64), heatmap_size=(8, 8)),
    )  # fmt: skip
    maps = torch.rand(2, 14, 8, 8)
    head.forward = lambda feats: [maps]
    sample = person((64, 64), [[64.0, 64.0], [50.0, 50.0]])
    (plain,) = search_scales(maps, [sample], head.decoder)
    (found,) = head.predict(None, [sample])
    assert found.keypoints.shape == (1, 16, 2) and found.keypoint_scores.shape == (1, 16)
    np.testing.assert_allclose(found.keypoints[0, 9], plain.keypoints[0, 0])  # head top
    np.testing.assert_allclose(found.keypoints[0, 6], plain.keypoints[0, [8, 11]].mean(axis=0))


# -- the configs of the repository


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_every_config_can_be_searched(data, path):
    """Its own test pipeline and codec, all but the network itself."""
    cfg = Config.fromfile(path)
    head = cfg.model.head
    pipeline = Compose([TRANSFORMS.build(step) for step in cfg.test_dataloader.dataset.pipeline])
    loader = SimpleNamespace(
        dataset=SimpleNamespace(pipeline=pipeline),
        collate_fn=None,
        batch_sampler=SimpleNamespace(batch_size=32),
    )
    runner = SimpleNamespace(
        test_dataloader=loader, model=SimpleNamespace(head=MODELS.get(head.type))
    )
    hook = HOOKS.build(dict(type='ScaleSearchHook'))
    if head.type != 'CPMStageHead':
        with pytest.raises(ValueError, match='needs a model with a CPMStageHead'):
            hook.before_test(runner)
        return
    hook.before_test(runner)
    assert loader.batch_sampler.batch_size == 4

    (width, height), (left, top, right, bottom), _ = PEOPLE[0]
    packed = pipeline(
        dict(
            img_path=str(data / '1.png'),
            bbox=np.array([[left, top, right, bottom]], dtype=np.float32),
            bbox_score=np.ones(1, dtype=np.float32),
        )
    )
    codec = KEYPOINT_CODECS.build(head.decoder)
    across, down = codec.input_size
    channels = (
        4 if any(getattr(step, 'center_map_sigma', None) for step in pipeline.transforms) else 3
    )
    assert packed['inputs'].shape == (7, channels, down, across)
    columns, rows = codec.heatmap_size
    (found,) = search_scales(torch.rand(7, 5, rows, columns), [packed['data_samples']], codec)
    meta = packed['data_samples'].metainfo
    # as the estimator does
    in_image = found.keypoints[0] / (across, down) * meta['input_scale']
    in_image += meta['input_center'] - meta['input_scale'] / 2
    np.testing.assert_allclose(in_image, in_image.round(), atol=1e-3)
    assert (in_image > -0.5).all() and (in_image < (width - 0.5, height - 0.5)).all()


SMALL = """
_base_ = {base!r}

people = dict(
    type='CocoDataset', data_root={data!r}, ann_file='people.json', test_mode=True,
    pipeline=_base_.test_dataloader.dataset.pipeline, metainfo={metainfo!r})
test_dataloader = dict(
    batch_size=2, num_workers=2, persistent_workers=True,
    dataset=dict(_delete_=True, **people))
test_evaluator = dict(type='EPE', _delete_=True)
model = dict(
    backbone=dict(channels=4),
    head=dict(
        in_channels=4, num_keypoints=3, joints=None, output_joints=None, channels=4,
        reduced_channels=4, first_stage_channels=8))
del people
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, options',
    [
        ('lspet/td-hm_cpm-slim-3s_*-12e_lspet-128x128.py', []),
        (
            'coco/td-hm_cpm-6s_paper_*_coco-368x368.py',
            ['center_scale.type=GetOctaveCenterScale', 'scales=1.0,1.2'],
        ),
    ],
)
def test_stock_test_script_with_the_switch(data, tmp_path, repo, name, options):
    """Untrained weights: what counts is that the switch alone gives whole pixels."""
    (base,) = (repo / 'configs' / 'body_2d_keypoint' / 'topdown_heatmap').glob(name)
    path, weights, dump = (tmp_path / part for part in ('small.py', 'small.pth', 'found.pkl'))
    path.write_text(SMALL.format(base=str(base), data=str(data), metainfo=METAINFO))
    model = MODELS.build(Config.fromfile(path).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
    switch = 'default_hooks.scale_search.'
    found = []
    for arguments in (
        [],
        [f'{switch}type=ScaleSearchHook', *(switch + option for option in options)],
    ):
        done = subprocess.run(
            [
                sys.executable, '-W', 'ignore', str(repo / 'tools' / 'test.py'), str(path),
                str(weights), '--work-dir', str(tmp_path / 'work'), '--dump', str(dump),
                *(['--cfg-options', *arguments] if arguments else []),
            ],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(repo), *sys.path])},
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        with dump.open('rb') as file:
            samples = pickle.load(file)
        found.append([sample['pred_instances']['keypoints'][0] for sample in samples])
    plain, searched = found
    assert len(plain) == len(searched) == len(PEOPLE)
    for positions, ((width, height), _, _) in zip(searched, PEOPLE):
        np.testing.assert_allclose(positions, positions.round(), atol=1e-3)
        assert (positions > -0.5).all() and (positions < (width - 0.5, height - 0.5)).all()
    assert np.abs(np.array(plain) - np.round(plain)).max() > 1e-2


# -- parts


def person(input_size, crop_scales, center=(100.4, 71.7), image=(160, 220, 3)):
    sample = PoseDataSample()
    sample.set_metainfo(
        dict(
            crop_scales=np.array(crop_scales),
            input_center=np.array(center, dtype=np.float32),
            input_scale=np.array([120.0, 120.0 * input_size[1] / input_size[0]], np.float32),
            input_size=input_size,
            ori_shape=image,
        )
    )
    sample.gt_instances = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1))
    return sample


def test_the_estimator_gives_whole_pixels_back():
    """Random beliefs of two people: its own arithmetic undoes search_scales' last step."""
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='SeesBlobs', first_cell=3.5),
            head=dict(
                type='BlobHead', in_channels=4, num_keypoints=3, num_stages=1,
                decoder=dict(type='CPMHeatmap', input_size=(96, 128), heatmap_size=(12, 16)),
            ),
        )
    )  # fmt: skip
    sizes = np.array([[96.0, 128.0], [72.0, 96.0], [120.0, 160.0]])
    samples = [person((96, 128), sizes), person((96, 128), sizes, center=(3.3, 155.2))]
    instances = model.head.predict(torch.rand(6, 3, 16, 12), samples)
    for sample in model.add_pred_to_datasample(instances, None, samples):
        keypoints = sample.pred_instances.keypoints
        np.testing.assert_allclose(keypoints, keypoints.round(), atol=1e-4)
        assert (keypoints >= -1e-4).all() and (keypoints <= np.array([219, 159]) + 1e-4).all()


def test_octave_crop_is_the_one_of_apply_model():
    """applyModel.m, line by line in its own numbers, which begin with 1."""
    height, width, boxsize = 480, 640, 368
    x, y, w, h = 200.0, -20.0, 150.0, 300.0  # MATLAB's rectangle
    x_start, x_end = max(x, 1), min(x + w, width)
    y_start, y_end = max(y, 1), min(y + h, height)
    center = [(x_start + x_end) / 2, (y_start + y_end) / 2]
    middle_range = (y_end - y_start) / height * 1.2
    starting_scale = boxsize / (height * middle_range * 1.2)
    ending_scale = boxsize / (height * middle_range * 0.8)
    exponents = np.arange(math.log2(starting_scale), math.log2(ending_scale), 1 / 6)

    transform = TRANSFORMS.build(dict(type='GetOctaveCenterScale'))
    assert isinstance(transform, GetOctaveCenterScale)
    box = np.array([[x, y, x + w, y + h]], dtype=np.float32) - 1
    results = transform(dict(bbox=box, img_shape=(height, width)))
    np.testing.assert_allclose(results['bbox_center'], [np.array(center) - 1])
    crops = results['bbox_scale'] / np.array(transform.scales)[:, None]
    np.testing.assert_allclose(boxsize / crops[:, 0], 2**exponents, rtol=1e-6)
    np.testing.assert_allclose(crops[:, 0], crops[:, 1])


def test_collate_puts_the_crops_of_a_person_together():
    crops = torch.arange(12).reshape(2, 3, 2, 1, 1)
    samples = [dict(inputs=crop, data_samples=name) for crop, name in zip(crops, 'ab')]
    batch = collate_crops(samples)
    assert batch['data_samples'] == ['a', 'b']
    assert [crop.flatten().tolist() for crop in batch['inputs']] == [
        [0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]
    ]  # fmt: skip
    with pytest.raises(ValueError, match='one crop a person'):
        collate_crops([dict(inputs=torch.zeros(3, 8, 8), data_samples='a')])


# -- what cannot be done is refused


@pytest.mark.parametrize('scales', [0, [1.0, -1.0], [], [float('inf')], ['large'], [float('nan')]])
def test_scales_that_are_not_positive_numbers_are_refused(scales):
    with pytest.raises(ValueError, match='must be positive numbers'):
        HOOKS.build(dict(type='ScaleSearchHook', scales=scales))


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
def test_unfit_configs_are_refused(data, tmp_path, crop, changes, message):
    runner = Runner.from_cfg(config(data, tmp_path, crop, hook={}, **changes))
    with pytest.raises(ValueError, match=message):
        runner.test()


def test_a_pipeline_without_a_step_to_replace_is_refused(data, tmp_path):
    made = config(data, tmp_path, AFFINE, hook=dict(center_scale=dict(type='GetImageCenterScale')))
    made.test_dataloader.dataset.pipeline.pop(1)
    with pytest.raises(ValueError, match='no step for GetImageCenterScale to replace'):
        Runner.from_cfg(made).test()


def test_a_batch_of_another_collate_function_is_refused():
    decoder = MODELS.build(
        dict(type='BlobHead', in_channels=4, num_keypoints=3, num_stages=1,
             decoder=dict(type='CPMHeatmap', input_size=(64, 64), heatmap_size=(8, 8)))
    ).decoder  # fmt: skip
    sample = person((64, 64), [[64.0, 64.0], [50.0, 50.0]])
    with pytest.raises(ValueError, match='3 images for 1 people at 2 scales'):
        search_scales(torch.zeros(3, 3, 8, 8), [sample], decoder)


def test_center_scale_must_be_one():
    with pytest.raises(ValueError, match=r"'LoadImage'.* sets no center and scale; give one of"):
        HOOKS.build(dict(type='ScaleSearchHook', center_scale=dict(type='LoadImage')))


def test_box_outside_the_image_is_named():
    sample = dict(bbox=np.array([[5.0, 300, 50, 400]]), img_shape=(200, 200))
    with pytest.raises(ValueError, match=r'box \[5\.0, 300\.0.*no height inside'):
        GetOctaveCenterScale()(sample)
