"""Several generated figures in an image: each annotation is that of a figure that is there."""

import numpy as np
import pytest

from cpm_plugin.apps import figure_crowds
from cpm_plugin.apps.figure_crowds import LEAST_INSIDE, MAX_PEOPLE, draw_people
from cpm_plugin.core.maps.joint_sets import LSP

KINDS = {
    'upper_arm': (12, 36), 'forearm': (12, 36), 'thigh': (12, 36), 'shin': (12, 36),
    'head': (24, 24), 'trunk': (30, 30),
}  # fmt: skip


def points_of(annotation):
    return np.reshape(annotation['keypoints'], (14, 3))


def test_as_many_people_as_wanted_and_each_number_of_them():
    assert {len(draw_people((0, n), 48, (2, 2))[1]) for n in range(4)} == {2}
    assert {len(draw_people((0, n), 48, (1, 3))[1]) for n in range(20)} == {1, 2, 3}
    assert len(draw_people((0,), 48, (MAX_PEOPLE, MAX_PEOPLE))[1]) == MAX_PEOPLE


@pytest.mark.parametrize('people', [(0, 1), (2, 1), (1, MAX_PEOPLE + 1), (-1, -1)])
def test_other_numbers_of_people_are_refused(people):
    with pytest.raises(ValueError, match=f'must be from 1 to {MAX_PEOPLE}'):
        draw_people((0,), 48, people)


def test_equal_seeds_draw_equal_images():
    one, again, other = (draw_people((1, n), 48, (1, 3)) for n in (2, 2, 3))
    assert one[0].dtype == np.uint8 and one[0].shape == (48, 48, 3)
    assert (one[0] == again[0]).all() and one[1] == again[1]
    assert (one[0] != other[0]).any()


def test_seen_joints_lie_on_the_figure_of_their_annotation_alone(monkeypatch):
    """Each figure is painted in one flat color; only hidden joints have another at their pixel."""
    seen = hidden = 0
    for seed in range(12):
        colors = []

        def flat(rng, colors=colors):
            colors.append(np.array([255.0, 40 * len(colors), 0], np.float32))
            return {
                kind: np.dstack([np.full((*size, 3), colors[-1]), np.ones(size)]).astype(np.float32)
                for kind, size in KINDS.items()
            }

        monkeypatch.setattr(figure_crowds, 'wardrobe', flat)
        image, annotations = draw_people((2, seed), 160, (4, 6))
        assert len(colors) == len(annotations) >= 4
        for color, annotation in zip(colors, annotations):
            for x, y, v in points_of(annotation):
                column, row = round(x), round(y)
                on_it = (abs(image[row, column] - color) <= 1).all()
                if v == 2 and not on_it:  # at an edge, whose pixels are blended
                    around = image[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                    assert (abs(around - color) <= 1).all(axis=2).any()
                seen += v == 2 and on_it
                if v == 1 and not on_it:
                    hidden += 1
    assert seen > 500 and hidden > 20


def test_boxes_hold_the_labeled_joints_and_lie_in_the_image():
    cut = 0
    for seed in range(20):
        for annotation in draw_people((3, seed), 96, (1, 4))[1]:
            x, y, w, h = annotation['bbox']
            points = points_of(annotation)
            labeled = points[:, 2] > 0
            assert annotation['num_keypoints'] == labeled.sum() >= LEAST_INSIDE
            assert (points[~labeled] == 0).all()
            assert (points[labeled, :2] >= (x, y)).all()
            assert (points[labeled, :2] <= (x + w + 1e-9, y + h + 1e-9)).all()
            assert x >= 0 and y >= 0 and x + w <= 95 + 1e-9 and y + h <= 95 + 1e-9
            assert annotation['area'] == pytest.approx(w * h, abs=0.01)
            cut += not labeled.all()
    assert cut >= 3  # some are cut by the border


def test_people_are_of_different_sizes_and_overlap_a_little_at_most():
    lengths = []
    for seed in range(10):
        boxes = np.array([a['bbox'] for a in draw_people((4, seed), 128, (3, 3))[1]])
        lengths += boxes[:, 2:].max(axis=1).tolist()
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        for i, j in ((0, 1), (0, 2), (1, 2)):
            common = (np.minimum(high[i], high[j]) - np.maximum(low[i], low[j])).clip(0).prod()
            smaller = min(boxes[i, 2:].prod(), boxes[j, 2:].prod())
            # cut boxes may overlap by more than whole ones
            assert common / smaller < 2 * figure_crowds.OVERLAP
    assert max(lengths) > 2 * min(lengths)


def test_figures_face_us_all():
    for annotation in draw_people((5,), 128, (4, 4))[1]:
        points = points_of(annotation)
        if (points[:, 2] > 0).all():
            joints = dict(zip(LSP.names, points[:, :2]))
            up = joints['neck'] - (joints['left_hip'] + joints['right_hip']) / 2
            assert (joints['right_shoulder'] - joints['left_shoulder']) @ (up[1], -up[0]) > 0
