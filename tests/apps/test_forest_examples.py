"""Cells to train forests on, and folds that keep an image together."""

import numpy as np
import pytest

from cpm_plugin.apps.forest_examples import (
    ForestSettings,
    draw_examples,
    fold_numbers,
    read_settings,
)

SETTINGS = ForestSettings(background=3, positive=0.5)


@pytest.fixture
def targets():
    """Joint 0 around (1, 1), joint 1 around (1, 2), and joint 2 at (3, 0); then the background."""
    maps = np.zeros((4, 4, 5))
    maps[0, 1, 1], maps[0, 1, 2], maps[0, 0, 1] = 1, 0.6, 0.5
    maps[1, 1, 2], maps[1, 1, 1], maps[1, 2, 2] = 0.9, 0.7, 0.49
    maps[2, 3, 0] = 1
    maps[3] = 1 - maps[:3].max(axis=0)
    return maps


def by_cell(cells, labels):
    return dict(zip(map(tuple, cells.tolist()), labels.tolist(), strict=True))


def test_cells_near_a_joint_are_of_the_nearest(targets):
    found = by_cell(*draw_examples(targets, np.ones(4), SETTINGS, 0))
    joints = {cell: label for cell, label in found.items() if label < 3}
    assert joints == {(1, 1): 0, (0, 1): 0, (1, 2): 1, (3, 0): 2}
    assert len(found) == 4 + 3  # (2, 2), a neighbor, may be among the background


def test_an_unknown_joint_hides_its_cells_and_the_background(targets):
    found = by_cell(*draw_examples(targets, np.array([1, 0, 1, 0]), SETTINGS, 0))
    assert found == {(1, 1): 0, (1, 2): 0, (0, 1): 0, (3, 0): 2}


def test_the_background_is_drawn_by_seed_and_image(targets):
    def drawn(number, **settings):
        settings = ForestSettings(background=6, **settings)
        cells, labels = draw_examples(targets, np.ones(4), settings, number)
        return cells[labels == 3].tolist()

    assert drawn(0) == drawn(0)
    assert len({str(drawn(number)) for number in range(3)}) == 3
    assert drawn(0) != drawn(0, seed=1)
    all_drawn = draw_examples(targets, np.ones(4), ForestSettings(background=99), 0)
    assert len(by_cell(*all_drawn)) == 20  # each cell once


def test_a_photograph_is_in_one_fold():
    groups = np.array([7, 3, 7, 5, 3, 9, 11, 13, 7])
    numbers = fold_numbers(groups, 3, seed=0)
    assert all(len(set(numbers[groups == group])) == 1 for group in set(groups))
    folds = [set(groups[numbers == fold].tolist()) for fold in range(3)]
    assert [len(fold) for fold in folds] == [2, 2, 2] and set.union(*folds) == set(groups.tolist())
    assert (numbers == fold_numbers(groups, 3, seed=0)).all()
    assert any((numbers != fold_numbers(groups, 3, seed=seed)).any() for seed in (1, 2))


def test_fewer_photographs_than_folds_are_refused():
    with pytest.raises(ValueError, match='2 images for 3 folds; give more images or fewer folds'):
        fold_numbers(np.array([1, 1, 2]), 3, 0)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'stages': 0}, 'stages 0: must be at least 1'),
        ({'folds': 1}, 'folds 1: must be at least 2'),
        ({'smoothing': float('nan')}, 'smoothing nan: must be at least 0'),
        ({'share': 0}, 'share 0: must be above 0, and at most 1'),
        ({'positive': 1.5}, 'positive 1.5: must be above 0, and at most 1'),
        ({'max_features': 2}, 'max_features 2: must be from 0 to 1'),
        ({'max_features': float('nan')}, 'max_features nan: must be'),
        ({'trees': 2.5}, r'trees 2\.5: must be a whole number'),
        ({'smoothing': 'much'}, "smoothing 'much': must be a number"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ForestSettings(**settings)


def test_settings_are_changed_by_name():
    assert read_settings({}) == ForestSettings()
    changed = read_settings({'stages': 2, 'max_features': 0, 'smoothing': 1})
    assert changed == ForestSettings(stages=2, max_features=0, smoothing=1)
    with pytest.raises(ValueError, match="no setting 'tree'; there are: stages, folds, trees, sh"):
        read_settings({'tree': 3})
