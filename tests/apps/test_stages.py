import numpy as np
import pytest

from cpm_plugin.apps.stages import Changes, StagePredictions, people_with_most
from cpm_plugin.core.maps.joint_sets import LSP


def predictions():
    """Two people with a torso of 100 pixels, all joints at (50, 50) but shoulders and hips."""
    truth = np.full((2, 14, 2), 50.0)
    truth[:, LSP.index('left_shoulder')] = (0, 0)
    truth[:, LSP.index('right_hip')] = (100, 0)
    stages = np.stack([truth, truth, truth])
    return stages, truth, np.ones((2, 14))


def test_pck_is_that_of_each_stage():
    stages, truth, labeled = predictions()
    stages[0, :, :7] += 30  # beyond 0.2 of the torso
    stages[1, 0, 0] += 30
    pck = StagePredictions(stages, truth, labeled).pck(LSP)
    assert list(pck) == ['stage 1', 'stage 2', 'stage 3']
    assert [p.mean for p in pck.values()] == pytest.approx([50, 100 * 27 / 28, 100])


def test_most_helped_person_has_most_joints_corrected_from_first_to_last_stage():
    stages, truth, labeled = predictions()
    stages[0, 0, :3] += 30  # three corrected
    stages[0, 1, :6] += 30  # six wrong, four of them stay wrong
    stages[2, 1, :4] += 30
    assert StagePredictions(stages, truth, labeled).most_helped(LSP) == 0
    labeled[0, :2] = 0  # what is not labeled does not count: one against two
    assert StagePredictions(stages, truth, labeled).most_helped(LSP) == 1


def test_changes_are_of_labeled_joints_of_people_with_a_torso():
    stages, truth, labeled = predictions()
    stages[0, 0, :3] += 30  # repaired, but for the second, which is not labeled
    stages[2, 0, 5] += 30  # broken
    stages[0, 1, :3] += 30
    stages[:, 1, 4] += 30  # wrong before and after
    labeled[0, 1] = 0
    changes = StagePredictions(stages, truth, labeled).changes(LSP)
    assert np.argwhere(changes.repaired).tolist() == [[0, 0], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert np.argwhere(changes.broken).tolist() == [[0, 5]]
    assert not StagePredictions(stages, truth, labeled).changes(LSP, 0.5).repaired.any()
    labeled[1, [LSP.index('left_shoulder'), LSP.index('right_shoulder')]] = 0  # no torso
    changes = StagePredictions(stages, truth, labeled).changes(LSP)
    assert changes.repaired.any(axis=1).tolist() == [True, False]


def test_most_changed_people_come_in_their_order_and_only_those():
    repaired = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0]], bool)
    broken = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], bool)
    changes = Changes(repaired, broken)
    assert changes.most(2) == [3, 2]
    assert changes.most(9) == [3, 2, 4]  # none who lost a joint, or none
    assert changes.most(9, broken=True) == [0]


def test_other_predictions_are_rows_beside_the_stages():
    stages, truth, labeled = predictions()
    shown = StagePredictions(stages, truth, labeled, {'stage 1, structured': truth + 30})
    names = ['stage 1', 'stage 2', 'stage 3', 'stage 1, structured']
    assert list(shown.pck(LSP)) == list(shown.doubled(LSP)) == names
    assert [pck.mean for pck in shown.pck(LSP).values()] == [100, 100, 100, 0]


def test_separated_are_pairs_of_one_place_at_stage_1_and_both_right_at_the_last():
    stages, truth, labeled = predictions()
    left, right = (
        [LSP.index(f'{side}_{part}') for part in ('ankle', 'knee', 'wrist')]
        for side in ('left', 'right')
    )
    truth[:, right] += (0, 50)  # both people: three pairs apart, 0.5 torsos
    stages[:] = truth
    stages[0, :, right[0]] = stages[0, :, left[0]]  # ankles
    stages[0, 0, right[1]] = stages[0, 0, left[1]]  # the first one's knees
    stages[0, 1, left[1]] += 900  # wrong, but not at one place
    stages[0, 1, right[2]] = stages[0, 1, left[2]]  # the second one's wrists, wrong at the last
    stages[2, 1, right[2], 0] += 21
    shown = StagePredictions(stages, truth, labeled)
    assert shown.separated(LSP).tolist() == [2, 1]
    assert shown.separated(LSP, threshold=0.22).tolist() == [2, 2]
    assert shown.separated(LSP, near=0.3).tolist() == [0, 0]  # labels that are too near to count


def test_people_with_most_come_in_their_order():
    assert people_with_most(np.array([1, 0, 3, 1]), 3) == [2, 0, 3]
    assert people_with_most(np.array([0, -1]), 2) == people_with_most(np.zeros(0, int), 2) == []
