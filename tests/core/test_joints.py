"""The order and the sides of the Leeds Sports Pose joints."""

import dataclasses

import pytest

from cpm_plugin.core import LSP, JointSet


def test_lsp_order_is_that_of_its_readme():
    """Right ankle to left ankle, right wrist to left wrist, neck, head top."""
    assert LSP.names == (
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
        'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow',
        'left_wrist', 'neck', 'head_top',
    )  # fmt: skip


def test_lsp_flip_indices():
    assert LSP.flip_indices == (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13)


def test_lsp_groups():
    assert LSP.groups() == {
        'ankle': (0, 5),
        'knee': (1, 4),
        'hip': (2, 3),
        'wrist': (6, 11),
        'elbow': (7, 10),
        'shoulder': (8, 9),
        'head': (12, 13),
    }


def test_lsp_links_connect_every_joint_and_are_symmetric():
    assert {name for link in LSP.links for name in link} == set(LSP.names)
    bones = {frozenset(link) for link in LSP.links}
    mirrored = {frozenset(LSP.partner(name) or name for name in link) for link in LSP.links}
    assert bones == mirrored
    assert len(bones) == len(LSP.links)


def test_partner():
    assert LSP.partner('left_hip') == 'right_hip'
    assert LSP.partner('right_ankle') == 'left_ankle'
    assert LSP.partner('neck') == ''


def test_joint_whose_other_side_is_not_in_the_set_stays():
    joints = JointSet(('left_eye', 'left_ear', 'right_ear', 'leftover'))
    assert joints.partner('left_eye') == ''
    assert joints.flip_indices == (0, 2, 1, 3)


def test_index_names_what_there_is():
    assert LSP.index('head_top') == 13
    with pytest.raises(ValueError, match=r"no joint 'nose'.*right_ankle, .*head_top"):
        LSP.index('nose')


def test_a_joint_set_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LSP.names = ()
