"""MPII-like scales, against a loop-by-loop transcription of the authors' MATLAB code."""

import math
from pathlib import Path

import numpy as np
import pytest

from cpm_plugin.core import LSP, JointSet
from cpm_plugin.core.evaluation.person_scale import LIMBS, limb_ratios, mpii_like_scales

SHARED = Path(__file__).resolve().parents[3].parent / 'shared' / 'data'

# -- the authors' code, in plain Python

# genJSON.m puts LSP's 14 joints (and two dummies, 15 and 16) into MPII's order.
ORDERING = [1, 2, 3, 4, 5, 6, 15, 16, 13, 14, 7, 8, 9, 10, 11, 12]
PA = [2, 3, 7, 5, 4, 7, 8, 0, 10, 11, 7, 13, 12, 7]


def divide(a, b):
    """MATLAB's: x / 0 is infinite, 0 / 0 NaN."""
    return a / b if b else math.nan if math.isnan(a) or a == 0 else math.inf


def matlab_quantile(values, p):
    """Sorted value i of n, from 1, is the (i - 0.5) / n quantile; linear in between."""
    values = sorted(value for value in values if not math.isnan(value))
    n = len(values)
    if n == 0:
        return math.nan
    for i in range(1, n):
        at, after = (i - 0.5) / n, (i + 0.5) / n
        if at <= p < after:
            return values[i - 1] + (values[i] - values[i - 1]) * (p - at) / (after - at)
    return values[0] if p < 0.5 / n else values[-1]


def matlab_median(values):
    values, n = sorted(values), len(values)
    if n == 0:
        return math.nan
    return values[n // 2] if n % 2 else (values[n // 2 - 1] + values[n // 2]) / 2


def matlab_min(*values):
    return min(value for value in values if not math.isnan(value))


def insert_mpi_like_scale(keypoints, visible, target_dist=41 / 35):
    """``insertMPILikeScale``: ratios, scales, and numbers of the people that were shrunk."""
    people = []
    for points, seen in zip(keypoints.tolist(), visible.tolist(), strict=True):
        rows = [(x, y, s) for (x, y), s in zip(points, seen, strict=True)] + [(0, 0, 0)] * 2
        rows = [rows[k - 1] for k in ORDERING]
        people.append(rows[:6] + rows[8:])  # joints([7 8],:,:) = []
    lengths, limb_visible = [], []
    for rows in people:
        lengths.append([])
        limb_visible.append([])
        for joint in [*range(1, 8), *range(9, 15)]:
            (x, y, s), (px, py, ps) = rows[joint - 1], rows[PA[joint - 1] - 1]
            lengths[-1].append(math.sqrt((x - px) ** 2 + (y - py) ** 2))
            limb_visible[-1].append(s * ps)
    r = []
    for p in range(13):
        ratio = []
        for length, seen in zip(lengths, limb_visible, strict=True):
            if seen[6] * seen[p] == 1:
                ratio.append(divide(length[p], length[6]))
        r.append(matlab_median([value for value in ratio if not math.isnan(value)]))
    scales, squeezed = [], []
    for number, rows in enumerate(people):
        updated = [lengths[number][p] / r[p] for p in range(13) if limb_visible[number][p] == 1]
        scale_in_lmdb = matlab_quantile(updated, 0.75) / 35
        scale_in_cpp = divide(target_dist, scale_in_lmdb)
        x = [x for x, _, s in rows if s == 1]
        y = [y for _, y, s in rows if s == 1]
        scale_x_ub = divide(368 - 64, max(x) - min(x))
        scale_y_ub = divide(368 - 64, max(y) - min(y))
        scale_shrink = matlab_min(scale_x_ub, scale_y_ub, scale_in_cpp)
        if scale_shrink != scale_in_cpp:
            squeezed.append(number)
        scales.append(target_dist / scale_shrink)
    return r, scales, squeezed


# -- people


def crowd(count=40, share=0.7, seed=0):
    """(count, 14, 2) of people of several sizes, each third with a wrist far out, and visible
    with about that share."""
    generator = np.random.default_rng(seed)
    size = generator.uniform(20, 200, (count, 1, 1))
    keypoints = 200 + size * generator.normal(size=(count, 14, 2))
    keypoints[::3, LSP.index('right_wrist')] += 12 * size[::3, 0]
    return keypoints, (generator.random((count, 14)) < share).astype(float)


def only(*names):
    visible = np.zeros(14)
    visible[[LSP.index(name) for name in names]] = 1
    return visible


def standing(unit=35.0):
    """A person whose limbs are 1, 1.5 or more units of length, 7 units tall."""
    y = {'head_top': 0, 'neck': 1, 'shoulder': 1, 'elbow': 2, 'wrist': 3, 'hip': 4, 'knee': 5.5}
    x = {'left': 1, 'right': -1}
    points = []
    for name in LSP.names:
        side, _, part = name.rpartition('_')
        part = name if name in y else part
        points.append((x.get(side, 0), y.get(part, 7)))
    return unit * np.array(points, dtype=float)


@pytest.mark.parametrize('share', [1.0, 0.8, 0.5])
@pytest.mark.parametrize('count', [1, 7, 40])
def test_equals_the_authors_loops(count, share):
    keypoints, visible = crowd(count, share)
    ratios, scales, squeezed = insert_mpi_like_scale(keypoints, visible)
    assert count < 40 or 0 < len(squeezed) < count
    np.testing.assert_allclose(limb_ratios(keypoints, visible, LSP), ratios, rtol=1e-12)
    np.testing.assert_allclose(mpii_like_scales(keypoints, visible, LSP), scales, rtol=1e-12)


def test_person_without_a_limb_is_as_large_as_the_joints_that_fit():
    """Theirs, too: MATLAB's min passes over NaN."""
    keypoints, visible = crowd(9)
    visible[4] = only('right_ankle', 'left_shoulder', 'head_top')
    keypoints[4, [0, 9, 13]] = [(100, 50), (404, 90), (300, 140)]
    expected = insert_mpi_like_scale(keypoints, visible)[1]
    scales = mpii_like_scales(keypoints, visible, LSP)
    np.testing.assert_allclose(scales, expected, rtol=1e-12)
    assert scales[4] == pytest.approx(41 / 35)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [([2.0, 4.0], 4.0), ([1.0, 2.0, 3.0, 4.0], 3.5), ([5.0], 5.0), ([1.0, 2.0, 4.0], 3.5)],
)
def test_quantile_of_the_transcription_is_matlabs(values, expected):
    """By hand: of 4, the 3rd is the 0.625 and the 4th the 0.875 quantile."""
    assert matlab_quantile(values, 0.75) == pytest.approx(expected)


# -- by hand


def test_ratios_of_a_figure_worked_out_by_hand():
    root = math.sqrt
    expected = {
        ('right_ankle', 'right_knee'): 1.5,
        ('right_knee', 'right_hip'): 1.5,
        ('right_hip', 'neck'): root(1 + 9),
        ('left_hip', 'left_knee'): 1.5,
        ('left_knee', 'left_hip'): 1.5,
        ('left_ankle', 'neck'): root(1 + 36),
        ('neck', 'head_top'): 1,
        ('right_wrist', 'right_elbow'): 1,
        ('right_elbow', 'right_shoulder'): 1,
        ('right_shoulder', 'neck'): 1,
        ('left_shoulder', 'left_elbow'): 1,
        ('left_elbow', 'left_shoulder'): 1,
        ('left_wrist', 'neck'): root(1 + 4),
    }
    assert list(expected) == list(LIMBS)
    ratios = limb_ratios(standing()[None], np.ones((1, 14)), LSP)
    np.testing.assert_allclose(ratios, list(expected.values()), rtol=1e-12)


def test_ratio_is_the_median_over_people_with_both_limbs():
    people = np.stack([standing(unit) for unit in (10, 20, 30, 40, 50)])
    knee, ankle = LSP.index('right_knee'), LSP.index('right_ankle')
    for person, times in enumerate((1, 3, 4, 8, 100)):
        unit = 10 * (person + 1)
        people[person, ankle] = people[person, knee] + (0, times * unit)
    visible = np.ones((5, 14))
    assert limb_ratios(people, visible, LSP)[0] == pytest.approx(4)
    visible[4, LSP.index('head_top')] = 0  # no reference limb
    assert limb_ratios(people, visible, LSP)[0] == pytest.approx(3.5)
    visible[3, ankle] = 0
    assert limb_ratios(people, visible, LSP)[0] == pytest.approx(3)
    visible[:, knee] = 0
    assert np.isnan(limb_ratios(people, visible, LSP)[:2]).all()


def test_neck_to_head_of_35_pixels_is_scale_1():
    """They span 7 units: less than 304 pixels after x 41/35 at 35 pixels a unit."""
    people = np.stack([standing(unit) for unit in (7, 21, 35)])
    scales = mpii_like_scales(people, np.ones((3, 14)), LSP)
    np.testing.assert_allclose(scales, [0.2, 0.6, 1], rtol=1e-12)


def test_joints_that_would_not_fit_make_the_scale_larger():
    people = standing()[None].copy()
    people[0, LSP.index('left_wrist'), 0] = 35 + 5 * 304  # by far the widest
    expected = (35 + 5 * 304 + 35) * (41 / 35) / 304
    visible = np.ones((1, 14))
    assert mpii_like_scales(people, visible, LSP) == pytest.approx(expected)
    # resized by target_dist / scale, the joints span exactly the crop without its margin
    scale = mpii_like_scales(people, visible, LSP, target_dist=2.0, box_size=400, margin=100)
    spanned = (5 * 304 + 70) * 2.0 / scale
    assert spanned == pytest.approx(300)
    visible[0, LSP.index('left_wrist')] = 0  # not labeled, not in the way
    assert mpii_like_scales(people, visible, LSP) == pytest.approx(1)


def test_limb_that_nobody_can_compare_is_left_out():
    """Nobody has a head: without ratios the joints' extent remains."""
    keypoints, visible = crowd(6)
    visible[:, LSP.index('head_top')] = 0
    seen = np.where(visible[..., None] > 0, keypoints, np.nan)
    extent = (np.nanmax(seen, axis=1) - np.nanmin(seen, axis=1)).max(axis=1)
    expected = 41 / 35 * extent / 304
    np.testing.assert_allclose(mpii_like_scales(keypoints, visible, LSP), expected, rtol=1e-12)


def test_limb_whose_joints_coincide_in_most_people_is_left_out():
    people = np.stack([standing(unit) for unit in (7, 21, 28)])
    ankle, knee = LSP.index('right_ankle'), LSP.index('right_knee')
    people[:2, ankle] = people[:2, knee]  # ratio 0: the third would be infinitely large
    visible = np.ones((3, 14))
    visible[2] = only('right_ankle', 'right_knee', 'right_hip')
    scales = mpii_like_scales(people, visible, LSP)
    np.testing.assert_allclose(scales, [0.2, 0.6, 0.8], rtol=1e-12)


def test_person_of_one_joint_or_none_has_the_median_scale():
    people = np.stack([standing(unit) for unit in (7, 21, 28, 14, 14, 14)])
    visible = np.ones((6, 14))
    visible[3] = only('neck')
    visible[4] = 0
    visible[5], people[5] = only('neck', 'head_top'), 40.0  # both at the same place
    scales = mpii_like_scales(people, visible, LSP)
    np.testing.assert_allclose(scales, [0.2, 0.6, 0.8, 0.6, 0.6, 0.6], rtol=1e-12)


@pytest.mark.filterwarnings('error')
def test_positions_of_unlabeled_joints_mean_nothing():
    keypoints, visible = crowd()
    visible[3], visible[5] = 0, only('neck')
    expected = mpii_like_scales(keypoints, visible, LSP)
    assert np.isfinite(expected).all() and (expected > 0).all()
    for nothing in (np.nan, 0.0, 1e6):
        moved = np.where(visible[..., None] > 0, keypoints, nothing)
        np.testing.assert_array_equal(mpii_like_scales(moved, visible, LSP), expected)


def test_other_order_of_joints_and_other_joints_between():
    keypoints, visible = crowd()
    names = ('pelvis', *reversed(LSP.names), 'thorax')
    pad = np.full((40, 1, 2), 5000.0)
    mixed = np.concatenate([pad, keypoints[:, ::-1], -pad], axis=1)
    seen = np.pad(visible[:, ::-1], ((0, 0), (1, 1)))
    np.testing.assert_allclose(
        mpii_like_scales(mixed, seen, JointSet(names)),
        mpii_like_scales(keypoints, visible, LSP),
        rtol=1e-12,
    )


# -- what is refused


def test_nobody_with_two_joints():
    with pytest.raises(ValueError, match='none of 3 people has two labeled joints'):
        mpii_like_scales(np.zeros((3, 14, 2)), np.ones((3, 14)), LSP)
    with pytest.raises(ValueError, match='none of 0 people'):
        mpii_like_scales(np.zeros((0, 14, 2)), np.ones((0, 14)), LSP)


@pytest.mark.parametrize(
    ('points', 'labeled'), [((2, 14, 3), (2, 14)), ((2, 13, 2), (2, 13)), ((2, 14, 2), (3, 14))]
)
def test_shapes_that_do_not_fit_are_named(points, labeled):
    with pytest.raises(ValueError, match=r'must be \(N, 14, 2\) and \(N, 14\)') as error:
        limb_ratios(np.zeros(points), np.ones(labeled), LSP)
    assert str(points) in str(error.value) and str(labeled) in str(error.value)


def test_joint_set_without_a_neck():
    joints = JointSet(tuple(name for name in LSP.names if name != 'neck'))
    with pytest.raises(ValueError, match="no joint 'neck'"):
        mpii_like_scales(np.zeros((1, 13, 2)), np.ones((1, 13)), joints)


# -- the published data


@pytest.mark.parametrize(
    ('name', 'shrunk'), [('lspet/joints.mat', 97), ('lsp_eval/lsp-joints-PC.mat', 139)]
)
def test_published_joints_equal_the_authors_loops(name, shrunk):
    io = pytest.importorskip('scipy.io', reason='needs scipy to read .mat files')
    if not (SHARED / name).is_file():
        pytest.skip(f'needs ../shared/data/{name}')
    joints = io.loadmat(SHARED / name)['joints'].astype(float)
    if len(joints) == 14:
        joints = joints.transpose(2, 0, 1)
    else:
        joints = joints.transpose(2, 1, 0)
        joints[..., 2] = 1 - joints[..., 2]
    keypoints, visible = joints[..., :2], joints[..., 2]
    ratios, scales, squeezed = insert_mpi_like_scale(keypoints, visible)
    np.testing.assert_allclose(limb_ratios(keypoints, visible, LSP), ratios, rtol=1e-12)
    np.testing.assert_allclose(mpii_like_scales(keypoints, visible, LSP), scales, rtol=1e-12)
    assert len(squeezed) == shrunk
