"""Pairs put at the same place: counted by hand."""

import math

import numpy as np
import pytest

from cpm_plugin.core.evaluation.double_counting import Doubled, double_counting
from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.core.maps.joints import JointSet

LEFT, RIGHT = LSP.index('left_ankle'), LSP.index('right_ankle')


def people(count=1):
    """With a torso of 100 pixels; left and right joints of all pairs are 41 pixels apart."""
    truth = np.zeros((count, 14, 2))
    truth[:, [LSP.index(f'right_{part}') for part in ('ankle', 'knee', 'wrist', 'elbow')], 0] = 41
    truth[:, LSP.index('right_hip')] = (100, 0)
    return truth, np.ones((count, 14))


def ankles(predicted, truth, labeled, **settings):
    return double_counting(predicted, truth, labeled, LSP, **settings)['ankle']


def test_places_are_as_near_as_said_and_labels_twice_as_far():
    truth, labeled = people(3)
    predicted = truth.copy()
    predicted[0, RIGHT] = (20, 0)  # of the left ankle: just near
    predicted[1, RIGHT] = (21, 0)
    truth[2, RIGHT] = (40, 0)  # labels that are too near to count
    predicted[2, RIGHT] = (0, 0)
    assert ankles(predicted, truth, labeled) == Doubled(1, 2)
    assert ankles(predicted, truth, labeled, near=0.21) == Doubled(0, 0)
    assert ankles(predicted, truth, labeled, near=0.19) == Doubled(1, 3)


def test_both_labels_and_a_torso_are_needed():
    truth, labeled = people(3)
    predicted = np.zeros_like(truth)
    labeled[0, LEFT] = 0
    labeled[1, [LSP.index('left_shoulder'), LSP.index('right_shoulder')]] = 0
    truth[0, LEFT] = np.nan
    assert ankles(predicted, truth, labeled) == Doubled(1, 1)


def test_where_both_are_put_does_not_matter():
    truth, labeled = people()
    predicted = np.full_like(truth, 1000.0)
    assert double_counting(predicted, truth, labeled, LSP) == {
        'ankle': (1, 1), 'knee': (1, 1), 'wrist': (1, 1), 'elbow': (1, 1), 'all': (4, 4),
    }  # fmt: skip


def test_pairs_that_the_joints_have_not_are_left_out():
    joints = JointSet(
        ('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip', 'left_knee', 'right_wrist')
    )
    truth = np.random.default_rng(0).uniform(0, 9, (2, 6, 2))
    assert double_counting(truth, truth, np.ones((2, 6)), joints) == {'all': (0, 0)}


def test_the_share_is_in_percent():
    assert Doubled(1, 8).percent == 12.5
    assert math.isnan(Doubled(0, 0).percent)


@pytest.mark.parametrize(
    ('shape', 'near', 'message'),
    [
        ((1, 14, 3), 0.2, r'predicted \(1, 14, 3\)'),
        ((1, 13, 2), 0.2, r'predicted \(1, 13, 2\)'),
        ((1, 14, 2), 0.0, 'near=0.0 must be positive'),
        ((1, 14, 2), math.nan, 'near=nan must be positive'),
    ],
)
def test_mistakes_are_named(shape, near, message):
    truth, labeled = people()
    with pytest.raises(ValueError, match=message):
        double_counting(np.zeros(shape), truth, labeled, LSP, near=near)
