"""People with one planted fault each, and the geometry of left and right."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('mmengine')

from cpm_plugin.apps.check_annotations import (
    AnnotatedImage,
    Person,
    check_people,
    left_out_reason,
    person_of_coco,
    swapped_share,
)

NAMES = ('head', 'right_shoulder', 'left_shoulder', 'right_hip', 'left_hip')
POSE = [[30, 10, 2], [20, 20, 2], [40, 20, 1], [22, 60, 2], [38, 60, 2]]
IMAGES = [AnnotatedImage(1, 'a.jpg', (100, 80)), AnnotatedImage(2, 'b.jpg', (100, 80))]
NAN, INF = float('nan'), float('inf')


def entry(pose=None, **changes):
    """An entry of a COCO file; ``pose`` replaces keypoints by channel."""
    keypoints = [row[:] for row in POSE]
    for channel, row in (pose or {}).items():
        keypoints[channel] = row
    coco = dict(
        id=7, image_id=1, category_id=1, bbox=[10, 5, 40, 60], num_keypoints=5,
        keypoints=[value for row in keypoints for value in row],
    )  # fmt: skip
    return {**coco, **changes}


def found(*entries, images=IMAGES, sizes=None):
    people = [person_of_coco(one) for one in entries]
    return [
        (f.kind, f.image, f.annotation, f.value)
        for f in check_people(people, images, sizes or {}, NAMES)
    ]


def test_a_good_person_is_good():
    assert found(entry()) == []
    # the edges belong to the image
    assert found(entry({0: [-0.5, 0, 1], 1: [100, 80, 2]}, bbox=[0, 0, 100, 80])) == []
    # positions of keypoints that are not labeled do not matter
    assert found(entry({0: [-9, 900, 0]}, num_keypoints=4)) == []


@pytest.mark.parametrize(
    ('person', 'kind', 'value'),
    [
        (entry({0: [-0.6, 10, 2]}), 'outside', 'head (-0.6, 10) in 100x80'),
        (entry({0: [30, -0.6, 1]}), 'outside', 'head (30, -0.6) in 100x80'),
        (entry({4: [100.1, 60, 2]}), 'outside', 'left_hip (100.1, 60) in 100x80'),
        (entry({0: [9, 81, 2], 3: [9, 82, 2]}), 'outside', 'head (9, 81) in 100x80; 2 keypoints'),
        (entry({0: [NAN, 10, 2]}), 'not_finite', 'head (nan, 10)'),
        (entry({4: [30, INF, 2]}), 'not_finite', 'left_hip (30, inf)'),
        (entry(bbox=[NAN, 5, 40, 60]), 'not_finite', 'box [nan, 5, 40, 60]'),
        (entry({2: [40, 20, 3]}), 'visibility', 'left_shoulder 3'),
        (entry({2: [40, 20, 0.5]}), 'visibility', 'left_shoulder 0.5'),
        (entry(num_keypoints=4), 'num_keypoints', '4, but 5 labeled'),
        (entry(keypoints=[1, 1, 2] * 4, num_keypoints=4), 'keypoint_count', '4, not 5'),
        (entry(bbox=[10, 5, 0, 60]), 'box_no_area', '[10, 5, 0, 60]'),
        (entry(bbox=[10, 5, 40, -60]), 'box_negative', '[10, 5, 40, -60]'),
        (entry(bbox=[100, 5, 40, 60]), 'box_outside', '[100, 5, 40, 60] in 100x80'),
        (entry(bbox=[10, -60, 40, 60]), 'box_outside', '[10, -60, 40, 60] in 100x80'),
        (entry(bbox=[-2, 5, 40, 60]), 'box_over_edge', '[-2, 5, 40, 60] in 100x80'),
        (entry({0: [0, 0, 2]}), 'at_origin', 'head'),
        (entry(bbox=[60, 5, 30, 60]), 'outside_box', '5 of 5 keypoints'),
        (
            entry({k: [x / 100, y / 80, 2] for k, (x, y, _) in enumerate(POSE)}),
            'fractions',
            '5 keypoints, the largest value 0.75',
        ),
        (entry({3: [40, 60, 2], 4: [20, 60, 2]}), 'swapped', 'by 0.50 of the torso'),
        (entry(iscrowd=1), 'crowd', ''),
    ],
)  # fmt: skip
def test_each_fault_is_found_and_nothing_else(person, kind, value):
    assert found(person) == [(kind, 'a.jpg', 7, value)]


def test_boxes_as_two_corners_are_told_once():
    first, second = entry(bbox=[15, 5, 90, 78]), entry(bbox=[18, 9, 60, 79], id=8, image_id=2)
    told = found(first, second)
    assert [one[0] for one in told] == ['box_over_edge'] * 2 + ['box_corners']
    assert told[-1] == ('box_corners', '', None, '2 of 2 boxes')


def test_people_without_labeled_keypoints():
    nobody = dict(keypoints=[0] * 15, num_keypoints=0)
    assert found(entry(**nobody)) == [('no_keypoints', 'a.jpg', 7, '')]
    assert found(entry(**nobody, iscrowd=1)) == [('crowd', 'a.jpg', 7, '')]


def test_faults_among_several():
    assert found(entry(image_id=9)) == [('dangling', '', 7, 'image_id 9')]
    twice = [entry(), entry({0: [31, 10, 2]}), entry({0: [32, 10, 2]}, id=8)]
    assert found(*twice) == [('duplicate_annotation_id', '', 7, '2 times')]
    again = [entry(), entry(id=8), entry(id=9, image_id=2), entry(id=10)]
    assert found(*again) == [
        ('duplicate_person', 'a.jpg', 8, 'as 7'),
        ('duplicate_person', 'a.jpg', 10, 'as 7'),
    ]
    images = [*IMAGES, AnnotatedImage(1, 'c.jpg', (100, 80))]
    assert found(images=images) == [('duplicate_image_id', 'c.jpg', None, 'id 1: 2 times')]


def test_without_annotated_size_that_of_the_file_counts():
    images = [AnnotatedImage(1, 'a.jpg')]
    low = entry({0: [30, 81, 2]})
    assert found(low, images=images) == []
    assert found(low, images=images, sizes={'a.jpg': None}) == []
    ((kind, *_, value),) = found(low, images=images, sizes={'a.jpg': (90, 70)})
    assert (kind, value) == ('outside', 'head (30, 81) in 90x70')


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ([], r'\[\] is not an object'),
        (dict(image_id=1, category_id=1), 'id is None'),
        (entry(bbox=[1, 2, 3]), r'bbox is \[1, 2, 3\], not x, y, width, height'),
        (entry(bbox='all'), "bbox is 'all', not a list of numbers"),
        (entry(keypoints=[1, 2]), 'keypoints has 2 numbers, which is not 3 for each'),
        (entry(keypoints=[[1, 2, 2]] * 5), 'keypoints is .*, not a list of numbers'),
        (entry(keypoints=[10**400, 0, 2]), 'keypoints is .*, not a list of numbers'),
        (entry(num_keypoints='5'), "num_keypoints is '5'"),
    ],
)
def test_entries_that_mmpose_cannot_read(wrong, message):
    with pytest.raises(ValueError, match=message):
        person_of_coco(wrong)


def torso(right_shoulder, left_shoulder, right_hip, left_hip, angle=0.0):
    points = np.array([right_shoulder, left_shoulder, right_hip, left_hip], float)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.column_stack([points @ turn, np.full(4, 2)])


@pytest.mark.parametrize('angle', [0, 0.5, np.pi / 2, 3])
def test_left_and_right_whatever_way_up(angle):
    share = swapped_share(torso((10, 0), (50, 0), (40, 80), (20, 80), angle), NAMES[1:])
    assert share == pytest.approx(20 / 80)  # the hips, which are less apart
    for seen in (((10, 0), (50, 0), (20, 80), (40, 80)), ((50, 0), (10, 0), (40, 80), (20, 80))):
        assert swapped_share(torso(*seen, angle), NAMES[1:]) == 0  # from the front, from behind


def test_left_and_right_need_four_keypoints():
    swapped = torso((10, 0), (50, 0), (40, 80), (20, 80))
    assert swapped_share(swapped, ('a', 'b', 'c', 'd')) == 0
    for channel in range(4):
        hidden = swapped.copy()
        hidden[channel, 2] = 0
        assert swapped_share(hidden, NAMES[1:]) == 0
    assert swapped_share(torso((0, 0), (9, 0), (9, 0), (0, 0)), NAMES[1:]) == 0  # no torso


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (dict(bbox=None), 'left_out_incomplete'),
        (dict(keypoints=None, iscrowd=1), 'left_out_incomplete'),
        (dict(iscrowd=1, num_keypoints=0), 'left_out_crowd'),
        (dict(num_keypoints=0), 'left_out_no_keypoints'),
        (dict(keypoints=[0, 0, 0] * 5), 'left_out_no_keypoints'),
        (dict(bbox=[99, 0, 5, 5]), 'left_out_box'),  # MMPose clips at width - 1
        (dict(bbox=[98, 0, 5, 5]), 'left_out_other'),
    ],
)
def test_reasons_are_those_of_mmpose(changes, reason):
    """The last is not left out by any of its rules; MMPose itself says which ones are."""
    from mmpose.datasets.datasets.base import BaseCocoStyleDataset as Base

    raw = entry(**changes)
    raw = {key: value for key, value in raw.items() if value is not None}
    assert left_out_reason(person_of_coco(raw), (100, 80)) == reason
    image = dict(width=100, height=80, img_path='a.jpg')
    info = Base.parse_data_info(SimpleNamespace(), dict(raw_ann_info=raw, raw_img_info=image))
    assert bool(info and Base._is_valid_instance(info)) == (reason == 'left_out_other')


def test_a_person_that_is_no_entry_of_coco_is_not_clipped():
    box = np.array([-9.0, -9, 200, 200])
    person = Person(1, 1, np.array(POSE, float), box, raw=False)
    assert list(check_people([person], IMAGES, {}, NAMES)) == []
    beyond = Person(1, 1, np.array(POSE, float), np.array([99.0, 0, 5, 5]), raw=False)
    assert left_out_reason(beyond, (100, 80)) == 'left_out_other'
