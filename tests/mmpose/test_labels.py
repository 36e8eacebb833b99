"""What is wrong with labels, said in words. The words of whole datasets: test_checked_datasets."""

import doctest

import numpy as np
import pytest

from cpm_plugin.mmpose import labels
from cpm_plugin.mmpose.labels import (
    LabelError,
    LabelReport,
    check_labels,
    keypoint_fault,
    label_fault,
    labeled_of,
    name_of,
    sort_people,
)

NAN = float('nan')


def test_examples_are_true():
    found = doctest.testmod(labels, optionflags=doctest.ELLIPSIS)
    assert found.attempted >= 11 and found.failed == 0


def test_a_sample_without_an_image_is_unknown():
    assert name_of({}) == 'image unknown'
    assert name_of(dict(img_id=0, id=0)) == 'image 0, annotation 0'


def test_the_second_value_of_a_visibility_is_a_weight():
    assert labeled_of([[0, 1, 2]]).tolist() == [[False, True, True]]
    assert labeled_of([[[0, 1], [1, 0], [2, 1]]]).tolist() == [[False, True, True]]


def test_three_keypoints_are_named_and_the_others_counted():
    points = np.full((1, 5, 2), NAN)
    assert keypoint_fault(points, np.ones((1, 5)), ['nose']).endswith(
        'but nose is at (nan, nan); keypoint 1 is at (nan, nan); keypoint 2 is at (nan, nan); '
        'and 2 more'
    )


def person(x=3.0, visible=1.0, **more):
    return dict(keypoints=np.full((1, 2, 2), x), keypoints_visible=np.full((1, 2), visible), **more)


def test_people_are_kept_left_out_or_wrong():
    report = LabelReport()
    people = [person(id=1), person(NAN, iscrowd=1), person(NAN, id=3), person(NAN, 0.0, id=4)]
    kept = sort_people(people, ('nose', 'neck'), report)
    assert [one['id'] for one in kept] == [1, 4]
    assert report.left_out == {'marked as a crowd': 1}
    (fault,) = report.faults
    assert fault.startswith('image unknown, annotation 3: labeled keypoints must be at finite')


def test_without_names_any_number_of_keypoints_is_taken():
    assert label_fault(person(), ()) == ''
    assert label_fault(person(), ('nose',)) == '2 keypoints, 1 are needed'


def test_a_dataset_passes_with_one_person_and_without_faults():
    report = LabelReport()
    report.left_out['marked as a crowd'] = 2
    check_labels(report, 3, 'people.json')
    with pytest.raises(LabelError, match='none of 2 people can be used: 2 marked as a crowd'):
        check_labels(report, 2, 'people.json')
    report.faults.append('a.jpg: torn')
    with pytest.raises(LabelError, match=r'^people\.json: wrong labels of 1 of 3 people: a\.jpg'):
        check_labels(report, 3, 'people.json')
