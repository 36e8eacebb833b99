"""What generated figures are painted with: the same for left and right, and cut out cleanly."""

import numpy as np
import pytest

from cpm_plugin.apps.figure_sprites import background, cut, folds, limb_sprite, wardrobe


def test_a_cut_texture_has_its_colors_times_its_alpha():
    texture = np.array([[[10.0, 300.0, -5.0], [40.0, 20.0, 80.0]]], np.float32)
    sprite = cut(texture, np.array([[0.5, 0.0]], np.float32))
    assert sprite.tolist() == [[[5.0, 127.5, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]]]


def test_folds_are_rings_across_x_on_a_cylinder_along_it():
    marks, shade = folds(3, 12, 'rings')
    assert marks[0].tolist() == pytest.approx([1] * 4 + [1.2] * 4 + [1] * 4)
    assert shade[:, 0].tolist() == pytest.approx([0.55, 1, 0.55])
    assert (folds(3, 12, 'plain')[0] == 1).all()
    assert folds(4, 4, 'checks')[0][[0, 0, 3], [0, 3, 3]].tolist() == pytest.approx([1, 1.2, 1])


def test_a_limb_is_solid_at_its_joints_and_clear_in_its_corners():
    gray = np.full(3, 100, np.float32)
    alpha = limb_sprite(np.random.default_rng(0), gray, 'plain', gray)[..., 3]
    assert alpha[5, 6:30].min() > 0.99 and alpha[[0, 0, 11, 11], [0, 35, 0, 35]].max() < 0.01


def test_a_figure_has_one_piece_of_clothing_for_both_sides():
    assert set(wardrobe(np.random.default_rng(0))) == {
        'upper_arm', 'forearm', 'thigh', 'shin', 'head', 'trunk',
    }  # fmt: skip


def test_backgrounds_differ_by_the_generator_alone():
    one, again, other = (background(np.random.default_rng(n), 32) for n in (0, 0, 1))
    assert one.shape == (32, 32, 3) and (one == again).all() and (one != other).any()
