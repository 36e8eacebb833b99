"""What a result says in JSON, and what it draws where."""

import dataclasses
import json

import numpy as np
import pytest

from cpm_plugin.core import JointSet
from cpm_plugin.core.prediction import Poses

pytest.importorskip('PIL')

ARM = JointSet(
    ('neck', 'left_wrist', 'right_wrist'), (('neck', 'left_wrist'), ('neck', 'right_wrist'))
)


def poses(scores=(0.9, 0.9, 0.9), count=1):
    points = np.array([[[20.0, 10.0], [30.0, 10.0], [10.0, 10.0]]])
    return Poses(
        keypoints=points.repeat(count, axis=0),
        scores=np.array([scores] * count),
        boxes=np.array([[5.0, 5, 35, 15]] * count),
        joints=ARM,
        image=np.zeros((20, 40, 3), np.uint8),
    )


def test_json_has_names_skeleton_and_people():
    content = json.loads(poses(count=2).to_json())
    assert content['joints'] == list(ARM.names)
    assert content['skeleton'] == [[0, 1], [0, 2]]
    assert len(content['people']) == 2 == len(poses(count=2))
    assert content['people'][0] == {
        'keypoints': [[20, 10], [30, 10], [10, 10]],
        'keypoint_scores': [0.9, 0.9, 0.9],
        'bbox': [5, 5, 35, 15],
    }


def test_left_is_green_right_is_orange_and_the_rest_stays():
    drawn = np.asarray(poses().draw())
    assert drawn.shape == (20, 40, 3)
    assert drawn[10, 25].tolist() == [0, 255, 0]
    assert drawn[10, 15].tolist() == [255, 128, 0]
    assert drawn[10, 20].tolist() == [51, 153, 255]
    assert not drawn[15:].any() and not drawn[:, 34:].any()


def test_doubtful_limbs_are_pale_and_below_the_threshold_nothing_is_drawn():
    drawn = np.asarray(poses(scores=(0.9, 0.3, 0.1)).draw(threshold=0.2))
    assert drawn[10, 25].tolist() == [0, 128, 0]  # half of the belief from which it is in full
    assert not drawn[10, 8:16].any()


def test_nobody():
    assert not np.asarray(poses(count=0).draw()).any()
    assert json.loads(poses(count=0).to_json())['people'] == []


def test_joints_are_drawn_from_the_threshold_on_and_inside_the_image():
    arm = poses(scores=(0.2, 0.19, 0.9))
    assert arm.drawn().tolist() == [[True, False, True]]
    arm.keypoints[0, 2] = 39.6, 10  # of 40 pixels, rounded to 40
    assert arm.drawn(0.0).tolist() == [[True, True, False]]


def test_a_box_has_the_mean_score_above_it():
    plain, boxed = (np.asarray(poses().draw(boxes=boxes)) for boxes in (False, True))
    changed = (plain != boxed).any(axis=2)
    assert changed[15, 5:36].all() and changed[7:15, 35].all()  # x from 5 to 35, y to 15
    assert not changed[16:].any()
    other = np.asarray(poses(scores=(0.9, 0.9, 0.6)).draw(boxes=True))
    assert (other != boxed)[:14, :30].any()  # 0.80, not 0.90


@pytest.mark.parametrize('width', (40, 200, 1000))
def test_the_legend_is_below_the_image_and_hides_nothing(width):
    image = np.full((200, width, 3), 255, np.uint8)
    wide = dataclasses.replace(poses(), image=image)
    plain, explained = (np.asarray(wide.draw(legend=legend)) for legend in (False, True))
    assert (explained[:200] == plain).all()
    below = explained[200:]
    for color in ((255, 128, 0), (0, 255, 0), (51, 153, 255), (90, 90, 90)):
        assert (below == color).all(axis=2).any()


@pytest.mark.parametrize('width', (90, 120))
def test_the_legend_fits_into_a_narrow_image(width):
    """Its letters are white, and none is cut off at the right; videos of an even height keep it."""
    narrow = dataclasses.replace(poses(), image=np.zeros((200, width, 3), np.uint8))
    legend = np.asarray(narrow.draw(legend=True))[200:]
    assert (legend > 200).all(axis=2).any() and not (legend[:, -2:] > 0).any()
    assert not len(legend) % 2


def test_sides_are_understood_in_other_forms_of_names():
    arm = JointSet(('neck', 'leftWrist', 'wrist_r'), (('neck', 'leftWrist'), ('neck', 'wrist_r')))
    drawn = np.asarray(dataclasses.replace(poses(), joints=arm).draw())
    assert drawn[10, 25].tolist() == [0, 255, 0] and drawn[10, 15].tolist() == [255, 128, 0]


def test_what_counts_as_drawn_can_be_seen():
    faint = poses(scores=(0.06, 0.06, 0.06))  # of a model that has just begun to learn
    assert faint.drawn(0.05).all()
    for x, y in faint.keypoints[0].astype(int):
        assert np.asarray(faint.draw(threshold=0.05))[y, x].max() >= 70


def test_a_score_stays_inside_the_image():
    low = dataclasses.replace(poses(), boxes=np.array([[5.0, 500, 35, 510]]))
    changed = (np.asarray(low.draw()) != np.asarray(low.draw(boxes=True))).any(axis=2)
    assert changed.any()
