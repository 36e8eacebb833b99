"""A training of seconds on generated images, for tests of what happens around a training."""

import json

import cv2
from mmengine.config import Config
from mmengine.runner import Runner

import cpm_plugin.mmpose  # noqa: F401
from cpm_plugin.apps.figures import draw
from cpm_plugin.core.maps.joint_sets import LSP


def make_figures(folder, count, size=48):
    """COCO-format data: ``count`` images to train on and 5 to validate on."""
    person = {'id': 1, 'name': 'person', 'keypoints': list(LSP.names), 'skeleton': []}
    (folder / 'annotations').mkdir(parents=True)
    for split, number in (('train', count), ('val', 5)):
        (folder / split).mkdir()
        images, annotations = [], []
        for i in range(1, number + 1):
            image, annotation = draw((number, i), size)
            cv2.imwrite(str(folder / split / f'{i}.jpg'), image)
            images.append({'id': i, 'file_name': f'{i}.jpg', 'width': size, 'height': size})
            annotations.append({'id': i, 'image_id': i, **annotation})
        coco = {'images': images, 'annotations': annotations, 'categories': [person]}
        (folder / 'annotations' / f'{split}.json').write_text(json.dumps(coco))
    return folder


def tiny_config(repo, data, work_dir, **options):
    """The config of ``make demo`` on these images, small; ``options`` as --cfg-options."""
    (path,) = (repo / 'configs').glob('*/topdown_heatmap/figures/*.py')
    config = Config.fromfile(path)
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    config.merge_from_dict(
        {
            'work_dir': str(work_dir),
            'model.backbone': dict(channels=4, center_map_sigma=None, kernel_size=3),
            'model.head': dict(in_channels=4, channels=4, first_stage_channels=4, num_stages=2),
            **{f'{name}.dataset.data_root': f'{data}/' for name in loaders},
            **{f'{name}.num_workers': 0 for name in loaders},
            **{f'{name}.persistent_workers': False for name in loaders},
            'train_dataloader.batch_size': 4,
            'val_dataloader.batch_size': 2,
            'log_level': 'ERROR',
            'visualizer.vis_backends': [],
            'randomness': dict(seed=3),
            **options,
        }
    )
    config.custom_hooks = options.get('custom_hooks', [])
    config.experiment_name = f'tiny_{abs(hash((str(work_dir), str(options))))}'
    return config


def augmented(config):
    """With augmentation, which the config of ``make demo`` has not, and dropout."""
    pipeline = config.train_dataloader.dataset.pipeline
    pipeline[2:2] = [dict(type='RandomFlip'), dict(type='RandomBBoxTransform')]
    config.model.head.dropout = 0.5
    return config


def train(config):
    runner = Runner.from_cfg(config)
    runner.train()
    return runner
