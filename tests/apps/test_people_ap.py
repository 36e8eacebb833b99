"""AP over the shared joints, of poses that are known."""

import json

import numpy as np
import pytest
from cpm_testing.data import coco_content, write_coco

from cpm_plugin.apps.people_ap import average_precision
from cpm_plugin.core.maps.joint_sets import COCO
from cpm_plugin.core.prediction import Poses


@pytest.fixture
def root(tmp_path):
    """Two images with two people each; the last person has joints of the face alone."""
    people = []
    for number in range(4):
        joints = np.random.default_rng(number).uniform(10, 90, (17, 3))
        joints[:, 2] = 2
        if number == 3:
            joints[5:] = 0
        people.append(
            dict(id=number + 1, image_id=1 + number // 2, category_id=1, iscrowd=0,
                 num_keypoints=17, area=4000.0, bbox=[10, 10, 80, 80], segmentation=[],
                 keypoints=joints.ravel().tolist())
        )  # fmt: skip
    return write_coco(tmp_path, coco_content(people, 2, (100, 100)))


def finder(root, choose, shift=0.0):
    """A way to find people that returns those annotated people of each image in turn."""
    people = json.loads((root / 'people.json').read_text())['annotations']
    images = iter([people[:2], people[2:]])

    def find(image):
        chosen = [np.reshape(one['keypoints'], (17, 3)) for one in choose(next(images))]
        points = np.array(chosen).reshape(-1, 17, 3)[..., :2] + shift
        return Poses(
            points, np.full(points.shape[:2], 0.5), np.zeros((len(points), 4)), COCO, image
        )

    return find


def ap(root, *arguments):
    return average_precision(finder(root, *arguments), root / 'people.json', root)


def test_perfect_poses_have_100_and_none_have_0(root):
    assert ap(root, lambda people: people[:2]) == pytest.approx(100)
    assert ap(root, lambda people: []) == 0


def test_the_person_with_a_face_alone_is_ignored(root):
    assert ap(root, lambda people: [p for p in people if p['id'] != 4]) == pytest.approx(100)


def test_a_person_who_is_not_found_counts(root):
    """Two of three: of COCO's 101 places of recall, those up to 2/3 have precision 1."""
    found = ap(root, lambda people: people[:1])
    assert found == pytest.approx(100 * 67 / 101, abs=1e-3)


def test_far_poses_are_wrong(root):
    assert ap(root, lambda people: people[:1], 200.0) == 0


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'none\.json: no people in the format of COCO'):
        average_precision(None, tmp_path / 'none.json', tmp_path)


def test_nobody_with_a_shared_joint_is_refused(root):
    content = json.loads((root / 'people.json').read_text())
    content['annotations'] = content['annotations'][3:]  # a face
    (root / 'people.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='nobody has a joint from shoulder to ankle'):
        average_precision(None, root / 'people.json', root)
