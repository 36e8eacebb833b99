"""Datasets of a config, with planted faults: what is found, and that MMPose agrees on the rest."""

import json
from functools import partial

import cv2
import numpy as np
import pytest

pytest.importorskip('mmengine')

from cpm_testing.data import coco_content, write_lsp
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from cpm_plugin.apps.check_dataset import check_datasets, datasets_of, read_annotations
from cpm_plugin.apps.check_report import as_text, exit_code
from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose.datasets import dataset_info

from mmpose.registry import DATASETS

WIDTH, HEIGHT, COUNT = 48, 32, 6
POSE = np.array([[5 + 2 * k, 4 + k, 2] for k in range(17)])


def coco():
    """Six images, one person in each; the annotation of image n has the id 10 n."""
    people = [
        dict(
            id=10 * n, image_id=n, category_id=1, bbox=[2, 2, 40, 25], area=1000, iscrowd=0,
            num_keypoints=17, keypoints=POSE.ravel().tolist(),
        )
        for n in range(1, COUNT + 1)
    ]  # fmt: skip
    return coco_content(people, COUNT, (WIDTH, HEIGHT))


def write(root, content, kind='png'):
    (root / 'images').mkdir(exist_ok=True)
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for n in range(1, COUNT + 1):
        cv2.imwrite(str(root / 'images' / f'{n}.{kind}'), image)
    (root / 'coco.json').write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def settings(root, **changes):
    common = dict(data_root=str(root), ann_file='coco.json', data_prefix=dict(img='images/'))
    return dict(type='CocoDataset', **{**common, **changes})


def config(**splits):
    return Config({f'{split}_dataloader': dict(dataset=one) for split, one in splits.items()})


def check(root, **changes):
    (report,) = check_datasets(datasets_of(config(train=settings(root, **changes))))
    return report


def counts(report):
    return {kind: len(found) for kind, found in report.by_kind().items()}


def only(report, kind):
    (finding,) = report.by_kind()[kind]
    return finding.image.rpartition('/')[2], finding.annotation, finding.value


def test_a_clean_dataset_has_nothing_wrong(tmp_path):
    report = check(write(tmp_path, coco()))
    assert (report.images, report.people, list(report.findings)) == (6, 6, [])
    assert exit_code([report]) == 0
    assert as_text([report]).endswith('6 images, 6 people\n\nnothing wrong')


def test_each_fault_is_found_once(tmp_path):
    """A fault of each kind in one dataset, that MMPose can load: all are found and no other."""
    content = coco()
    people, images = content['annotations'], content['images']
    people[0]['keypoints'][:3] = [WIDTH + 5, 4, 2]
    people[1].update(bbox=[2, 2, 0, 25])  # MMPose leaves it out
    people[2].update(iscrowd=1)  # and this one
    people[3].update(num_keypoints=0)  # and this one
    people.append(dict(people[0], id=70, image_id=99))
    people.append(dict(people[4], id=80))
    del people[5]['bbox']
    images[4].update(width=WIDTH - 1)
    write(tmp_path, content)
    (tmp_path / 'images' / '1.png').unlink()
    (tmp_path / 'images' / '2.png').write_bytes(b'')
    (tmp_path / 'images' / '3.png').write_bytes(b'none')
    report = check(tmp_path)
    assert counts(report) == {
        'missing': 1, 'empty': 1, 'unreadable': 1, 'size': 1, 'duplicate_person': 1, 'dangling': 1,
        'outside': 1, 'num_keypoints': 1, 'box_no_area': 1, 'crowd': 1, 'left_out_incomplete': 1,
        'left_out_crowd': 1, 'left_out_no_keypoints': 1, 'left_out_box': 1,
    }  # fmt: skip
    assert only(report, 'missing') == ('1.png', None, '')
    assert only(report, 'size') == ('5.png', None, '48x32, annotated 47x32')
    assert only(report, 'outside') == ('1.png', 10, 'nose (53, 4) in 48x32')
    assert only(report, 'duplicate_person') == ('5.png', 80, 'as 50')
    assert only(report, 'left_out_box') == ('2.png', 20, '')
    assert only(report, 'left_out_no_keypoints') == ('4.png', 40, '')
    assert only(report, 'left_out_incomplete') == ('6.png', 60, '')
    assert exit_code([report]) == 1


def test_people_left_out_are_those_that_mmpose_does_not_have(tmp_path):
    content = coco()
    people = content['annotations']
    people[0]['keypoints'] = [0] * 51  # num_keypoints says 17, but no position is above 0
    people[1]['bbox'] = [WIDTH - 1, 2, 1, 9]  # no area is left by MMPose's clipping
    del people[2]['num_keypoints']
    root = write(tmp_path, content)
    dataset = DATASETS.build(settings(root))
    kept = {dataset.get_data_info(index)['id'] for index in range(len(dataset))}
    left_out = {f.annotation for f in check(root).findings if f.kind.startswith('left_out')}
    assert left_out == {10, 20} and kept == {30, 40, 50, 60}
    # by the class: only every other image
    report = check(root, sample_interval=2)
    assert (report.images, report.people) == (3, 3)
    assert counts(report) == {'outside_box': 1, 'left_out_box': 1}


def test_a_rule_of_a_class_is_another_reason(tmp_path):
    # all scores are 1
    report = check(write(tmp_path, coco()), filter_cfg=dict(bbox_score_thr=2))
    assert counts(report) == {'left_out_other': 6}


def test_keypoints_in_another_order_are_an_error_of_the_second_dataset(tmp_path):
    content = coco()
    for name in ('train', 'val'):
        names = [f'k{k}' for k in range(17)][:: -1 if name == 'val' else 1]
        content['categories'][0]['keypoints'] = names
        write(tmp_path, content)
        (tmp_path / 'coco.json').rename(tmp_path / f'{name}.json')
    one = {
        name: dict(settings(tmp_path, ann_file=f'{name}.json'), type='OwnCocoDataset')
        for name in ('train', 'val')
    }
    train, val = check_datasets(datasets_of(config(**one)))
    assert (counts(train), counts(val)) == ({}, {'keypoint_names': 1})
    assert exit_code([train, val]) == 1
    both = check_datasets(datasets_of(config(**one)), compare_names=False)
    assert [counts(report) for report in both] == [{}, {}]


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('{', 'JSONDecodeError'),
        ('[]', "it has no list 'images'"),
        ('{"images": []}', "it has no list 'annotations'"),
    ],
)
def test_broken_files_are_a_finding(tmp_path, content, reason):
    report = check(write(tmp_path, content))
    ((_, _, value),) = [only(report, kind) for kind in counts(report)]
    assert value.startswith(f'{tmp_path}/coco.json: ') and reason in value


def test_entries_that_mmpose_cannot_load_are_named(tmp_path):
    content = coco()
    content['annotations'][0]['keypoints'] = [1, 2]
    content['annotations'][1]['iscrowd'] = 1
    del content['images'][2]['width']
    report = check(write(tmp_path, content))
    assert [(f.annotation, f.value) for f in report.by_kind()['malformed']] == [
        (None, 'image: width of image 3 is None'),
        (10, 'annotation: keypoints has 2 numbers, which is not 3 for each keypoint'),
    ]
    assert 'loading' not in report.by_kind()  # it would name these again
    # who would be left out is still known, by MMPose's rules
    assert only(report, 'left_out_crowd') == ('2.png', 20, '')


def test_other_keypoints_than_those_of_the_dataset(tmp_path):
    lsp = dataset_info(LSP, dataset_name='lsp')
    report = check(write(tmp_path, coco()), metainfo=lsp)
    assert counts(report) == {'keypoint_count': 6}  # the loading would name these again
    assert {finding.value for finding in report.by_kind()['keypoint_count']} == {'17, not 14'}


def lsp(root):
    """Four images: the second has no labeled joint, and the third has one outside."""
    points, labeled = np.full((4, 14, 2), 9), np.ones((4, 14))
    points[..., 0] = np.arange(14) + 5
    labeled[1] = 0
    points[2, 0] = WIDTH + 1, 3
    return write_lsp(root, points, labeled, size=(WIDTH, HEIGHT))


def test_lsp_is_checked_with_the_sizes_of_its_files(tmp_path):
    mine = dict(type='LspDataset', data_root=str(lsp(tmp_path)))
    (report,) = check_datasets(datasets_of(config(test=mine)))
    assert (report.images, report.people) == (3, 3)
    assert counts(report) == {'outside': 1, 'left_out_no_keypoints': 1}
    assert only(report, 'outside') == ('im00003.jpg', 3, 'right_ankle (49, 3) in 48x32')
    assert only(report, 'left_out_no_keypoints') == ('', 2, '')
    part = dict(mine, image_range=(3, 4))
    (report,) = check_datasets(datasets_of(config(test=part)))
    assert counts(report) == {'outside': 1}


@pytest.mark.parametrize('name', ['mpii', 'coco', 'crowdpose', 'jhmdb'])
def test_stock_datasets_can_be_read(shared_data, name):
    kind, file = {
        'mpii': ('MpiiDataset', 'test_mpii.json'),
        'coco': ('CocoWholeBodyDataset', 'test_coco_wholebody.json'),
        'crowdpose': ('CrowdPoseDataset', 'test_crowdpose.json'),
        'jhmdb': ('JhmdbDataset', 'test_jhmdb_sub1.json'),
    }[name]
    root = shared_data / 'mmpose_samples' / name
    dataset = DATASETS.build(
        dict(type=kind, data_root=str(root), ann_file=file, data_prefix=dict(img=''))
    )
    kept = len(dataset)
    read = read_annotations(
        DATASETS.build(
            dict(
                type=kind, data_root=str(root), ann_file=file, data_prefix=dict(img=''),
                lazy_init=True,
            )
        )
    )  # fmt: skip
    left_out = [f for f in read.findings if f.kind.startswith('left_out')]
    assert kept > 0 and len(read.people) - len(left_out) == kept
    assert read.findings == left_out


def test_datasets_of_a_config(tmp_path):
    root = write(tmp_path, coco())
    one = partial(settings, root)
    together = dict(type='ConcatDataset', datasets=[one(), one(sample_interval=2)])
    repeated = dict(type='RepeatDataset', times=2, dataset=together)
    found = datasets_of(config(train=repeated, val=one(test_mode=True), test=one(test_mode=True)))
    assert [dataset.sample_interval for dataset in found.values()] == [1, 2, 1]
    assert [name.partition(':')[0] for name in found] == ['train', 'train (2)', 'val, test']
    # a part, and detected boxes, are those of the whole and its annotations
    part = one(indices=2, bbox_file='none.json', test_mode=True)
    (report,) = check_datasets(datasets_of(config(test=part)))
    assert report.people == 6


@pytest.mark.parametrize(
    ('dataset', 'message'),
    [
        (dict(type='CocoDataset', ann_file='none.json'), 'none.json: no such file; .* data_root'),
        (dict(type='NoDataset'), 'train .NoDataset. cannot be built: .*NoDataset'),
        (dict(type='LspDataset', box_margin=-1), 'box_margin -1 must not be negative'),
        (dict(type='BaseCocoStyleDataset'), 'has no names of keypoints; set its metainfo'),
        (dict(type='Other', ann_file=''), 'BaseDataset, which is not derived from'),
    ],
)
def test_configs_that_cannot_be_used(dataset, message, monkeypatch):
    monkeypatch.setitem(DATASETS.module_dict, 'Other', BaseDataset)
    with pytest.raises(ValueError, match=message):
        datasets_of(config(train=dataset))
    with pytest.raises(ValueError, match='no dataset for val'):
        datasets_of(config(train=dataset), ['val'])
