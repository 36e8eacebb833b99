"""Answers of the page: what is told, which pictures stand where."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip('PIL')
from cpm_plugin.apps import page_looks
from cpm_plugin.apps.drawn_people import SIZE, draw_scene
from cpm_plugin.apps.page_answers import answer_of, note_of, open_file, stage_pictures
from cpm_plugin.apps.page_looks import Picture, rows_of
from cpm_plugin.apps.page_pictures import SIDE, belief_picture, people_picture, pose_picture


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    boxes = np.array([[40.0, 20, 212, 250]])
    return Picture(
        tmp_path_factory.mktemp('page') / 'waving.png', draw_scene('waving', SIZE), boxes
    )


@pytest.fixture(scope='module')
def answer(picture):
    return answer_of(picture, '1', 'cpm_slim_3s')


def test_a_note_is_text_whatever_the_file_is_called():
    assert note_of('<b>.png & "x"', wrong=True) == (
        '<div class="note error" role="alert">&lt;b&gt;.png &amp; &quot;x&quot;</div>'
    )
    assert note_of('Fine.') == '<div class="note" role="status">Fine.</div>'


def test_a_file_is_opened_with_the_people_to_choose(tmp_path, monkeypatch):
    monkeypatch.setattr(page_looks, 'find_boxes', lambda image: np.zeros((2, 4)))
    assert open_file(None) == (None, [], note_of('Give an image, or take one of the drawn ones.'))
    (tmp_path / 'a.png').write_text('no image')
    opened, choices, wrong = open_file(str(tmp_path / 'a.png'))
    assert (opened, choices) == (None, []) and 'class="note error"' in wrong
    assert '>a.png cannot be read as an image' in wrong
    from PIL import Image

    Image.new('RGB', (50, 60)).save(tmp_path / 'b.png')
    opened, choices, wrong = open_file(str(tmp_path / 'b.png'))
    assert opened.image.shape == (60, 50, 3)
    assert (choices, wrong) == (['1', '2', 'whole image'], '')


def test_an_answer_has_everything_about_the_person(picture, answer):
    look = answer.look
    mean = look.poses.scores[0].mean()
    assert answer.note == note_of(
        f'One person found in waving.png. Shown is person 1, with a mean belief of {mean:.2f}.'
    )
    np.testing.assert_array_equal(answer.people, people_picture(look.poses, 0))
    assert answer.rows == rows_of(look)
    assert json.loads(answer.json)['people'][0]['bbox'] == [40, 20, 212, 250]


def test_a_model_whose_package_is_missing_says_what_to_install(picture, monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    answer = answer_of(picture, '1', 'cpm_lite0_3s')
    assert 'class="note error"' in answer.note and 'cpm_plugin[timm]' in answer.note
    assert answer.people is None and answer.rows == []


def test_older_models_stand_between_stage_1_and_the_last_stage(answer):
    look = answer.look
    first, last = look.readings[0], look.readings[2]
    counts = [look.older[kind].moved(first, 128) for kind in ('tree', 'hierarchical', 'non-tree')]
    assert list(answer.older) == [
        'stage 1',
        f'tree: {counts[0]} moved',
        f'hierarchical: {counts[1]} moved',
        f'non-tree: {counts[2]} moved',
        f'stage 3: {last.moved(first, 128)} moved',
    ]
    readings = (first, look.older['tree'], last)
    for reading, shown in zip(readings, [list(answer.older.values())[i] for i in (0, 1, 4)]):
        expected = pose_picture(
            look.stages.crop, reading.keypoints, reading.scores, look.stages.joints
        )
        np.testing.assert_array_equal(shown, expected)


def test_the_last_stage_moves_the_right_foot_of_the_drawn_figure(answer):
    """Stage 1 believes that both feet are the left one; the last stage does not."""
    ankles = [reading.keypoints[[0, 5], 0] for reading in answer.look.readings]
    assert abs(np.diff(ankles[0])[0]) < 4 < 20 < np.diff(ankles[2])[0]


def test_pictures_of_a_stage_are_of_its_own_maps(answer):
    look = answer.look
    beliefs, pose = stage_pictures(look, 2, 'all joints')
    np.testing.assert_array_equal(beliefs, belief_picture(look.stages.crop, look.stages.beliefs[1]))
    assert pose.shape == (SIDE, SIDE, 3)
    one, same_pose = stage_pictures(look, 2, 'left ankle')
    maps = look.stages.beliefs[1]
    np.testing.assert_array_equal(one, belief_picture(look.stages.crop, maps, 5))
    np.testing.assert_array_equal(same_pose, pose)
    last = stage_pictures(look, 9, 'all joints')[0]
    np.testing.assert_array_equal(last, belief_picture(look.stages.crop, look.stages.beliefs[2]))
    assert stage_pictures(None, 1, 'all joints') == (None, None)


def test_who_is_shown_is_said(picture):
    nobody = Picture(picture.path, picture.image, picture.boxes[:0])
    whole = answer_of(nobody, 'whole image', 'cpm_slim_3s')
    assert 'Nobody found in waving.png. Shown is the whole image as one person' in whole.note
    own = answer_of(picture, '40,20,212,250', 'cpm_slim_3s')
    assert 'Shown is the box 40,20,212,250, with' in own.note


def test_what_is_wrong_is_said_and_nothing_else_is_there(picture):
    wrong = answer_of(picture, '5', 'cpm_slim_3s')
    assert 'class="note error" role="alert"' in wrong.note and 'no person' in wrong.note
    assert (wrong.look, wrong.people, wrong.older, wrong.rows, wrong.json) == (
        None,
        None,
        {},
        [],
        '',
    )
