"""Kinds of bodies: which nodes and edges the joints of the datasets get."""

import numpy as np
import pytest

from cpm_plugin.core.maps import JointSet, joint_set
from cpm_plugin.core.structure import BODIES, Body
from cpm_plugin.core.structure.bodies import hierarchical_body, loopy_body, tree_body
from cpm_plugin.core.structure.springs import is_tree


def indices(body):
    return np.array([[body.nodes.index(name) for name in edge] for edge in body.springs])


@pytest.mark.parametrize('name', ['lsp', 'cpm', 'coco', 'openpose_coco', 'openpose_body25'])
def test_the_tree_and_the_hierarchy_are_trees(name):
    for kind in ('tree', 'hierarchical'):
        body = BODIES[kind](joint_set(name))
        assert is_tree(len(body.nodes), indices(body)) and not body.repulsions
    assert not is_tree(len(joint_set(name).names), indices(BODIES['non-tree'](joint_set(name))))


def test_the_tree_of_lsp_has_the_limbs_of_the_set_not_the_links_that_are_drawn():
    drawn_only = JointSet(joint_set('lsp').names, joint_set('lsp').links)  # as of a dataset
    assert tree_body(drawn_only).springs == joint_set('lsp').limbs


def test_a_set_of_its_own_has_the_links_without_cycles():
    links = (('a', 'b'), ('b', 'c'), ('c', 'a'), ('c', 'd'))
    assert tree_body(JointSet(tuple('abcd'), links)).springs == (links[0], links[1], links[3])
    with pytest.raises(ValueError, match="no edges lead from 'a' to 'd'"):
        tree_body(JointSet(tuple('abcd'), links[:3]))


def test_larger_parts_by_hand():
    body = hierarchical_body(joint_set('cpm'))
    parts = dict(body.parts)
    assert parts['right_arm'] == ('right_shoulder', 'right_elbow', 'right_wrist')
    assert parts['lower_body'] == (
        'right_hip', 'right_knee', 'right_ankle', 'left_hip', 'left_knee', 'left_ankle',
    )  # fmt: skip
    assert parts['head'] == ('head_top', 'neck') and set(parts['body']) == set(body.joints)
    assert [edge for edge in body.springs if edge[0] in ('upper_body', 'body')] == [
        ('upper_body', 'right_arm'), ('upper_body', 'left_arm'), ('upper_body', 'head'),
        ('body', 'upper_body'), ('body', 'lower_body'),
    ]  # fmt: skip
    with_pelvis = hierarchical_body(joint_set('openpose_body25'))
    assert ('lower_body', 'pelvis') in with_pelvis.springs
    assert 'pelvis' not in dict(with_pelvis.parts)['head']
    assert 'left_heel' in dict(with_pelvis.parts)['left_leg']
    upper = hierarchical_body(JointSet(('left_elbow', 'right_elbow')))
    assert [name for name, _ in upper.parts] == ['right_arm', 'left_arm', 'upper_body', 'body']
    with pytest.raises(ValueError, match='no arms or legs among nose, tail'):
        hierarchical_body(JointSet(('nose', 'tail')))


def test_what_makes_it_no_tree_by_hand():
    body = loopy_body(joint_set('cpm'))
    assert body.springs[13:] == (
        ('left_shoulder', 'right_shoulder'), ('left_hip', 'right_hip'),
        ('left_shoulder', 'left_hip'), ('right_shoulder', 'right_hip'),
    )  # fmt: skip
    assert [first for first, _ in body.repulsions] == [
        'left_elbow', 'left_wrist', 'left_knee', 'left_ankle',
    ]  # fmt: skip
    # COCO's tree has two of them
    assert len(loopy_body(joint_set('coco')).springs) == 16 + 1
    with pytest.raises(ValueError, match='no left and right joints among a, b'):
        loopy_body(JointSet(('a', 'b'), (('a', 'b'),)))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(springs=(('hip', 'toe'),)), "no joint 'toe'; there are: hip, knee"),
        (dict(repulsions=(('hip', 'hip'),)), 'joins a node to itself'),
        (dict(parts=(('leg', ('hip', 'toe')),)), "no joint 'toe'"),
        (dict(parts=(('hip', ('hip', 'knee')),)), 'must be unique'),
    ],
)
def test_unknown_joints_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Body(('hip', 'knee'), **arguments)
