"""Broken annotations are found in the file, and stock datasets refuse them by its name."""

import doctest
import json
import re

import numpy as np
import pytest
from cpm_testing.data import coco_content
from mmengine.logging import MessageHub

from cpm_plugin.mmpose import raw_labels
from cpm_plugin.mmpose.raw_labels import is_finite

from mmpose.registry import DATASETS


@pytest.fixture
def content():
    """Of a COCO file: one person."""
    annotation = dict(
        id=7,
        image_id=4,
        category_id=1,
        iscrowd=0,
        bbox=[2, 3, 40, 50],
        area=2000.0,
        num_keypoints=17,
        keypoints=[10, 20, 2] * 17,
        segmentation=[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
    )
    return coco_content([annotation], 4, (96, 96))


@pytest.fixture
def build(tmp_path):
    """Builds a stock dataset on the content of ``a.json``."""

    def build(content, **settings):
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / 'a.json').write_text(text)
        ann_file = str(tmp_path / 'a.json')
        return DATASETS.build({'type': 'CocoDataset', 'ann_file': ann_file, **settings})

    return build


def test_examples_are_true():
    found = doctest.testmod(raw_labels)
    assert found.attempted == 4 and found.failed == 0


def test_what_is_whole_is_read_as_before(build, content):
    for mode in ('topdown', 'bottomup'):
        people = build(content, data_mode=mode)
        assert people.get_data_info(0)['bbox'].tolist() == [[2, 3, 42, 53]]
        assert people.get_data_info(0)['keypoints'].tolist() == [[[10, 20]] * 17]


@pytest.mark.parametrize('text', ['', '[', '{"images": [', '[]', '{"images": 3}', 'deep'])
def test_text_that_is_no_annotations_is_named(build, tmp_path, text):
    with pytest.raises(ValueError, match=rf'^{re.escape(str(tmp_path / "a.json"))}: '):
        build('[' * 100_000 if text == 'deep' else text)


@pytest.mark.parametrize(
    ('key', 'value', 'problem'),
    [
        ('bbox', [1, 2, 3], r"annotation 7: 'bbox' is \[1, 2, 3\], 4 numbers are needed"),
        ('bbox', 'abcd', "annotation 7: 'bbox' is abcd"),
        ('keypoints', [1] * 50, "annotation 7: 'keypoints' has 50 numbers, 51 are needed"),
        ('keypoints', [10, 20, 2] * 16, 'annotation 7: .*48 numbers, 51 are needed|16 keypoints'),
        ('keypoints', [float('nan'), 20, 2] * 17, 'annotation 7: .*nose is at .nan, 20'),
        ('keypoints', [1e39, 20, 2] * 17, 'annotation 7: .*nose is at .inf, 20'),
        ('bbox', [2, 3, 40, float('nan')], 'annotation 7: the box must be finite|none of 1 people'),
        ('area', float('inf'), 'annotation 7: area must be finite'),
        ('keypoints', [10, 20, 1e999] * 17, 'annotation 7: visibility must be finite'),
        ('area', 10**400, 'OverflowError'),
        ('num_keypoints', float('nan'), 'annotation 7: num_keypoints must be finite'),
        ('segmentation', [[1.0, float('nan')]], 'annotation 7: segmentation must be finite'),
        ('num_keypoints', 0, 'none of 1 people can be used: 1 without labeled keypoints'),
    ],
)
def test_broken_annotations_name_the_file_and_the_problem(
    build, content, tmp_path, key, value, problem
):
    content['annotations'][0][key] = value
    with pytest.raises(ValueError, match=rf'^{re.escape(str(tmp_path / "a.json"))}: .*({problem})'):
        build(content)


def test_ids_that_are_given_twice_are_refused(build, content):
    """As after a careless merge of two files: people would lie on the image of others."""
    for key in ('images', 'annotations'):
        twice = {**content, key: content[key] * 2}
        number = content[key][0]['id']
        with pytest.raises(ValueError, match=f'2 {key} have the id {number}; ids must be unique'):
            build(twice)


def test_what_nobody_reads_may_be_anything(build, content):
    content['annotations'][0]['depth'] = float('nan')
    content['annotations'][0]['keypoints'][:3] = float('nan'), 5, 0  # not labeled
    for mode in ('topdown', 'bottomup'):
        keypoints = build(content, data_mode=mode).get_data_info(0)['keypoints']
        assert keypoints[0, 0].tolist() == [0, 5]


def test_a_dataset_that_decides_for_itself_keeps_whom_it_wants(build, content):
    @DATASETS.register_module(force=True)
    class Everybody(DATASETS.get('CocoDataset')):
        @staticmethod
        def _is_valid_instance(data_info):
            return True

    content['annotations'].append({**content['annotations'][0], 'id': 8, 'iscrowd': 1})
    assert len(build(content)) == 1
    assert len(build(content, type='Everybody')) == 2


def test_stocks_note_for_its_metric_stays(build, content):
    """CocoMetric reads the whole file then, with the people who are left out of the dataset."""
    dataset = build(content, test_mode=True)
    noted = MessageHub.get_current_instance().get_info('coco_ann_file')
    assert noted == dataset.ann_file


def test_missing_keys_and_files_are_named(build, content, tmp_path):
    del content['images'][-1]['width']
    with pytest.raises(
        ValueError, match=r"a\.json: wrong labels of 1 of 1 people: .*KeyError 'width'"
    ):
        build(content)
    with pytest.raises(ValueError, match=r'none\.json: no such file; set data_root and ann_file'):
        DATASETS.build(dict(type='CocoDataset', ann_file=str(tmp_path / 'none.json')))


def test_broken_detections_are_named(build, content, tmp_path):
    found = tmp_path / 'found.json'
    settings = dict(bbox_file=str(found), test_mode=True)
    found.write_text('[{"image_id": 4, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    assert len(build(content, **settings)) == 1
    for text, problem in (
        ('[{"image_id": 4, "category_id": 1}]', "KeyError: 'bbox'"),
        ('[{"image_id": 4, "category_id": 1, "bbox": [1, 2, 3, 4], "score": NaN}]', 'bbox_score'),
        ('[]', 'no annotation|should be a list'),
    ):
        found.write_text(text)
        with pytest.raises(ValueError, match=rf'^{re.escape(str(found))}.*({problem})'):
            build(content, **settings)


@pytest.mark.parametrize(
    ('value', 'finite'),
    [
        (1.5, True), (float('nan'), False), (10**400, False), (True, True), ('nan', True),
        (None, True), ([], True),
        ([1, 2.0, -3], True), ([1, float('inf'), -float('inf')], False), ([1e308, 1e308], True),
        ([[1], [float('nan')]], False), (['a', 1.0], True),
        ({'a': {'b': [float('inf')]}}, False),
        (np.array([1, np.nan]), False), (np.float32('inf'), False), (np.array(['a']), True),
    ],
)  # fmt: skip
def test_finite(value, finite):
    assert is_finite(value) == finite
