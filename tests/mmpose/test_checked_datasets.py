"""A wrong label is traced to its image when the dataset is loaded; who is left out is counted."""

import json
import re

import numpy as np
import pytest
from cpm_testing.data import coco_content, write_coco, write_lsp
from cpm_testing.logs import keep_log
from cpm_testing.registries import registered
from mmengine.config import Config

from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose import checked_datasets
from cpm_plugin.mmpose.labels import LabelError

from mmpose.datasets.datasets import CocoDataset
from mmpose.registry import DATASETS

NAN, INF = float('nan'), float('inf')
NAMES = ('nose', 'left_hip', 'right_hip')
META = dict(
    dataset_name='three',
    keypoint_info={
        channel: dict(name=name, id=channel, color=[0, 0, 0], type='', swap='')
        for channel, name in enumerate(NAMES)
    },
    skeleton_info={},
    joint_weights=[1.0] * 3,
    sigmas=[0.1] * 3,
)
CODEC = dict(type='CPMHeatmap', input_size=(64, 64), heatmap_size=(8, 8))
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=CODEC['input_size']),
    dict(type='GenerateTarget', encoder=CODEC),
    dict(type='PackPoseInputs'),
]
GOOD = [10, 10, 2, 20, 20, 2, 15, 28, 1]


def write(folder, changes=(), count=3):
    """A COCO file: person 101 in image 1.png, ... with changes by index."""
    people = [
        dict(
            id=100 + n, image_id=n, category_id=1, iscrowd=0, area=100.0,
            bbox=[10, 10, 20, 20], keypoints=GOOD, num_keypoints=3,
        )
        for n in range(1, count + 1)
    ]  # fmt: skip
    for index, change in dict(changes).items():
        people[index].update(change)
        people[index] = {k: v for k, v in people[index].items() if v is not None}
    return write_coco(folder, coco_content(people, count, (64, 48)))


def coco(folder, changes=(), count=3, **arguments):
    write(folder, changes, count)
    defaults = dict(
        type='CocoDataset', data_root=str(folder), ann_file='people.json', metainfo=META,
        pipeline=PIPELINE,
    )  # fmt: skip
    return DATASETS.build({**defaults, **arguments})


@pytest.fixture
def lines(monkeypatch):
    """What is logged of the people left out."""
    return keep_log(monkeypatch, checked_datasets)


# -- COCO


@pytest.mark.parametrize('test_mode', [False, True], ids=['training', 'validation'])
@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(keypoints=[10, NAN, 2, *GOOD[3:]]), 'nose is at (10, nan)'),
        (dict(keypoints=[*GOOD[:6], INF, -INF, 1]), 'right_hip is at (inf, -inf)'),
        (
            dict(keypoints=[NAN, 1, 2, 5, NAN, 2, 3, 3, 1]),
            'but nose is at (nan, 1); left_hip is at (5, nan). Correct',
        ),
        (dict(keypoints=GOOD[:6]), '2 keypoints, 3 are needed'),
        (dict(keypoints=[*GOOD, 1, 1, 2]), '4 keypoints, 3 are needed'),
        (dict(keypoints=GOOD[:8]), "'keypoints' has 8 numbers, 9 are needed: x, y and visibility"),
        (dict(keypoints=[]), '0 keypoints, 3 are needed'),
        (dict(keypoints=['a', *GOOD[1:]]), "'keypoints' has things that are not numbers, 9 are"),
        (dict(keypoints=[10, 10, NAN, *GOOD[3:]]), 'visibilities must be numbers, but one is NaN'),
        (dict(bbox=[1, 2, 3]), "'bbox' is [1, 2, 3], 4 numbers are needed: x, y, width, height"),
        (dict(bbox=[1, NAN, 3, 4]), 'the box must be finite, but it is [1.0, nan, 4.0, nan]'),
    ],
    ids=str,
)
def test_wrong_label_names_file_annotation_rule_and_remedy(tmp_path, change, words, test_mode):
    with pytest.raises(LabelError) as error:
        coco(tmp_path, {1: change}, test_mode=test_mode)
    begin = (
        f'{tmp_path}/people.json: wrong labels of 1 of 3 people: {tmp_path}/2.png, annotation 102: '
    )
    assert str(error.value).startswith(begin)
    assert words in str(error.value)
    assert 'Correct the annotations or remove these people' in str(error.value)


def test_other_reasons_why_an_annotation_cannot_be_read_are_traced_too(tmp_path):
    write(tmp_path)
    content = json.loads((tmp_path / 'people.json').read_text())
    del content['images'][1]['width']
    (tmp_path / 'people.json').write_text(json.dumps(content))
    with pytest.raises(LabelError, match=r"2\.png, annotation 102: KeyError 'width'"):
        DATASETS.build(
            dict(type='CocoDataset', data_root=str(tmp_path), ann_file='people.json', metainfo=META)
        )


def test_all_wrong_labels_are_counted_and_three_are_shown(tmp_path):
    wrong = dict(keypoints=GOOD[:6])
    with pytest.raises(LabelError, match='wrong labels of 4 of 6 people') as error:
        coco(tmp_path, {0: wrong, 2: wrong, 3: dict(bbox=[1]), 5: wrong}, count=6)
    shown = re.findall(r'annotation (\d+)', str(error.value))
    # those that cannot even be read come first
    assert shown == ['104', '101', '103']
    assert '; and 1 more. Correct' in str(error.value)


def test_unlabeled_keypoints_may_be_anywhere(tmp_path):
    people = coco(tmp_path, {1: dict(keypoints=[NAN, INF, 0, *GOOD[3:]])})
    maps = [people[index]['data_samples'].gt_fields.heatmaps for index in range(3)]
    assert [float(m[0].max()) > 0.5 for m in maps] == [True, False, True]
    assert all(bool(m.isfinite().all()) for m in maps)


def test_people_who_are_left_out_may_have_any_labels(tmp_path):
    wrong = dict(keypoints=[NAN] * 6, bbox=[1, 1, 0, NAN])
    people = coco(tmp_path, {0: dict(iscrowd=1, **wrong), 1: dict(num_keypoints=0, **wrong)})
    assert [people.get_data_info(index)['id'] for index in range(len(people))] == [103]


def test_stock_config_needs_one_line(tmp_path):
    text = (
        "_base_ = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/"
        "td-hm_cpm_8xb64-210e_coco-256x192.py'\n"
        "custom_imports = dict(imports=['cpm_plugin.mmpose'])\n"
    )
    config = Config.fromstring(text, '.py')
    write(tmp_path, {0: dict(keypoints=[1, 1, 2] * 17), 2: dict(keypoints=[1, 1, 2] * 17)})
    for loader in ('train_dataloader', 'val_dataloader'):
        dataset = config[loader].dataset
        dataset.update(data_root=str(tmp_path), ann_file='people.json', bbox_file=None)
        with pytest.raises(LabelError, match=r'2\.png, annotation 102: 3 keypoints, 17 are needed'):
            DATASETS.build(dataset)


def test_bottom_up_datasets_name_what_cannot_be_read(tmp_path):
    with pytest.raises(LabelError, match=r'1 of 3 people: .*3\.png, annotation 103: .* 8 numbers'):
        coco(tmp_path, {2: dict(keypoints=GOOD[:8])}, data_mode='bottomup')


# -- people left out


def test_one_line_counts_people_left_out_by_reason(tmp_path, lines):
    changes = {
        0: dict(num_keypoints=0),
        1: dict(num_keypoints=0),
        2: dict(num_keypoints=0),
        3: dict(bbox=[10, 10, 0, 5]),
        4: dict(bbox=[10, 10, 5, -5]),
        5: dict(bbox=[100, 10, 5, 5]),
        6: dict(iscrowd=1),
        7: dict(image_id=77),
        8: dict(bbox=None),
        9: dict(keypoints=[0, 0, 2] * 3),
    }  # fmt: skip
    people = coco(tmp_path, changes, count=12)
    assert [people.get_data_info(index)['id'] for index in range(len(people))] == [111, 112]
    (line,) = lines
    begin = 'CocoDataset: 10 of 12 people left out: 3 without labeled keypoints, 2 with a box witho'
    assert line.startswith(begin)
    assert line.endswith(f' ({tmp_path}/people.json)')
    counts = line[line.index('out: ') + 5 : line.rindex(' (')].split(', ')
    assert sorted(counts) == [
        '1 marked as a crowd',
        '1 of an image that the file does not list',
        '1 with a box outside the image',
        '1 without a keypoint at a position above 0',
        '1 without bbox or keypoints',
        '2 with a box without area',
        '3 without labeled keypoints',
    ]


def test_nobody_left_out_logs_nothing(tmp_path, lines):
    assert len(coco(tmp_path)) == 3
    assert lines == []


def test_rule_of_a_dataset_of_its_own_is_counted(tmp_path, lines):
    class Odd(CocoDataset):
        @staticmethod
        def _is_valid_instance(data_info):
            return data_info['id'] % 2 == 1

    with registered(DATASETS, Odd):
        assert len(coco(tmp_path, type='Odd')) == 2
    assert lines == [
        f'Odd: 1 of 3 people left out: 1 by a rule of the dataset ({tmp_path}/people.json)'
    ]


def test_nobody_left_is_an_error_that_says_why(tmp_path):
    message = (
        rf'{re.escape(str(tmp_path))}/people\.json: none of 3 people can be used: 2 marked as a '
        r'crowd, 1 without labeled keypoints\. A person needs .*\. Correct the annotations'
    )
    changes = {0: dict(iscrowd=1), 1: dict(iscrowd=1), 2: dict(num_keypoints=0)}
    with pytest.raises(LabelError, match=message):
        coco(tmp_path, changes)


def test_file_without_people(tmp_path):
    (tmp_path / 'none').mkdir()
    with pytest.raises(LabelError, match='none of 0 people can be used: the file lists nobody'):
        coco(tmp_path / 'none', count=0)


def test_datasets_are_extended_once():
    before = CocoDataset.load_data_list
    checked_datasets.install()
    assert CocoDataset.load_data_list is before


# -- MPII, LSP, figures


JOINTS = [[10 + k, 12 + k] for k in range(16)]


def mpii(folder, **change):
    people = [
        dict(image=f'{n}.png', center=[30, 20], scale=0.2, joints=JOINTS, joints_vis=[1] * 16)
        for n in range(1, 4)
    ]
    people[1].update(change)
    (folder / 'people.json').write_text(json.dumps(people))
    return DATASETS.build(
        dict(type='MpiiDataset', data_root=str(folder), ann_file='people.json', pipeline=[])
    )


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(joints=JOINTS[:15], joints_vis=[1] * 15), '15 keypoints, 16 are needed'),
        (dict(joints_vis=[1] * 15), '15 visibilities of 16 keypoints'),
        (dict(joints=[*JOINTS[:15], [1]]), 'joints must be 16 pairs x, y of numbers'),
        (dict(joints=[*JOINTS[:15], [1, 'b']]), 'joints must be 16 pairs x, y of numbers'),
        (dict(joints=[], joints_vis=[]), '0 keypoints, 16 are needed'),
        (dict(joints=[*JOINTS[:15], [None, 3]]), 'but left_wrist is at (nan, 3)'),
    ],
    ids=str,
)
def test_wrong_joints_of_mpii(tmp_path, change, words):
    file = re.escape(f'{tmp_path}/people.json')
    message = rf'^{file}: .*2\.png, annotation 1: .*{re.escape(words)}.*\. Correct the annotations'
    with pytest.raises(LabelError, match=message):
        mpii(tmp_path, **change)


def test_other_errors_of_a_loader_stay_as_they_are(tmp_path):
    with pytest.raises(ValueError, match='could not convert string to float'):
        mpii(tmp_path, center=['a', 2])


def lsp(folder, points=None, labeled=None, **arguments):
    points = np.random.default_rng(0).uniform(5, 40, (5, 14, 2)) if points is None else points
    labeled = np.ones((5, 14)) if labeled is None else labeled
    write_lsp(folder, points, labeled)
    return DATASETS.build(dict(type='LspDataset', data_root=str(folder), **arguments))


@pytest.mark.parametrize('center_scale', ['box', 'authors'])
def test_lsp_names_image_and_joint(tmp_path, center_scale):
    points = np.random.default_rng(0).uniform(5, 40, (5, 14, 2))
    points[2, LSP.index('left_knee')] = (NAN, 7)
    message = r'1 of 4 people: .*images/im00003\.jpg, annotation 3: .* left_knee is at \(nan, 7\)'
    with pytest.raises(LabelError, match=message):
        lsp(tmp_path, points, image_range=(2, 5), center_scale=center_scale)


def test_lsp_counts_images_without_labels(tmp_path, lines):
    labeled = np.ones((5, 14))
    labeled[[1, 3]] = 0
    assert len(lsp(tmp_path, labeled=labeled, image_range=(1, 4))) == 2
    (line,) = lines
    assert line.startswith('LspDataset: 2 of 4 people left out: 2 without labeled keypoints (')


def test_joints_without_any_label_name_the_file(tmp_path):
    with pytest.raises(LabelError, match=r'joints\.mat: none of 5 people .*: 5 without labeled'):
        lsp(tmp_path, labeled=np.zeros((5, 14)))


def test_scale_of_the_authors_without_any_label_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r'joints\.mat: none of 5 people has two labeled joints'):
        lsp(tmp_path, labeled=np.zeros((5, 14)), center_scale='authors')


def test_figures_of_which_none_can_be_read(tmp_path):
    write(tmp_path, {n: dict(keypoints=GOOD[:8]) for n in range(3)})
    with pytest.raises(LabelError, match=r'wrong labels of 3 of 3 .*8 numbers, 42 are needed'):
        DATASETS.build(dict(type='FiguresDataset', data_root=str(tmp_path), ann_file='people.json'))


# -- what a pipeline spoils


def test_codec_names_the_sample_that_a_transform_spoiled(tmp_path):
    def spoil(results):
        if results['id'] == 102:
            results['transformed_keypoints'][0, 2] = (NAN, 3)
        return results

    people = coco(tmp_path, pipeline=[*PIPELINE[:3], spoil, *PIPELINE[3:]])
    assert people[0] is not None
    message = (
        rf'{re.escape(str(tmp_path))}/2\.png, annotation 102, in pixels of the input: keypoint 2 '
        r'of person 0 is labeled, but at \[nan, 3\.0\], which is not finite; correct its position'
    )
    with pytest.raises(LabelError, match=message):
        people[1]


def test_an_annotation_file_that_is_missing_is_told_with_the_settings(tmp_path):
    """MMPose raises an AssertionError; its file needs no correction."""
    arguments = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='none.json')
    with pytest.raises(ValueError, match=r'/none\.json: no such file; set data_root and ann_file'):
        DATASETS.build(arguments)
