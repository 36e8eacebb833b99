"""From ideal and hand-made maps to people: exactly those who were drawn."""

import numpy as np
import pytest
import torch

from cpm_plugin.core import group_people, ideal_affinity_fields, ideal_belief_maps
from cpm_plugin.core.maps.grouping import _in_tree
from cpm_plugin.core.maps.joint_sets import joint_set

# A figure of a head, neck, two shoulders, elbows and hips, in input pixels; its last two limbs
# close circles.
FIGURE = np.array(
    [(0, -50), (0, -26), (-22, -24), (-36, 10), (22, -24), (36, 10), (-14, 40), (14, 40)]
)
LIMBS = [(1, 0), (1, 2), (2, 3), (1, 4), (4, 5), (1, 6), (1, 7), (2, 6), (4, 7)]
CHAIN = [(0, 1), (1, 2)]


def draw(points, seen, limbs, size=(46, 46)):
    points, seen = np.asarray(points, dtype=float), np.asarray(seen)
    return (
        ideal_belief_maps(points, seen, size),
        ideal_affinity_fields(points, seen, limbs, size),
        limbs,
    )


def crowd(number, seed=0):
    """People on a grid, 160 pixels apart; their Gaussians of one joint do not meet."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(20, 1, 2) * 160 + 90
    return FIGURE + rng.permutation(places)[:number] + rng.uniform(-5, 5, (number, 8, 2))


def assert_people(found, points, seen):
    """That these people were found, in any order, and no other."""
    assert len(found.keypoints) == len(points)
    seen = np.asarray(seen, dtype=bool)
    points = np.where(seen[..., None], points, 0)
    distances = np.abs(found.keypoints[:, None] - points).max(axis=(2, 3))
    order = distances.argmin(axis=0)
    assert sorted(order) == list(range(len(points)))
    np.testing.assert_allclose(found.keypoints[order], points, atol=1e-3)
    np.testing.assert_array_equal(found.scores[order] > 0, seen)


def cells_to_pixels(*cells):
    return np.array(cells) * 8 + 3.5


def hand_made(joints, bands, limbs, size=(20, 12)):
    """Maps with ``joints`` {joint: cells} and fields with ``bands`` (limb, rows, columns, x, y)."""
    num_joints = 1 + max(max(limb) for limb in limbs)
    maps, fields = np.zeros((num_joints, *size[::-1])), np.zeros((2 * len(limbs), *size[::-1]))
    for joint, cells in joints.items():
        for column, row in cells:
            maps[joint, row, column] = 1
    for limb, rows, columns, x, y in bands:
        for channel, value in ((2 * limb, x), (2 * limb + 1, y)):
            fields[channel][np.ix_(rows, columns)] = value
    return maps, fields, limbs


def cells_of(people):
    """The people, each {joint: (column, row)}, sorted."""
    found = [
        {joint: tuple(((person[joint] - 3.5) / 8).astype(int)) for joint in np.flatnonzero(scores)}
        for person, scores in zip(people.keypoints, people.scores)
    ]
    return sorted(found, key=repr)


# Ideal maps


@pytest.mark.parametrize('number', range(1, 21))
def test_exactly_the_people_who_were_drawn(number):
    points = crowd(number, seed=number)
    found = group_people(*draw(points, np.ones((number, 8)), LIMBS, size=(102, 82)))
    assert_people(found, points, np.ones((number, 8)))
    assert (np.diff(found.person_scores) <= 0).all()
    assert (found.person_scores > 0.8).all() and (found.person_scores < 1.01).all()


def test_people_with_joints_that_are_not_labeled():
    points, seen = crowd(9), np.ones((9, 8))
    seen[np.arange(8), np.arange(8)] = 0  # of each, another joint
    seen[1] = (0, 0, 1, 1, 0, 0, 1, 0)  # one side only: shoulder, elbow, hip
    seen[8, 3:] = 0
    expected = seen.copy()
    expected[2, 3] = expected[4, 5] = 0  # no limb leads to an elbow without its shoulder
    assert_people(group_people(*draw(points, seen, LIMBS, (102, 82))), points, expected)


def test_truncated_people():
    # The hips of one are below the image, an elbow of the other is left of it.
    points = FIGURE + np.array([[(100, 350)], [(40, 120)]])
    points[1, 3] = (-40, 130)
    found = group_people(*draw(points, np.ones((2, 8)), LIMBS))
    assert len(found.keypoints) == 2
    inside = (points >= 0).all(axis=2) & (points <= 367).all(axis=2)
    assert inside.sum(axis=1).tolist() == [6, 7]
    for person, shown in zip(points, inside):
        nearest = np.abs(found.keypoints[:, 0] - person[0]).sum(axis=1).argmin()
        np.testing.assert_allclose(found.keypoints[nearest][shown], person[shown], atol=1e-3)
        np.testing.assert_array_equal(found.scores[nearest] > 0, shown)


def test_crossing_limbs():
    points = [[(40, 40), (140, 140), (240, 140)], [(140, 40), (40, 140), (40, 240)]]
    assert_people(group_people(*draw(points, np.ones((2, 3)), CHAIN)), points, np.ones((2, 3)))
    # Joints of the other person are nearer than the own ones.
    points = [[(40, 100), (200, 100), (200, 200)], [(190, 50), (60, 50), (60, 200)]]
    assert_people(group_people(*draw(points, np.ones((2, 3)), CHAIN)), points, np.ones((2, 3)))


def test_scores():
    points = cells_to_pixels([(2, 3), (8, 3), (8, 9)], [(20, 3), (26, 3), (0, 0)])
    maps, fields, limbs = draw(points, [[1, 1, 1], [1, 1, 0]], CHAIN)
    found = group_people(maps * [[[0.5]], [[1]], [[1]]], fields * 0.8, limbs, min_parts=2)
    np.testing.assert_allclose(found.scores, [[0.5, 1, 1], [0.5, 1, 0]])
    np.testing.assert_allclose(found.person_scores, [(2.5 + 1.6) / 5, (1.5 + 0.8) / 5])
    np.testing.assert_allclose(found.keypoints, points * found.scores[..., None].astype(bool))


def test_mirrored_maps_give_the_mirrored_people():
    points = crowd(8)
    maps, fields, limbs = draw(points, np.ones((8, 8)), LIMBS, size=(102, 82))
    fields[0::2] *= -1
    found = group_people(maps[..., ::-1], fields[..., ::-1], limbs)
    assert_people(found, points * (-1, 1) + (102 * 8 - 1, 0), np.ones((8, 8)))


def test_fields_half_a_cell_away_as_the_authors_draw_them():
    points, seen = crowd(12), np.ones((12, 8))
    maps, _, limbs = draw(points, seen, LIMBS, size=(102, 82))
    fields = ideal_affinity_fields(points, seen, LIMBS, (102, 82), first_cell=0)
    assert_people(group_people(maps, fields, limbs), points, seen)


def test_maps_that_were_enlarged():
    # Two people whose joints are 1.9 cells apart, which is one peak; a quarter of that is two.
    points = np.array([[(60, 60), (60, 120), (60, 180)]]) + np.array([[(0, 0)], [(15, 0)]])
    maps, fields, limbs = draw(points, np.ones((2, 3)), CHAIN)
    assert len(group_people(maps, fields, limbs).keypoints) == 1
    maps, fields = (
        torch.nn.functional.interpolate(
            torch.from_numpy(array)[None], scale_factor=4, mode='bicubic', align_corners=False
        )[0]
        for array in (maps, fields)
    )
    found = group_people(maps, fields, limbs, stride=2).keypoints
    assert len(found) == 2
    np.testing.assert_allclose(found[np.argsort(found[:, 0, 0])], points, atol=4)


def test_tensors_and_another_stride():
    points, seen = crowd(1), np.ones((1, 8))
    maps = ideal_belief_maps(points, seen, (204, 164), stride=4)
    fields = ideal_affinity_fields(points, seen, LIMBS, (204, 164), stride=4)
    maps, fields = torch.from_numpy(maps).requires_grad_(), torch.from_numpy(fields)
    assert_people(group_people(maps, fields, LIMBS, stride=4), points, seen)
    found = group_people(maps.bfloat16(), fields.bfloat16(), LIMBS, stride=4)
    np.testing.assert_allclose(found.keypoints, points, atol=0.5)


# Limbs


@pytest.mark.parametrize('limbs', [[(0, 1), (2, 3), (1, 2)], [(0, 1), (2, 3), (2, 1)]])
def test_a_limb_merges_two_fragments(limbs):
    points = np.array([(40, 40), (90, 40), (140, 60), (190, 60)]) + np.array([[(0, 0)], [(10, 90)]])
    found = group_people(*draw(points, np.ones((2, 4)), limbs))
    assert_people(found, points, np.ones((2, 4)))


def test_fragments_with_a_joint_of_the_same_kind_stay_apart():
    limbs = [(0, 1), (1, 2), (0, 2)]
    maps, fields, _ = hand_made(
        {0: [(2, 2)], 1: [(8, 2), (2, 8)], 2: [(8, 8)]},
        [(0, [2], range(2, 9), 1, 0), (1, [8], range(2, 9), 1, 0), (2, range(12), range(20), 1, 1)],
        limbs,
    )
    found = cells_of(group_people(maps, fields, limbs, min_parts=2))
    assert found == [{0: (2, 2), 1: (8, 2)}, {1: (2, 8), 2: (8, 8)}]


def test_a_limb_that_closes_a_circle_replaces_a_hidden_joint():
    limbs = [(0, 1), (1, 2), (0, 2)]
    points = np.array([(40, 40), (90, 70), (140, 40)]) + np.array([[(0, 0)], [(0, 150)]])
    seen = [[1, 0, 1], [1, 1, 1]]
    found = group_people(*draw(points, seen, limbs), min_parts=2)
    assert_people(found, points, seen)


def test_limbs_that_close_a_circle_come_after_all_others():
    # Two people in rows 2 and 8. Their own limbs are weak; the third limb crosses over, strongly.
    limbs = [(0, 1), (1, 2), (0, 2)]
    rows, band = [2, 8], range(20)
    joints = {0: [(2, 2), (2, 8)], 1: [(6, 2), (6, 8)], 2: [(12, 2), (12, 8)]}
    maps, fields, _ = hand_made(joints, [(0, rows, band, 0.5, 0), (1, rows, band, 0.5, 0)], limbs)
    crossing = cells_to_pixels([(2, 2), (12, 8)], [(2, 8), (12, 2)])
    fields[4:] = ideal_affinity_fields(crossing, np.ones((2, 2)), [(0, 1)], (20, 12))
    people = [{0: (2, y), 1: (6, y), 2: (12, y)} for y in rows]
    assert cells_of(group_people(maps, fields, limbs)) == people
    # With the third limb first, it is part of the tree, and the strongest limb.
    order = [2, 0, 1]
    fields = fields.reshape(3, 2, 12, 20)[order].reshape(6, 12, 20)
    found = cells_of(group_people(maps, fields, [limbs[i] for i in order]))
    assert found == [{0: (2, y), 1: (6, y), 2: (12, 10 - y)} for y in rows]


def test_the_better_of_two_candidates_is_taken():
    joints = {0: [(2, 5)], 1: [(10, 5), (2, 11)]}
    bands = [(0, [5], range(2, 11), 0.6, 0), (0, range(6, 12), [2], 0, 0.9)]
    maps, fields, limbs = hand_made(joints, bands, [(0, 1)])
    found = group_people(maps, fields, limbs, min_parts=1)
    assert cells_of(found) == [{0: (2, 5), 1: (2, 11)}, {1: (10, 5)}]


def test_direction_matters():
    maps, fields, limbs = draw([[(40, 40), (100, 40)]], [[1, 1]], [(0, 1)])
    assert len(group_people(maps, fields, limbs, min_parts=2).keypoints) == 1
    assert len(group_people(maps, -fields, limbs, min_parts=2).keypoints) == 0
    assert len(group_people(maps, fields, [(1, 0)], min_parts=2).keypoints) == 0
    across = fields[::-1]  # x for y
    assert len(group_people(maps, across, limbs, min_parts=2).keypoints) == 0


def line(values, **options):
    """The score of a limb along ``values``, a row of cells; None if it is no limb."""
    maps, fields, limbs = hand_made({0: [(0, 1)], 1: [(len(values) - 1, 1)]}, [], [(0, 1)])
    fields[0, 1, : len(values)] = values
    found = group_people(maps, fields, limbs, min_parts=1, **options)
    return found.person_scores[0] * 3 - 2 if len(found.keypoints) == 1 else None


def test_the_score_of_a_limb_is_the_mean_of_its_samples():
    assert line([0.5] * 12) == pytest.approx(0.5)
    assert line(np.arange(11) / 10) == pytest.approx(0.5)  # between cells, too


def test_the_number_of_samples_grows_with_the_length():
    # 2 cells are 16 pixels, so round(sqrt(5 * 16)) = 9 samples, of which the first is 0.
    assert line([0, 1, 1], min_above=0.888) is not None
    assert line([0, 1, 1], min_above=0.889) is None
    # 1 cell: round(sqrt(40)) = 6; half a cell would be 4, so 5.
    assert line([0, 1], min_above=0.833) is not None
    assert line([0, 1], min_above=0.834) is None
    # 16 cells: 25 samples; of 19 cells there are no more
    for cells in (17, 20):
        assert line([0, *[1] * (cells - 1)], min_above=0.959) is not None
        assert line([0, *[1] * (cells - 1)], min_above=0.961) is None


def test_samples_must_support_the_limb():
    assert line([0.06] * 10, min_score=0) is not None
    assert line([0.05] * 10, min_score=0) is None
    assert line([0.05] * 10, min_score=0, field_threshold=0.04) is not None
    # 19 cells, 25 samples, 0.75 cells apart: 5 are on the last cells or beyond cell 15
    assert line([1] * 16 + [0] * 3) is not None
    assert line([1] * 14 + [0] * 5) is None
    assert line([1] * 14 + [0] * 5, min_above=0.7) is not None


def test_a_limb_between_rows_is_sampled_between_them():
    points = [[(43.5, 47.5), (107.5, 47.5)]]  # in the middle of rows 5 and 6
    maps, fields, limbs = draw(points, [[1, 1]], [(0, 1)])
    fields[:, 6:] = 0
    found = group_people(maps, fields, limbs, min_parts=2)
    joints = 2 * np.exp(-(4**2) / 98)
    assert found.person_scores[0] * 3 == pytest.approx(joints + 0.5, abs=1e-6)


def test_joints_at_one_place_are_connected():
    points = [[(43.5, 43.5), (43.5, 43.5), (100, 43.5)]]
    found = group_people(*draw(points, np.ones((1, 3)), CHAIN))
    assert_people(found, points, np.ones((1, 3)))
    # 46 / 150 = 0.31 cells are 2.45 pixels; there is no field at all
    for distance, number in ((2.4, 1), (2.5, 0)):
        maps, fields, limbs = draw([[(43.5, 43.5), (43.5 + distance, 43.5)]], [[1, 1]], [(0, 1)])
        found = group_people(maps, fields * 0, limbs, min_parts=2)
        assert len(found.keypoints) == number


# Who is a person


def test_a_person_of_one_joint():
    maps, fields, limbs = draw([[(40, 40), (0, 0), (0, 0)]], [[1, 0, 0]], CHAIN)
    assert len(group_people(maps, fields, limbs).keypoints) == 0
    found = group_people(maps, fields, limbs, min_parts=1)
    assert_people(found, [[(40, 40), (0, 0), (0, 0)]], [[1, 0, 0]])
    # and of a set of joints without limbs
    found = group_people(maps[:1], np.zeros((0, 46, 46)), [], min_parts=1)
    assert found.keypoints.shape == (1, 1, 2)


def test_number_of_joints_and_score_of_a_person():
    points = cells_to_pixels([(2, 3), (8, 3), (8, 9)])
    maps, fields, limbs = draw(points, np.ones((1, 3)), CHAIN)
    maps, fields = maps * 0.3, fields * 0.3  # (3 * 0.3 + 2 * 0.3) / 3 = 0.5
    assert len(group_people(maps, fields, limbs, min_score=0.499).keypoints) == 1
    assert len(group_people(maps, fields, limbs, min_score=0.501).keypoints) == 0
    assert len(group_people(maps, fields, limbs, min_parts=4).keypoints) == 0
    assert len(group_people(maps * 0.1, fields * 0.1, limbs).keypoints) == 0
    assert len(group_people(*draw(points, [[1, 1, 0]], CHAIN)).keypoints) == 0


def test_more_people_than_the_limit():
    points, seen = crowd(5), np.ones((5, 8))
    seen[2:, 0] = 0  # of three, the head is hidden
    maps, fields, limbs = draw(points, seen, LIMBS, size=(102, 82))
    found = group_people(maps, fields, limbs, max_people=2)
    assert_people(found, points[:2], seen[:2])
    assert len(group_people(maps, fields, limbs, max_people=0).keypoints) == 0
    assert len(group_people(maps, fields, limbs, max_people=9).keypoints) == 5
    kept = group_people(maps, fields, limbs, max_peaks=3).scores
    assert (kept > 0).sum(axis=0).max() == 3


def test_nobody():
    for maps in (np.zeros((8, 46, 46)), -np.ones((8, 1, 1))):
        found = group_people(maps, np.zeros((18, *maps.shape[1:])), LIMBS)
        assert found.keypoints.shape == (0, 8, 2)
        assert found.scores.shape == (0, 8) and found.person_scores.shape == (0,)
    assert group_people(np.zeros((0, 4, 4)), np.zeros((0, 4, 4)), []).keypoints.shape == (0, 0, 2)


def test_the_tree_can_be_given():
    """A circle of three joints with two people in it; which limb comes last decides."""
    limbs = [(0, 1), (1, 2), (0, 2)]
    joints = {0: [(2, 2)], 1: [(10, 2)], 2: [(10, 8), (2, 8)]}
    # From 1 to the first of joint 2, and more weakly from 0 to its second.
    bands = [
        (0, [2], range(2, 11), 1, 0), (1, range(2, 9), [10], 0, 0.9), (2, range(2, 9), [2], 0, 0.8)
    ]  # fmt: skip
    maps = hand_made(joints, bands, limbs)

    def third(**tree):
        (person,) = group_people(*maps, min_score=0, **tree).keypoints
        return person[2].tolist()

    first, second = (cells_to_pixels(*cell).tolist() for cell in joints[2])
    assert third() == third(tree=(0, 1)) == first
    assert third(tree=(0, 2)) == second
    assert third(tree=(0, 1, 2)) == first  # the stronger of all three


@pytest.mark.parametrize('name', ['coco', 'cpm', 'lsp', 'openpose_body25', 'openpose_coco'])
def test_the_tree_of_a_joint_set_spans_what_the_default_spans(name):
    """They agree where all limbs are links, or no circle is closed before a link comes."""
    joints = joint_set(name)
    default = [i for i, taken in enumerate(_in_tree(np.array(joints.limb_indices), 25)) if taken]
    assert len(default) == len(joints.tree_limbs)
    assert (tuple(default) == joints.tree_limbs) == (name in ('coco', 'cpm', 'lsp'))


def test_mistakes_are_named():
    maps, fields = np.zeros((3, 4, 5)), np.zeros((4, 4, 5))
    for arguments, options, message in (
        ((maps, fields[:3], CHAIN), {}, r'\(3, 4, 5\) do not fit heatmaps \(3, 4, 5\) and 2 limbs; '
         r'expected \(4, 4, 5\)'),
        ((maps, np.zeros((4, 5, 4)), CHAIN), {}, r'fields of shape \(4, 5, 4\) do not fit'),
        ((maps, fields, [(0, 1), (1, 3)]), {}, r'limb 1 is \(1, 3\)'),
        ((maps[0], fields, CHAIN), {}, 'heatmaps of shape'),
        ((maps, fields[0], CHAIN), {}, 'fields of shape'),
        ((maps + np.nan, fields, CHAIN), {}, 'heatmaps have nan in channel 0'),
        ((maps, fields + np.inf, CHAIN), {}, 'fields have inf in channel 0'),
        ((maps, fields, CHAIN), {'min_parts': 0}, 'min_parts is 0'),
        ((maps, fields, CHAIN), {'max_people': -1}, 'max_people -1'),
        ((maps, fields, CHAIN), {'max_peaks': 0}, 'max_peaks is 0'),
        ((maps, fields, CHAIN), {'tree': (0, 2)}, r'tree has limbs \[2\]; there are 0 to 1'),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            group_people(*arguments, **options)
