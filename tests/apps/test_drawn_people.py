"""Drawn people: joints where they are said to be, colors by hand."""

import numpy as np
import pytest

pytest.importorskip('PIL')
from cpm_plugin.apps.drawn_people import SCENES, SIZE, draw_scene, joints_of
from cpm_plugin.core import LSP


@pytest.mark.parametrize('name', SCENES)
def test_all_joints_are_in_the_picture_and_not_on_the_background(name):
    width, people = SCENES[name]
    picture, height = draw_scene(name, SIZE), SIZE
    assert picture.shape == (height, width, 3) and picture.dtype == np.uint8
    for person in people:
        joints = joints_of(person)
        assert set(joints) == set(LSP.names)
        for x, y in (point for joint, point in joints.items() if joint != 'head_top'):
            assert 0 < x < width and 0 < y < height
            ground = (0xE8, 0xC8, 0xA8) if y < 170 else (0x40, 0x7C, 0x52)
            assert np.abs(picture[int(y), int(x)].astype(int) - ground).max() > 20


def test_joints_are_placed_around_the_hips():
    blue, red = (joints_of(person) for person in SCENES['two'][1])
    assert blue['right_hip'] == (89, 150) and blue['left_wrist'] == (172, 66)
    assert red['head_top'] == (290, 26) and red['right_elbow'] == (234, 106)


def test_colors_by_hand():
    """BGR: the sky above, grass below, the red shirt in the middle, and skin at a wrist."""
    picture = draw_scene('waving', SIZE)
    assert picture[3, 3].tolist() == [0xE8, 0xC8, 0xA8]
    assert picture[265, 3].tolist() == [0x40, 0x7C, 0x52]
    assert picture[115, 128].tolist() == [0x28, 0x28, 0xBE]
    assert picture[66, 196].tolist() == [0x8C, 0xAC, 0xE0]


def test_a_larger_picture_is_the_same():
    large = draw_scene('waving', 2 * SIZE)
    assert large.shape == (540, 512, 3)
    # the left wrist, at (196, 66)
    assert large[132, 392].tolist() == [0x8C, 0xAC, 0xE0]


def test_an_unknown_scene_is_named():
    with pytest.raises(ValueError, match="no scene 'flying'; there are: waving, jumping"):
        draw_scene('flying')
