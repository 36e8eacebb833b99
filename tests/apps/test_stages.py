import numpy as np
import pytest

from cpm_plugin.apps.stages import Changes, StagePredictions, draw_stages
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


def test_image_has_a_row_a_stage_and_marks_the_decoded_joints():
    generator = np.random.default_rng(0)
    crop = generator.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    maps = [generator.random((14, 4, 6)) for _ in range(2)]
    keypoints = [generator.uniform(0, 32, (14, 2)) for _ in range(2)]
    colors = np.full((len(LSP.links), 3), 255)
    figure = draw_stages(crop, maps, keypoints, LSP, colors)
    assert len(figure.axes) == 2 * (2 + 6) + 1  # and the scale
    titles = [axis.get_title() for axis in figure.axes[:8]]
    assert titles[:4] == ['skeleton', 'all joints', 'right wrist', 'left wrist']
    every, wrist = figure.axes[8 + 1], figure.axes[8 + 2]  # of stage 2
    np.testing.assert_array_equal(every.images[1].get_array(), maps[1].max(axis=0))
    (cross,) = wrist.lines
    np.testing.assert_array_equal(cross.get_xydata()[0], keypoints[1][LSP.index('right_wrist')])
    np.testing.assert_array_equal(wrist.images[1].get_array(), maps[1][LSP.index('right_wrist')])
    assert figure.axes[-1].get_ylabel() == 'belief' and figure.axes[-1].get_ylim() == (0, 1)
    bones = figure.axes[0].lines
    assert len(bones) == len(LSP.links)
    first = [LSP.index(name) for name in LSP.links[0]]
    np.testing.assert_array_equal(bones[0].get_xydata(), keypoints[0][first])
