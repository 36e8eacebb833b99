"""Annotated people who are found: overlaps, the matching, PCK, and both annotation formats."""

import json

import numpy as np
import pytest
from cpm_testing.data import write_lsp

from cpm_plugin.apps.people_found import (
    SHARED,
    Picture,
    count_people,
    match,
    overlap,
    read_coco,
    read_lspet,
)  # fmt: skip
from cpm_plugin.core.maps.joint_sets import COCO, LSP
from cpm_plugin.core.maps.joints import JointSet
from cpm_plugin.core.prediction import Poses

# Shoulders, elbows, wrists, hips, knees, ankles, in pairs of left and right; 20 x 100 pixels.
BODY = np.array(
    [
        [20, 0], [0, 0], [20, 20], [0, 20], [20, 40], [0, 40],
        [20, 50], [0, 50], [20, 75], [0, 75], [20, 100], [0, 100],
    ],
    dtype=float,
)  # fmt: skip
ALL = np.ones(12, bool)


def moved(right):
    return BODY + np.array([right, 0])


def picture(*people, path='a.png', labeled=None):
    labels = np.tile(ALL, (len(people), 1)) if labeled is None else labeled
    return Picture(path, np.array(people), labels)


def test_the_shared_joints_are_those_from_shoulder_to_ankle():
    assert SHARED.names == COCO.names[5:] and set(SHARED.names) < set(LSP.names)


def test_overlap_is_intersection_over_union():
    box = np.array([0, 0, 4, 4])
    assert overlap(box, box) == 1 and overlap(box, box + 4) == 0 and overlap(box, box + 9) == 0
    assert overlap(box, np.array([0, 0, 4, 2])) == 0.5
    assert overlap(np.zeros(4), np.zeros(4)) == 0


def test_half_an_overlap_is_needed():
    """Boxes are 40 x 120. Moved by d along x, they share 40 - d of 40 + d: half at 13.3."""
    near, far = moved(13), moved(14)
    assert match(near[None], ALL[None], picture(BODY)).tolist() == [0]
    assert match(far[None], ALL[None], picture(BODY)).tolist() == [-1]


def test_the_best_pose_is_the_persons_and_of_one_person_only():
    poses = np.stack([moved(6), moved(1), moved(300)])
    seen = np.ones((3, 12), bool)
    two = picture(BODY, moved(2))
    # pose 1 is 1 from both; the first person takes it, and the second one the other
    assert match(poses, seen, two).tolist() == [1, 0]
    assert match(poses[1:], seen[1:], two).tolist() == [0, -1]
    assert match(poses[:0], seen[:0], two).tolist() == [-1, -1]


def test_joints_that_are_not_seen_or_labeled_are_not_in_the_box():
    pose, few = BODY.copy(), ALL.copy()
    pose[10:], few[10:] = 999, False  # no ankles
    labels = few[None]
    assert match(pose[None], few[None], picture(pose, labeled=labels)).tolist() == [0]
    assert match(pose[None], ALL[None], picture(pose, labeled=labels)).tolist() == [-1]
    two = np.zeros(12, bool)
    two[[0, 11]] = True
    assert match(BODY[None], two[None], picture(BODY)).tolist() == [-1]  # too few


def write_image(path):
    cv2 = pytest.importorskip('cv2')
    assert cv2.imwrite(str(path), np.zeros((50, 60, 3), np.uint8))
    return path


def test_people_and_joints_are_counted(tmp_path):
    """Of 3 people, one is found whole, one with 3 of 12 joints wrong or missing, one not."""
    path = write_image(tmp_path / 'a.png')
    people = [BODY, moved(200), moved(400)]
    shown = np.stack([people[0], people[1], moved(900)])
    shown[1, 4] -= [0, 30]  # the torso is 54 pixels, a fifth of it 11
    shown[1, 5] += [10, 0]
    scores = np.ones((3, 12))
    scores[1, [10, 11]] = 0
    shown[1, [10, 11]] = 0

    def find(image):
        assert image.shape == (50, 60, 3)
        joints = JointSet(tuple(name for name in LSP.names if name in SHARED.names))
        order = [SHARED.index(name) for name in joints.names]
        return Poses(shown[:, order], scores[:, order], np.zeros((3, 4)), joints, image)

    count = count_people(find, [picture(*people, path=path)])
    assert (count.people, count.found, count.poses) == (3, 2, 3)
    assert count.pck_found == pytest.approx(100 * 21 / 24)
    assert count.pck_all == pytest.approx(100 * 21 / 36)
    assert 0 <= count.seconds < 1
    with pytest.raises(ValueError, match='no annotated people'):
        count_people(find, [])


def test_nobody_found_has_no_pck(tmp_path):
    path = write_image(tmp_path / 'a.png')

    def find(image):
        none = np.zeros((0, 12))
        return Poses(np.zeros((0, 12, 2)), none, np.zeros((0, 4)), SHARED, image)

    count = count_people(find, [picture(BODY, path=path)])
    assert count.found == 0 and np.isnan(count.pck_found) and count.pck_all == 0


def coco_person(points, image, **more):
    keypoints = np.zeros((17, 3))
    keypoints[5:, :2], keypoints[5:, 2] = points, 2
    low, high = points.min(axis=0), points.max(axis=0)
    box = [*low, *(high - low)]
    return dict(image_id=image, keypoints=keypoints.ravel().tolist(), bbox=box, **more)


def test_people_of_coco_are_large_enough_no_crowd_and_labeled(tmp_path):
    hidden = coco_person(BODY, 1)
    hidden['keypoints'] = [0] * 45 + [3, 4, 2, 5, 6, 2]  # two joints
    content = dict(
        images=[dict(id=n, file_name=f'{n}.png') for n in (1, 2, 3)],
        annotations=[
            coco_person(BODY + 5, 2),
            coco_person(BODY, 1),
            coco_person(BODY * 0.9, 1),  # of 90 pixels
            coco_person(BODY, 1, iscrowd=1),
            hidden,
        ],
    )
    file = tmp_path / 'people.json'
    file.write_text(json.dumps(content))
    found = read_coco(file, tmp_path, 95)
    assert [one.path for one in found] == [tmp_path / '1.png', tmp_path / '2.png']
    assert [one.keypoints.tolist() for one in found] == [[BODY.tolist()], [(BODY + 5).tolist()]]
    assert found[0].labeled.all()
    for broken in ('', '[]', '{}', '{"annotations": [{}], "images": []}'):
        file.write_text(broken)
        with pytest.raises(ValueError, match='no people in the format of COCO'):
            read_coco(file, tmp_path, 95)


def test_people_of_lspet_are_those_of_the_numbers_asked_for(tmp_path):
    points = np.zeros((4, 14, 2))
    points[:] = np.arange(14)[:, None] * 8  # a side of 104
    points[2] /= 2
    labeled = np.ones((4, 14))
    labeled[3, 2:] = 0
    labeled[1, LSP.names.index('left_knee')] = 0
    write_lsp(tmp_path, points, labeled)
    found = read_lspet(tmp_path, 2, 9, 96)  # the third is small, the fourth has two joints
    assert [one.path.name for one in found] == ['im00002.jpg']
    knee = SHARED.names.index('left_knee')
    assert found[0].labeled.sum() == 11 and not found[0].labeled[0, knee]
    assert found[0].keypoints[0, 0].tolist() == [8 * LSP.names.index('left_shoulder')] * 2
