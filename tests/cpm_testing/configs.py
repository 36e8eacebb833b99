"""The configs of the repository and their parts."""

import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose.datasets import dataset_info

from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.registry import DATASETS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LEAVES = sorted((CONFIGS / 'body_2d_keypoint/topdown_heatmap').rglob('*.py'))
PEOPLE = sorted((CONFIGS / 'body_2d_keypoint/part_affinity_fields').rglob('*.py'))
NAME = re.compile(
    r'td-hm_(?P<model>[a-z0-9_-]+?)_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<length>\d+)(?P<unit>[ek])_'
    r'(?P<dataset>[a-z]+)(-[a-z]+)?-(?P<height>\d+)x(?P<width>\d+)'
)
CROPS = ('TopdownAffine', 'PersonCrop')
read = cache(Config.fromfile)


def load(path):
    cfg = deepcopy(read(path))  # tests change it
    init_default_scope(cfg.default_scope)
    return cfg


def datasets(loader):
    """The datasets of a loader with whole pipelines; the parts of a combined one."""
    dataset = loader['dataset']
    if dataset.type == 'CombinedDataset':
        return [dict(part, pipeline=part.pipeline + dataset.pipeline) for part in dataset.datasets]
    return dataset.get('datasets') or [dataset]


def step(pipeline, *kinds):
    (found,) = (step for step in pipeline if step['type'] in kinds)
    return found


def loaders(cfg):
    return [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]


def is_partial(dataset):
    """Whether it is one that lacks joints, beside that of the config."""
    return any(step.get('partial') for step in dataset['pipeline'])


def meta_of(dataset):
    if dataset['type'] == 'OwnCocoDataset':  # that of any file with as many joints as the head
        return parse_pose_metainfo(dataset_info(LSP, dataset_name='own'))
    return parse_pose_metainfo(DATASETS.get(dataset['type']).METAINFO)


def load_lspet(name):
    return load(CONFIGS / f'body_2d_keypoint/topdown_heatmap/lspet/td-hm_{name}.py')


def random_batch(codec, meta, count):
    """Noise with random keypoints and a neighbor, packed as a training pipeline does it."""
    generator = np.random.default_rng(0)
    width, height = codec['input_size']
    joints = meta['num_keypoints']
    weights = meta.get('dataset_keypoint_weights', np.ones(joints))
    batch = []
    for _ in range(count):
        people = generator.uniform(0, (width, height), (2, joints, 2))
        results = dict(
            img=generator.integers(0, 256, (height, width, 3), dtype=np.uint8),
            bbox=np.array([[0.0, 0.0, width, height]], np.float32),
            bbox_score=np.ones(1, np.float32),
            keypoints=people[:1],
            transformed_keypoints=people[:1],
            keypoints_visible=(generator.random((1, joints)) < 0.8).astype(np.float32),
            neighbor_keypoints=people[1:],
            neighbor_keypoints_visible=np.ones((1, joints)),
            dataset_keypoint_weights=np.array(weights, np.float32),
            flip_indices=meta['flip_indices'],
            input_size=(width, height),
            input_center=np.array([width, height]) / 2,
            input_scale=np.array([width, height], float),
        )
        batch.append(PackPoseInputs()(GenerateTarget(encoder=dict(codec))(results)))
    return pseudo_collate(batch)
