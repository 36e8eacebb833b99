"""Annotations to spoil, and how the datasets read them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import savemat

import cpm_plugin.mmpose  # noqa: F401  (registers the datasets)
from cpm_plugin.core.maps.joint_sets import FLIC, LSP

from mmengine.registry import init_default_scope  # isort: skip
from mmpose.registry import DATASETS

SIZE = (48, 64)  # of the images: height, width
PEOPLE = 4


def _people(count: int, keypoints: int) -> np.ndarray:
    """Return (count, keypoints, 2), positions inside the image."""
    rng = random.Random(keypoints)
    return np.array(
        [
            [(rng.randint(2, SIZE[1] - 4), rng.randint(2, SIZE[0] - 4)) for _ in range(keypoints)]
            for _ in range(count)
        ],
        dtype=float,
    )


def coco(names: tuple[str, ...]) -> dict[str, Any]:
    """Make annotations in COCO's format: two images, four people, one of them a crowd."""
    images = [
        dict(id=number, file_name=f'im0000{number}.jpg', height=SIZE[0], width=SIZE[1])
        for number in (1, 2)
    ]
    annotations = []
    for number, points in enumerate(_people(PEOPLE, len(names))):
        low, high = points.min(0), points.max(0)
        flat = np.column_stack([points, np.full(len(names), 2)]).astype(int).ravel()
        annotations.append(
            dict(
                id=10 + number,
                image_id=1 + number // 2,
                category_id=1,
                iscrowd=int(number == 3),
                bbox=[*low.tolist(), *(high - low).tolist()],
                area=float(np.prod(high - low)),
                num_keypoints=len(names),
                keypoints=flat.tolist(),
                segmentation=[[*low.tolist(), *high.tolist(), float(low[0]), float(high[1])]],
            )
        )
    person = dict(id=1, name='person', supercategory='person', keypoints=names, skeleton=[[1, 2]])
    return dict(images=images, annotations=annotations, categories=[person])


COCO_NAMES = tuple(f'keypoint_{number}' for number in range(17))


def write_coco(folder: Path) -> list[Path]:
    """Write annotations for both modes of a dataset, and results of a detector."""
    text = json.dumps(coco(COCO_NAMES))
    found = [
        dict(image_id=1 + number % 2, category_id=1, bbox=[1.5, 2.0, 30.0, 40.0], score=0.5)
        for number in range(3)
    ]
    (folder / 'topdown.json').write_text(text)
    (folder / 'bottomup.json').write_text(text)
    (folder / 'detections.json').write_text(json.dumps(found))
    (folder / 'images.json').write_text(text)  # which stays as it is
    return [folder / f'{name}.json' for name in ('topdown', 'bottomup', 'detections')]


def read_coco(path: Path, folder: Path) -> Any:
    """Read annotations or detections by MMPose's ``CocoDataset``."""
    settings: dict[str, Any] = dict(type='CocoDataset', ann_file=str(path))
    if path.name == 'detections.json':
        settings.update(ann_file=str(folder / 'images.json'), bbox_file=str(path), test_mode=True)
    elif path.name == 'bottomup.json':
        settings.update(data_mode='bottomup')
    return _samples(settings, keypoints=17)


def write_figures(folder: Path) -> list[Path]:
    """Write annotations of ``FiguresDataset``."""
    path = folder / 'figures.json'
    path.write_text(json.dumps(coco(LSP.names)))
    return [path]


def read_figures(path: Path, folder: Path) -> Any:
    """Read annotations by ``FiguresDataset``."""
    return _samples(dict(type='FiguresDataset', ann_file=str(path)), keypoints=14)


def _save(path: Path, variables: dict[str, Any], compressed: bool) -> None:
    """Write a MATLAB file without the time in its header."""
    savemat(path, variables, do_compression=compressed)
    path.write_bytes(b'MATLAB 5.0 MAT-file'.ljust(116) + path.read_bytes()[116:])


def write_joints(folder: Path) -> list[Path]:
    """Write ``joints.mat`` of LSP and LSP Extended, plain and compressed, and images."""
    (folder / 'images').mkdir()
    for number in range(1, PEOPLE + 1):
        for name in (f'im{number:04d}.jpg', f'im{number:05d}.jpg'):
            cv2.imwrite(str(folder / 'images' / name), np.full((*SIZE, 3), 90, np.uint8))
    points = _people(PEOPLE, len(LSP.names))
    marks = np.ones((PEOPLE, len(LSP.names)))
    marks[1, 3] = 0
    paths = []
    for layout, third in (('lsp', 1 - marks), ('lspet', marks)):
        joints = np.concatenate([points, third[..., None]], axis=2)
        joints = joints.transpose((2, 1, 0) if layout == 'lsp' else (1, 2, 0))
        for compressed in (False, True):
            path = folder / f'{layout}{"_compressed" if compressed else ""}.mat'
            _save(path, {'joints': joints}, compressed)
            paths.append(path)
    return paths


def read_joints(path: Path, folder: Path) -> Any:
    """Read ``joints.mat`` by ``LspDataset``."""
    return _samples(
        dict(
            type='LspDataset',
            ann_file=str(path),
            data_prefix=dict(img=str(folder / 'images')),
            center_scale='authors',
        ),
        keypoints=14,
    )


def write_flic(folder: Path) -> list[Path]:
    """Write FLIC's ``examples.mat``, plain and compressed."""
    fields = ('filepath', 'coords', 'torsobox', 'istrain', 'istest')
    examples = np.zeros((PEOPLE, 1), [(name, object) for name in fields])
    for number, points in enumerate(_people(PEOPLE, len(FLIC.names) + 2)):
        box = np.array([10.0, 12.0, 40.0, 44.0])
        values = (f'film-{number}.jpg', points.T, box, number != 3, number == 3)
        for name, value in zip(fields, values):
            examples[name][number, 0] = value
    paths = []
    for name, compressed in (('plain', False), ('compressed', True)):
        paths.append(folder / f'{name}.mat')
        _save(paths[-1], {'examples': examples}, compressed)
    return paths


def read_flic(path: Path, folder: Path) -> Any:
    """Read ``examples.mat`` by ``FlicDataset``."""
    return _samples(dict(type='FlicDataset', ann_file=str(path)), keypoints=len(FLIC.names))


def _samples(settings: dict[str, Any], keypoints: int) -> list[dict[str, Any]]:
    """Build a dataset, and return its samples; what must hold for each is asserted."""
    init_default_scope('mmpose')
    dataset = DATASETS.build(settings)
    samples = [dataset.get_data_info(number) for number in range(len(dataset))]
    for sample in samples:
        if sample['id'] == []:
            continue  # an image without people, of the mode bottom-up
        count = len(sample['keypoints'])
        assert isinstance(sample['img_path'], str), 'img_path is no text'
        assert sample['keypoints'].shape == (count, keypoints, 2), 'another number of keypoints'
        assert sample['keypoints_visible'].shape == (count, keypoints), 'another number of labels'
        assert sample['bbox'].shape == (count, 4), 'a box has not 4 numbers'
    return samples
