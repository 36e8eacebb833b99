"""A dataset and a model that cannot be wrong: it reads joints off the image.

Each joint is a soft blob in a color of its own, so a mistake anywhere from the crop to the
result moves it.
"""

import json
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from cpm_testing.registries import registered
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import nn

from cpm_plugin.mmpose import CPMStageHead

from mmpose.registry import METRICS, MODELS
from mmpose.structures import PoseDataSample

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


def make_blobs(folder):
    """COCO-style; joint k is a blob in channel k."""
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


@contextmanager
def registered_blobs():
    with registered(MODELS, SeesBlobs, BlobHead), registered(METRICS, KeepErrors):
        yield


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
