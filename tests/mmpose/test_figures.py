"""FiguresDataset: annotations as in COCO, with the joints of LSP."""

import json
import re

import numpy as np
import pytest

from cpm_plugin.apps.figures_dataset import make
from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose import FiguresDataset

from mmpose.registry import DATASETS, METRICS


def figures(root, content):
    (root / 'annotations.json').write_text(content)
    files = dict(data_root=str(root), ann_file='annotations.json', data_prefix=dict(img=''))
    return DATASETS.build(dict(type='FiguresDataset', **files))


def test_figures_have_the_joints_of_lsp(tmp_path):
    keypoints = [[3 * k, 50 - k, 2 if k else 0] for k in range(14)]
    annotation = dict(
        id=7,
        image_id=4,
        category_id=1,
        iscrowd=0,
        bbox=[2, 3, 40, 50],
        num_keypoints=13,
        keypoints=np.ravel(keypoints).tolist(),
    )
    content = dict(
        images=[dict(id=4, file_name='a.png', width=96, height=96)],
        annotations=[annotation],
        categories=[dict(id=1, name='person')],
    )
    people = figures(tmp_path, json.dumps(content))
    assert people.metainfo['dataset_name'] == 'figures'
    assert people.metainfo['flip_indices'] == list(LSP.flip_indices)
    assert people.metainfo['keypoint_id2name'] == dict(enumerate(LSP.names))
    (info,) = (people.get_data_info(index) for index in range(len(people)))
    assert info['img_path'] == str(tmp_path / 'a.png')
    assert info['bbox'].tolist() == [[2, 3, 42, 53]]
    assert info['keypoints'][0].tolist() == [[3 * k, 50 - k] for k in range(14)]
    assert info['keypoints_visible'].tolist() == [[0] + [1] * 13]


@pytest.mark.parametrize('content', ['', '{"images": [', '[]', '{"images": 3}'], ids=repr)
def test_broken_figures_name_the_file_and_the_tool(tmp_path, content):
    message = rf'{re.escape(str(tmp_path / "annotations.json"))}: .*tools/make_figures\.py'
    with pytest.raises(ValueError, match=message):
        figures(tmp_path, content)


def test_missing_figures_name_the_file_and_the_tool(tmp_path):
    message = rf'{re.escape(str(tmp_path / "none.json"))}: .*tools/make_figures\.py'
    with pytest.raises(ValueError, match=message):
        DATASETS.build(dict(type='FiguresDataset', data_root=str(tmp_path), ann_file='none.json'))


def test_several_figures_in_an_image_are_one_sample_for_bottom_up_methods(tmp_path):
    """As many as were drawn, each with its own joints; stock's metric takes them as they are."""
    make(tmp_path / 'f', dict(arguments=dict(train=3, val=1, size=64, seed=0, people=[2, 4])))
    files = dict(
        data_root=f'{tmp_path}/f/',
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        test_mode=True,
    )
    content = json.loads((tmp_path / 'f' / 'annotations' / 'train.json').read_text())
    people = content['annotations']
    assert len(people) > 6
    datasets = [
        DATASETS.build(dict(type=kind, data_mode='bottomup', **files, **more))
        for kind, more in (
            ('FiguresDataset', {}),
            ('CocoDataset', dict(metainfo=FiguresDataset.METAINFO)),
        )
    ]
    for dataset in datasets:
        assert len(dataset) == 3
        for index in range(3):
            info = dataset.get_data_info(index)
            here = [person for person in people if person['image_id'] == info['img_id']]
            points = np.reshape([person['keypoints'] for person in here], (len(here), 14, 3))
            assert np.allclose(info['keypoints'], points[..., :2])
            assert (info['keypoints_visible'] == (points[..., 2] > 0)).all()
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(datasets[0].ann_file)))
    metric.dataset_meta = datasets[0].metainfo
    for image in content['images']:
        here = [person for person in people if person['image_id'] == image['id']]
        points = np.reshape([person['keypoints'] for person in here], (len(here), 14, 3))
        boxes = np.array([person['bbox'] for person in here])
        sample = dict(
            id=[person['id'] for person in here],
            img_id=image['id'],
            gt_instances=dict(bbox_scales=boxes[:, 2:]),
            pred_instances=dict(
                keypoints=points[..., :2],
                keypoint_scores=np.ones(points.shape[:2]),
                bbox_scores=np.ones(len(here)),
            ),
        )
        metric.process({}, [sample])
    assert metric.evaluate(size=3)['coco/AP'] == 1
