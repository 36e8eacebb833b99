"""PCK on cases small enough to count by hand, and the authors' published numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cpm_plugin.core import LSP, JointSet, TorsoPCK, torso_pck
from cpm_plugin.core.evaluation.pck import format_table, map_pck, torso_lengths

JOINTS = JointSet(('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip', 'wrist'))
# Left shoulder to right hip: 100 (60, 80). Right shoulder to left hip: 50 (30, 40).
PERSON = np.array([[100.0, 100.0], [140.0, 100.0], [110.0, 140.0], [160.0, 180.0], [300.0, 50.0]])
ALL = np.ones((1, 5), dtype=bool)
SHARED = Path(__file__).resolve().parents[3].parent / 'shared' / 'data'


def wrist_moved(by):
    moved = PERSON.copy()
    moved[4] += by
    return moved[None]


def known(*missing):
    labeled = ALL.copy()
    labeled[0, list(missing)] = False
    return labeled


@pytest.mark.parametrize(
    'by, correct',
    [((20, 0), True), ((-12, 16), True), ((20.001, 0), False), ((15, 15), False)],
)
def test_a_joint_at_exactly_a_fifth_of_the_torso_is_correct(by, correct):
    result = torso_pck(wrist_moved(by), PERSON[None], ALL, JOINTS)
    np.testing.assert_array_equal(result.per_joint, [100, 100, 100, 100, 100 * correct])
    assert result.mean == (100 if correct else 80)
    assert result.num_joints == 5


def test_threshold_is_an_option():
    args = wrist_moved((20.001, 0)), PERSON[None], ALL, JOINTS
    assert torso_pck(*args, threshold=0.21).mean == 100
    assert torso_pck(*args, threshold=0.1).mean == 80


def test_area_under_the_curve_is_the_mean_of_21_thresholds():
    """At a tenth of the torso the wrist is correct at 0.10, 0.11, ... 0.20: 11 of 21."""
    result = torso_pck(wrist_moved((0, -10)), PERSON[None], ALL, JOINTS)
    assert result.auc == pytest.approx(100 * (4 + 11 / 21) / 5, rel=1e-9)
    # does not follow the threshold of the mean
    assert torso_pck(
        wrist_moved((0, -10)), PERSON[None], ALL, JOINTS, threshold=0.05
    ).auc == pytest.approx(result.auc, rel=1e-12)


@pytest.mark.parametrize(
    'missing, length',
    [((), 100.0), ((0,), 50.0), ((3,), 50.0), ((1, 2), 100.0), ((0, 1), None), ((2, 3), None)],
)
def test_torso_is_the_first_labeled_diagonal(missing, length):
    lengths = torso_lengths(PERSON[None], known(*missing), JOINTS)
    np.testing.assert_allclose(lengths, [np.nan if length is None else length], rtol=1e-12)


def test_torso_of_length_zero_gives_way_to_the_other_diagonal():
    person = PERSON.copy()
    person[3] = person[0]
    assert torso_lengths(person[None], ALL, JOINTS) == [50]
    person[2] = person[1]
    assert np.isnan(torso_lengths(person[None], ALL, JOINTS)).all()


def test_fallback_diagonal_scales_the_threshold():
    labeled = known(0)
    near = torso_pck(wrist_moved((10, 0)), PERSON[None], labeled, JOINTS)
    far = torso_pck(wrist_moved((10.01, 0)), PERSON[None], labeled, JOINTS)
    assert (near.mean, far.mean) == (100, 75)
    assert near.num_joints == 4


def test_person_without_a_torso_is_left_out_and_unlabeled_joints_are_not_counted():
    truth = np.stack([PERSON, PERSON, PERSON])
    found = np.concatenate([wrist_moved((50, 0)), PERSON[None] + 500, PERSON[None]])
    labeled = np.concatenate([known(1), known(0, 1), known(4)])
    result = torso_pck(found, truth, labeled, JOINTS)
    assert (result.num_images, result.num_left_out, result.num_joints) == (2, 1, 8)
    assert result.mean == pytest.approx(100 * 7 / 8, rel=1e-12)
    np.testing.assert_array_equal(result.per_joint, [100, 100, 100, 100, 0])


def test_people_are_measured_by_their_own_torso():
    """Twice as large a person may err by twice as much; pooled over joints, not people."""
    truth = np.stack([PERSON, 2 * PERSON])
    found = truth.copy()
    found[:, 4, 0] += 30
    result = torso_pck(found, truth, np.ones((2, 5)), JOINTS)
    np.testing.assert_array_equal(result.per_joint, [100, 100, 100, 100, 50])
    assert result.mean == 90


def test_groups_pool_both_sides_and_hold_nan_where_nothing_is_labeled():
    found = PERSON.copy()
    found[0] += 21
    with np.errstate(all='raise', invalid='warn'):
        result = torso_pck(found[None], PERSON[None], known(1, 4), JOINTS)
    assert list(result.per_group) == ['shoulder', 'hip', 'wrist']
    assert result.per_group['shoulder'] == 0
    assert result.per_group['hip'] == 100
    assert math.isnan(result.per_group['wrist'])
    np.testing.assert_array_equal(result.per_joint, [0, np.nan, 100, 100, np.nan])
    both = torso_pck(found[None], PERSON[None], ALL, JOINTS)
    assert both.per_group == {'shoulder': 50, 'hip': 100, 'wrist': 100}


def test_unlabeled_joint_may_be_nan():
    truth = PERSON.copy()
    truth[4] = np.nan
    result = torso_pck(PERSON[None], truth[None], known(4), JOINTS)
    assert (result.mean, result.auc, result.num_joints) == (100, 100, 4)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf], ids=str)
def test_labeled_joint_of_the_truth_that_is_not_finite_is_refused(value):
    """It counted as a miss."""
    truth = np.stack([PERSON, PERSON])
    truth[1, 4, 0] = truth[1, 2, 1] = value
    labeled = np.ones((2, 5))
    message = (
        r'2 labeled keypoints of the ground truth are not at finite positions: first left_hip of '
        rf'person 1, at \[110\.0, {value}\]; correct them'
    )
    with pytest.raises(ValueError, match=message):
        torso_pck(np.stack([PERSON, PERSON]), truth, labeled, JOINTS)
    labeled[1, [2, 4]] = 0
    assert torso_pck(np.stack([PERSON, PERSON]), truth, labeled, JOINTS).num_joints == 8


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.uint32, np.int64, np.float32])
def test_unsigned_integers_do_not_wrap_around(dtype):
    """Predictions left of, above, and far right of the truth."""
    truth = (PERSON / 2).astype(int)[None]
    found = truth - 3
    found[0, 4] = (255, 0)
    expected = torso_pck(found.astype(float), truth.astype(float), ALL, JOINTS)
    assert expected.mean == 80
    result = torso_pck(found.astype(dtype), truth.astype(dtype), ALL, JOINTS)
    np.testing.assert_array_equal(result.per_joint, expected.per_joint)
    assert (result.mean, result.auc) == (expected.mean, expected.auc)


def test_missing_prediction_is_a_miss():
    found = PERSON.copy()
    found[4] = np.nan
    assert torso_pck(found[None], PERSON[None], ALL, JOINTS).mean == 80


@pytest.mark.parametrize(
    'found, truth, labeled',
    [
        ((1, 5, 2), (1, 4, 2), (1, 5)),
        ((1, 5, 2), (2, 5, 2), (2, 5)),
        ((1, 5, 3), (1, 5, 3), (1, 5)),
        ((1, 4, 2), (1, 4, 2), (1, 4)),
        ((1, 5, 2), (1, 5, 2), (5,)),
    ],
)
def test_shapes_that_do_not_fit_are_named(found, truth, labeled):
    with pytest.raises(ValueError, match=r'must be \(N, 5, 2\) twice and \(N, 5\)') as error:
        torso_pck(np.zeros(found), np.zeros(truth), np.ones(labeled), JOINTS)
    for shape in (found, truth, labeled):
        assert str(shape) in str(error.value)


def test_nobody_with_a_torso():
    people = np.stack([PERSON, PERSON])
    with pytest.raises(ValueError, match='none of 2 people has a labeled torso'):
        torso_pck(people, people, np.repeat(known(0, 1), 2, axis=0), JOINTS)


def test_joint_set_without_a_hip():
    joints = JointSet(('left_shoulder', 'right_shoulder', 'left_hip'))
    with pytest.raises(ValueError, match="no joint 'right_hip'"):
        torso_pck(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)), np.ones((1, 3)), joints)


def test_table():
    parts = {'shoulder': 97.25, 'head': float('nan')}
    results = {
        'ours': TorsoPCK(90.5, 61.239, np.array([1.0]), parts, 998, 2, 13970),
        'theirs': TorsoPCK(84.3214, 50.0, np.array([1.0]), dict.fromkeys(parts, 1.0), 9, 0, 12),
    }
    assert format_table(results).splitlines() == [
        '|  | shoulder | head | PCK@0.2 | AUC | images (left out) | joints |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| ours | 97.2 | nan | 90.50 | 61.24 | 998 (2) | 13970 |',
        '| theirs | 1.0 | 1.0 | 84.32 | 50.00 | 9 (0) | 12 |',
    ]
    assert 'PCK@0.05' in format_table(results, threshold=0.05)


def lsp_file(name):
    io = pytest.importorskip('scipy.io', reason='needs scipy to read .mat files')
    path = SHARED / 'lsp_eval' / name
    if not path.is_file():
        pytest.skip('needs ../shared/data/lsp_eval of the LSP evaluation')
    return io.loadmat(path)


@pytest.mark.parametrize(
    'model, published', [('MPII_LSP_6s', 90.5), ('LSP_6s', 84.3214)], ids=['mpii+lsp', 'lsp']
)
def test_published_predictions_give_the_published_numbers(model, published):
    """The authors' predictions on the 1,000 test images of LSP, as unsigned integers."""
    truth = lsp_file('lsp-joints-PC.mat')['joints'].transpose(2, 1, 0)[1000:, :, :2]
    found = lsp_file(f'LSP_prediction_model_{model}.mat')['prediction_all'].transpose(2, 0, 1)
    assert np.issubdtype(found.dtype, np.unsignedinteger)
    result = torso_pck(found, truth, np.ones((1000, 14)), LSP)
    assert round(result.mean, 4) == published
    assert (result.num_images, result.num_left_out, result.num_joints) == (1000, 0, 14000)


# -- the log's accuracy: MMPose's pose_pck_accuracy, see tests/mmpose/test_head.py


def maps_with_peaks(*cells, size=(20, 20)):
    """(1, K, H, W), 1 at the cells (x, y), 0 elsewhere; None: an empty map."""
    maps = torch.zeros(1, len(cells), size[1], size[0])
    for channel, cell in enumerate(cells):
        if cell is not None:
            maps[0, channel, cell[1], cell[0]] = 1
    return maps


def test_map_pck_by_hand():
    counted = torch.ones(1, 2, dtype=torch.bool)
    target = maps_with_peaks((5, 5), (7, 8))
    assert map_pck(target * 3, target, counted) == 1
    # a cell is exactly 5 % of 20, and that is not near
    assert map_pck(maps_with_peaks((5, 5), (8, 8)), target, counted) == 0.5
    assert map_pck(maps_with_peaks((5, 5), (8, 8)), target, counted, threshold=0.051) == 1
    # a map without a peak has it at (-1, -1), 1.4 cells from the first
    corner = maps_with_peaks((5, 5), (0, 0))
    assert map_pck(maps_with_peaks((5, 5), None), corner, counted) == 0.5
    assert map_pck(maps_with_peaks((5, 5), None), corner, counted, threshold=0.08) == 1
    assert map_pck(maps_with_peaks(None, None), target, ~counted) == 0


def test_map_pck_takes_x_over_the_height_and_y_over_the_width():
    counted = torch.ones(1, 1, dtype=torch.bool)
    target = maps_with_peaks((5, 5), size=(40, 20))
    assert map_pck(maps_with_peaks((6, 5), size=(40, 20)), target, counted) == 0  # 1 / 20
    assert map_pck(maps_with_peaks((5, 6), size=(40, 20)), target, counted) == 1  # 1 / 40


def test_map_pck_is_the_mean_over_joints_and_not_over_people():
    target = torch.cat([maps_with_peaks((5, 5), (7, 8))] * 3)
    beliefs = target.clone()
    beliefs[0, 0] = maps_with_peaks((9, 9))[0, 0]  # one of three people
    counted = torch.tensor([[True, True], [True, False], [True, False]])
    assert map_pck(beliefs, target, counted).item() == pytest.approx((2 / 3 + 1) / 2)
