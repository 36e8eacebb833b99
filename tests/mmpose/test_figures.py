"""FiguresDataset: annotations as in COCO, with the joints of LSP."""

import json
import re

import numpy as np
import pytest

from cpm_plugin.core.maps.joint_sets import LSP

from mmpose.registry import DATASETS


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
