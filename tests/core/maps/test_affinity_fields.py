"""Target part affinity fields, against numbers computed by hand and cell by cell."""

import numpy as np
import pytest

from cpm_plugin.core import ideal_affinity_fields

SIZE = (8, 6)


def center(column, row, stride=8):
    return (stride * column + (stride - 1) / 2, stride * row + (stride - 1) / 2)


def one_limb(start, end, size=SIZE, **options):
    """The (2, height, width) field of one limb of one person."""
    return ideal_affinity_fields([[start, end]], [[1, 1]], [(0, 1)], size, **options)


def cell_by_cell(people, size, width=8.0):
    """The rule written a second time, for people of one limb each."""
    field = np.zeros((2, size[1], size[0]))
    for row in range(size[1]):
        for column in range(size[0]):
            cell = np.array(center(column, row))
            found = []
            for start, end in np.array(people, dtype=float):
                low, high = np.minimum(start, end) - width, np.maximum(start, end) + width
                length = np.hypot(*(end - start))
                to_cell, along = cell - start, end - start
                area = abs(to_cell[0] * along[1] - to_cell[1] * along[0])
                if area / length <= width and (low <= cell).all() and (cell <= high).all():
                    found.append(along / length)
            if found:
                field[:, row, column] = np.mean(found, axis=0)
    return field


def test_horizontal_limb():
    field = one_limb(center(2, 2), center(4, 2))
    assert field.shape == (2, 6, 8) and field.dtype == np.float32
    expected = np.zeros((6, 8))
    expected[1:4, 1:6] = 1  # a cell more on every side
    np.testing.assert_array_equal(field, [expected, np.zeros((6, 8))])


def test_vectors_point_from_the_first_joint_to_the_second():
    up = one_limb(center(3, 4), center(3, 2))
    expected = np.zeros((6, 8))
    expected[1:6, 2:5] = -1
    np.testing.assert_array_equal(up, [np.zeros((6, 8)), expected])
    backwards = ideal_affinity_fields([[center(3, 4), center(3, 2)]], [[1, 1]], [(1, 0)], SIZE)
    np.testing.assert_array_equal(backwards, -up)


def test_slanting_limb():
    field = one_limb(center(1, 0), center(4, 4))  # along (3, 4), so 0.6 and 0.8
    drawn = (field != 0).any(axis=0)
    np.testing.assert_allclose(field[:, drawn].T, np.tile([[0.6, 0.8]], (drawn.sum(), 1)))
    # |0.8 (column - 1) - 0.6 row| <= 1
    columns = {0: [0, 1, 2], 1: [1, 2, 3], 2: [2, 3], 3: [2, 3, 4], 4: [3, 4, 5], 5: [4, 5]}
    assert {row: np.flatnonzero(drawn[row]).tolist() for row in range(6)} == columns


@pytest.mark.parametrize('seed', range(5))
def test_the_rule_cell_by_cell(seed):
    people = np.random.default_rng(seed).uniform(-10, 74, (4, 2, 2))
    limbs = ideal_affinity_fields(people, np.ones((4, 2)), [(0, 1)], SIZE, width=9.5)
    np.testing.assert_allclose(limbs, cell_by_cell(people, SIZE, 9.5), atol=1e-6)


@pytest.mark.parametrize(
    ('end', 'beside', 'distance'),
    # from cell (3, 2); beside is a cell next to the line
    [((6, 2), (4, 3), 8.0), ((6, 6), (4, 2), 6.4), ((3, 5), (2, 3), 8.0), ((6, -2), (3, 1), 4.8)],
)
def test_a_cell_exactly_at_the_width_is_inside(end, beside, distance):
    column, row = beside
    for width, drawn in ((distance, True), (distance - 0.001, False)):
        field = one_limb(center(3, 2), center(*end), width=width)
        assert field[:, row, column].any() == drawn


def test_the_box_ends_exactly_at_the_width():
    start, end = center(2, 2), (center(4, 2)[0] + 0.5, center(4, 2)[1])
    for width, columns in ((7.5, [2, 3, 4, 5]), (7.4, [2, 3, 4]), (8, [1, 2, 3, 4, 5])):
        drawn = one_limb(start, end, width=width)[0, 2]
        assert np.flatnonzero(drawn).tolist() == columns


def test_width_is_in_input_pixels():
    field = one_limb(center(2, 2, 4), center(4, 2, 4), stride=4)  # so 2 cells on every side
    assert np.count_nonzero(field[0]) == 5 * 7
    assert np.count_nonzero(one_limb(center(2, 2), center(4, 2), width=16)) == 5 * 7


def test_overlapping_people_are_averaged():
    across, down = [center(1, 2), center(6, 2)], [center(3, 1), center(3, 4)]
    field = ideal_affinity_fields([across, down, across], np.ones((3, 2)), [(0, 1)], SIZE)
    assert field[:, 2, 3].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert field[:, 2, 6].tolist() == [1, 0]
    assert field[:, 5, 3].tolist() == [0, 1]
    opposite = ideal_affinity_fields([across, across[::-1]], np.ones((2, 2)), [(0, 1)], SIZE)
    np.testing.assert_array_equal(opposite, 0)


def test_people_who_draw_nothing_do_not_count_in_the_mean():
    across = [center(1, 2), center(6, 2)]
    people = [across, [center(3, 2)] * 2, [(np.nan, 0), center(3, 4)], across[::-1]]
    labeled = [[1, 1], [1, 1], [0, 1], [1, 0.4]]
    field = ideal_affinity_fields(people, labeled, [(0, 1)], SIZE)
    np.testing.assert_array_equal(field, one_limb(*across))


def test_joints_at_one_place_draw_nothing():
    np.testing.assert_array_equal(one_limb((20, 20), (20, 20)), 0)


def test_joints_outside_the_image():
    # From far left: only the band inside is drawn.
    field = one_limb((-100, center(0, 2)[1]), center(2, 2))
    assert np.argwhere(field[0]).tolist() == [[row, x] for row in (1, 2, 3) for x in range(4)]
    # Both outside, with the limb across the image
    np.testing.assert_array_equal(one_limb((-50, 19.5), (500, 19.5))[0, 1:4], 1)
    # Just outside: the band reaches in. Further out it does not.
    assert np.argwhere(one_limb((-4.5, 3.5), (-4.5, 19.5))[1]).tolist() == [
        [row, 0] for row in range(4)
    ]
    np.testing.assert_array_equal(one_limb((-4.6, 3.5), (-4.6, 19.5)), 0)
    np.testing.assert_array_equal(one_limb((-1e6, -1e6), (-2e6, 1e6)), 0)


def test_each_limb_has_two_channels_in_the_order_of_the_limbs():
    points = [[center(1, 1), center(5, 1), center(5, 4)]]
    fields = ideal_affinity_fields(points, [[1, 1, 1]], [(2, 1), (0, 1)], SIZE)
    np.testing.assert_array_equal(fields[:2], one_limb(points[0][2], points[0][1]))
    np.testing.assert_array_equal(fields[2:], one_limb(points[0][0], points[0][1]))


def test_mirrored_image_has_exactly_the_mirrored_fields():
    points = np.random.default_rng(0).uniform(-5, 60, (3, 4, 2))
    mirrored = points * (-1, 1) + (8 * SIZE[0] - 1, 0)
    limbs = [(0, 1), (1, 2), (2, 3)]
    fields, mirrored = (
        ideal_affinity_fields(p, np.ones((3, 4)), limbs, SIZE) for p in (points, mirrored)
    )
    mirrored[0::2] *= -1
    np.testing.assert_allclose(mirrored[..., ::-1], fields, atol=1e-6)


def test_first_cell_moves_the_cells():
    points = np.random.default_rng(1).uniform(0, 60, (2, 2, 2))
    theirs = ideal_affinity_fields(points, np.ones((2, 2)), [(0, 1)], SIZE, first_cell=0)
    moved = ideal_affinity_fields(points + 3.5, np.ones((2, 2)), [(0, 1)], SIZE)
    np.testing.assert_allclose(theirs, moved, atol=1e-6)


def test_nobody_and_no_limbs():
    nobody = ideal_affinity_fields(np.zeros((0, 3, 2)), np.zeros((0, 3)), [(0, 1), (1, 2)], SIZE)
    np.testing.assert_array_equal(nobody, np.zeros((4, 6, 8)))
    assert ideal_affinity_fields(np.zeros((1, 3, 2)), np.ones((1, 3)), [], SIZE).shape == (0, 6, 8)


@pytest.mark.parametrize(
    ('points', 'labeled', 'limbs', 'options', 'message'),
    [
        (np.zeros((1, 2)), [[1, 1]], [(0, 1)], {}, r'must be \(people, joints, 2\)'),
        (np.zeros((1, 2, 2)), [[1]], [(0, 1)], {}, r'\(1, 2, 2\) and labeled \(1, 1\)'),
        ([[[0, np.nan], [1, 1]]], [[1, 1]], [(0, 1)], {}, 'keypoint 0 of person 0 is labeled'),
        (np.zeros((1, 2, 2)), [[1, 1]], [(0, 1), (1, 2)], {}, r'limb 1 is \(1, 2\); .* of 0 to 1'),
        (np.zeros((1, 2, 2)), [[1, 1]], [(-1, 1)], {}, r'limb 0 is \(-1, 1\)'),
        (np.zeros((1, 2, 2)), [[1, 1]], [(1, 1)], {}, 'two different ones'),
        (np.zeros((1, 2, 2)), [[1, 1]], [(0, 1, 1)], {}, r'limb 0 is \(0, 1, 1\)'),
        (np.zeros((1, 2, 2)), [[1, 1]], [(0, 1.0)], {}, r'limb 0 is \(0, 1\.0\)'),
        (np.zeros((1, 2, 2)), [[1, 1]], [(0, 1)], {'width': 0}, 'width 0 and stride 8 must be po'),
        (np.zeros((1, 2, 2)), [[1, 1]], [(0, 1)], {'stride': -8}, 'stride -8 must be positive'),
    ],
)
def test_mistakes_are_named(points, labeled, limbs, options, message):
    with pytest.raises(ValueError, match=message):
        ideal_affinity_fields(points, labeled, limbs, SIZE, **options)
