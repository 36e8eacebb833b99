"""Generated figures: what an image and its annotation have to do with each other."""

import numpy as np
import pytest

from cpm_plugin.apps.figures import BENDS, PADDING, Scene, bar, draw, limbs
from cpm_plugin.core.maps.joint_sets import LSP


def test_figures_face_us_and_are_turned_every_way():
    """With the head up, the figure's right is on the image's left."""
    ups = []
    for seed in range(9):
        _, annotation = draw((0, seed), 64)
        joints = dict(zip(LSP.names, np.reshape(annotation['keypoints'], (14, 3))[:, :2]))
        up = joints['neck'] - (joints['left_hip'] + joints['right_hip']) / 2
        across = joints['right_shoulder'] - joints['left_shoulder']
        assert across @ (up[1], -up[0]) > 0
        ups.append(up / np.linalg.norm(up))
    assert np.linalg.norm(np.mean(ups, axis=0)) < 0.8  # 1 if all were upright


def test_equal_seeds_draw_equal_images():
    (image, annotation), (again, same), (other, _) = (draw((1, n), 48) for n in (2, 2, 3))
    assert image.shape == (48, 48, 3) and image.dtype == np.uint8
    assert (image == again).all() and annotation == same
    assert (image != other).any()


def test_box_holds_the_joints_and_its_crop_lies_in_the_image():
    for seed in range(9):
        _, annotation = draw((0, seed), 64)
        x, y, w, h = annotation['bbox']
        points = np.reshape(annotation['keypoints'], (14, 3))[:, :2]
        assert (points > (x, y)).all() and (points < (x + w, y + h)).all()
        middle, half = np.array([x + w / 2, y + h / 2]), PADDING * max(w, h) / 2
        assert (middle - half > -0.51).all() and (middle + half < 63.51).all()


def test_a_bar_goes_from_joint_to_joint_and_a_bit_further():
    corners = bar(np.array([10.0, 5.0]), np.array([20.0, 5.0]), width=4, extend=1)
    assert corners.tolist() == [[9, 3], [21, 3], [21, 7], [9, 7]]


def test_limbs_are_chains_from_the_body():
    assert limbs('left', 'arm') == [
        ('upper_arm', 'left_shoulder', 'left_elbow'), ('forearm', 'left_elbow', 'left_wrist'),
    ]  # fmt: skip
    assert {limb for chain in ('arm', 'leg') for limb, _, _ in limbs('right', chain)} == {*BENDS}


@pytest.mark.parametrize(('left', 'seen'), [(4, 40), (12, 32), (30, 0)])
def test_what_is_pasted_is_on_top_as_far_as_it_is_in_the_image(left, seen):
    scene = Scene(np.random.default_rng(0), 16)
    white = np.concatenate([np.full((9, 5, 3), 255.0), np.ones((9, 5, 1))], axis=2)
    corners = np.array([[0, 0], [4, 0], [4, 8], [0, 8]], float) + np.array([left, 4])
    number = scene.paste(white.astype(np.float32), corners)
    assert number == 1 and (scene.top == 1).sum() == (scene.image == 255).all(axis=2).sum()
    assert (scene.top == 1).sum() == pytest.approx(seen, abs=5)
