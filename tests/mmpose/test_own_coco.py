"""OwnCocoDataset: names, links and sides of keypoints are those of the annotation file."""

import json
import re

import pytest
from cpm_testing.logs import keep_log

from cpm_plugin.core.maps.joints import JointSet
from cpm_plugin.mmpose import own_coco
from cpm_plugin.mmpose.own_coco import read_joints

from mmpose.registry import DATASETS

NAMES = ['tip', 'thumb_L', 'thumb_R', 'left_palm']
HAND = dict(id=3, name='hand', keypoints=NAMES, skeleton=[[1, 3], [2, 4]])


def written(folder, *categories, **more):
    path = folder / 'a.json'
    path.write_text(json.dumps(dict(images=[], annotations=[], categories=categories, **more)))
    return path


def test_names_and_links_are_those_of_the_category_with_keypoints(tmp_path):
    joints = read_joints(written(tmp_path, dict(id=1, name='car'), HAND))
    assert joints == JointSet(
        ('tip', 'thumb_L', 'thumb_R', 'left_palm'), (('tip', 'thumb_R'), ('thumb_L', 'left_palm'))
    )
    bare = read_joints(written(tmp_path, dict(id=1, name='a', keypoints=['tip'])))
    assert bare == JointSet(('tip',))


@pytest.mark.parametrize(
    ('categories', 'problem'),
    [
        ([], 'no category has a list of keypoints'),
        ([dict(id=1, name='a')], 'no category has a list of keypoints'),
        ([7], 'no categories can be read'),
        ([HAND, dict(HAND, keypoints=['tip'])], '2 categories have different keypoints'),
        ([dict(HAND, keypoints='tip')], "must be a list of names, but are 'tip'"),
        ([dict(HAND, keypoints=['a', 4])], 'must be a list of names'),
        ([dict(HAND, keypoints=['a', 'a'], skeleton=[])], 'must be unique'),
        ([dict(HAND, skeleton=[[0, 1]])], r'link \[0, 1\]\); there are 4 keypoints'),
        ([dict(HAND, skeleton=[[1, 5]])], r'link \[1, 5\]'),
        ([dict(HAND, skeleton=[[1, 2, 3]])], 'too many values'),
        ([dict(HAND, skeleton=4)], 'not iterable'),
    ],
)
def test_what_is_wrong_with_the_names_is_told_with_the_file(categories, problem, tmp_path):
    path = written(tmp_path, *categories)
    with pytest.raises(ValueError, match=rf'{re.escape(str(path))}: .*{problem}'):
        read_joints(path)


@pytest.mark.parametrize('content', ['', '[]', '{"images": []}', '{"categories": 4}'])
def test_a_file_that_is_not_coco_is_named(content, tmp_path):
    (tmp_path / 'a.json').write_text(content)
    with pytest.raises(ValueError, match=r'a\.json: no categories can be read'):
        read_joints(tmp_path / 'a.json')
    with pytest.raises(ValueError, match=r'none\.json: no such file; set data_root and ann_file'):
        read_joints(tmp_path / 'none.json')


def test_the_dataset_has_them_and_says_who_changes_places(tmp_path, monkeypatch):
    log = keep_log(monkeypatch, own_coco)
    image = dict(id=1, file_name='1.jpg', width=50, height=40)
    person = dict(
        id=1, image_id=1, category_id=3, iscrowd=0, bbox=[5, 6, 20, 30], num_keypoints=3,
        keypoints=[6, 7, 2, 8, 9, 1, 0, 0, 0, 20, 30, 2],
    )  # fmt: skip
    (tmp_path / 'a.json').write_text(
        json.dumps(dict(images=[image], annotations=[person], categories=[HAND]))
    )
    arguments = dict(type='OwnCocoDataset', data_root=str(tmp_path), ann_file='a.json')
    people = DATASETS.build(dict(arguments, data_prefix=dict(img='images/'), test_mode=True))
    meta = people.metainfo
    assert meta['num_keypoints'] == 4 and meta['flip_indices'] == [0, 2, 1, 3]
    assert meta['keypoint_id2name'] == dict(enumerate(NAMES))
    assert meta['skeleton_links'] == [(0, 2), (1, 3)]
    assert meta['keypoint_colors'].tolist()[1:3] == [[0, 255, 0], [255, 128, 0]]
    (info,) = (people.get_data_info(index) for index in range(len(people)))
    assert info['img_path'] == str(tmp_path / 'images' / '1.jpg')
    assert info['keypoints'][0].tolist() == [[6, 7], [8, 9], [0, 0], [20, 30]]
    assert info['keypoints_visible'].tolist() == [[1, 1, 0, 1]]
    assert log[0].startswith('a.json: 4 keypoints; left and right: thumb_L - thumb_R. Without')
    assert 'left_palm. A mirrored image' in log[0]

    from_outside = own_coco.dataset_info(JointSet(('a', 'b')), dataset_name='mine')
    mine = DATASETS.build(dict(arguments, metainfo=from_outside, lazy_init=True))
    assert mine.metainfo['dataset_name'] == 'mine' and mine.metainfo['num_keypoints'] == 2
