"""Datasets of one model have the same keypoints in the same order."""

from cpm_plugin.apps.check_names import other_names


def test_other_names_order_and_number_are_found():
    found = other_names(
        {
            'train: a.json': ['nose', 'left_eye', 'right_eye'],
            'train (2): b.json': ('nose', 'left_eye', 'right_eye'),
            'val: c.json': ['right_eye', 'left_eye', 'nose'],
            'test: d.json': ['nose', 'left_eye'],
        }
    )
    assert [(name, one.kind, one.level, one.value) for name, one in found] == [
        (name, 'keypoint_names', 'error', f'{names}; those of train are nose, left_eye, right_eye')
        for name, names in (
            ('val: c.json', 'right_eye, left_eye, nose'),
            ('test: d.json', 'nose, left_eye'),
        )
    ]


def test_a_single_dataset_has_nothing_to_be_compared_with():
    assert list(other_names({'val: a.json': ['nose']})) == []
