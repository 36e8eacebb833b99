"""Windows over an image, the box of joints, and the search with a known believer."""

from types import SimpleNamespace

import numpy as np

from cpm_plugin.apps.person_search import box_around, find_person, windows


def test_windows_cover_the_image_evenly():
    found = windows(200, 100)
    assert found[0].tolist() == [0, -50, 200, 150]  # all of it, in the middle
    side = found[:, 2] - found[:, 0]
    assert np.allclose(side, found[:, 3] - found[:, 1])
    half = found[np.isclose(side, 100)]  # 0.5: as high as the image
    assert half[:, 0].tolist() == [0, 50, 100] and (half[:, 1] == 0).all()
    least = found[np.isclose(side, 70)]  # 0.35: steps of at most half
    assert sorted(set(least[:, 1].tolist())) == [0, 30]
    xs = sorted(set(least[:, 0].tolist()))
    assert xs[0] == 0 and xs[-1] == 130 and np.diff(xs).max() <= 35


def test_the_box_around_leaves_out_what_is_not_believed():
    keypoints = np.array([[10, 20], [30, 60], [20, 40], [500, 500]], float)
    scores = np.array([0.8, 0.9, 0.7, 0.1])
    # 20 x 40, and a tenth of 40 on every side
    assert box_around(keypoints, scores).tolist() == [6, 16, 34, 64]


def test_joints_that_nobody_believes_in_still_have_a_box():
    keypoints = np.array([[10, 20], [30, 60]], float)
    for scores in ([-0.01, -0.01], [np.nan, np.nan], [0.0, 0.0]):
        assert box_around(keypoints, np.array(scores)).tolist() == [6, 16, 34, 64]


def test_the_person_is_where_belief_is_largest():
    person = np.array([130.0, 20, 180, 80])

    def predict(boxes):
        """Joints at the person's corners; believed by how well a box fits."""
        corners = np.array([[130, 20], [180, 20], [130, 80], [180, 80]], float)
        fits = [overlap(box, person) / max(area(box), area(person)) for box in boxes.astype(float)]
        return SimpleNamespace(
            keypoints=np.repeat(corners[None], len(boxes), axis=0),
            scores=np.repeat(np.array(fits)[:, None], 4, axis=1),
        )

    # its corners and a margin of 6, whichever window it was seen in
    assert find_person(predict, 200, 100).tolist() == [124, 14, 186, 86]
    looked_at = []

    def recorded(boxes):
        looked_at.append(boxes)
        return predict(boxes)

    find_person(recorded, 200, 100, looks=1)
    assert [len(boxes) for boxes in looked_at] == [len(windows(200, 100)), 1]
    assert looked_at[1].tolist() == [[124, 14, 186, 86]]


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return np.prod(sides.clip(0))
