"""MosaicPeople: a person in each tile, with the labels that belong there."""

import numpy as np
import pytest
from cpm_testing.data import write_lsp

from mmpose.registry import DATASETS, TRANSFORMS

COUNT = 6


@pytest.fixture
def folder(tmp_path):
    """Image n is of the gray 30 n; the box of its joints is 20 x 10 pixels, less in the last."""
    points = np.tile(np.linspace((6, 7), (22, 15), 14), (COUNT, 1, 1))
    third = np.ones((COUNT, 14))
    third[:, 3] = 0
    return write_lsp(tmp_path, points, third)


def dataset(folder, **arguments):
    step = dict(type='MosaicPeople', size=(128, 64), grid=(2, 1), **arguments)
    return DATASETS.build(dict(type='LspDataset', data_root=str(folder), pipeline=[step]))


def test_every_tile_has_its_person(folder):
    sample = dataset(folder, fixed=True)[2]
    assert sample['img'].shape == (64, 128, 3)
    assert sample['img_shape'] == sample['ori_shape'] == (64, 128)
    assert sample['keypoints'].shape == (2, 14, 2) and sample['bbox'].shape == (2, 4)
    for tile, number in enumerate((3, 4)):  # images 3 and 4 are samples 2 and 3
        x1, y1, x2, y2 = sample['bbox'][tile]
        assert 64 * tile <= x1 < x2 <= 64 * (tile + 1) and 0 <= y1 < y2 <= 64
        assert 0.6 * 64 <= max(x2 - x1, y2 - y1) <= 0.95 * 64 + 1e-3
        middle = sample['img'][int(y1 + y2) // 2, int(x1 + x2) // 2]
        np.testing.assert_allclose(middle, 30 * number, atol=2)
        # Joints lie in the box as in the picture: a margin of 0.1 on every side of 16.
        seen = sample['keypoints_visible'][tile] > 0
        np.testing.assert_array_equal(seen, np.arange(14) != 3)
        points, scale = sample['keypoints'][tile], (x2 - x1) / (16 + 2 * 1.6)
        np.testing.assert_allclose(points[0], (x1 + 1.6 * scale, y1 + 1.6 * scale), atol=1e-3)
        np.testing.assert_allclose(points[13], (x2 - 1.6 * scale, y2 - 1.6 * scale), atol=1e-3)


def test_annotations_are_those_of_the_mosaic(folder):
    people = dataset(folder, fixed=True)
    samples = [people[index] for index in range(COUNT)]
    annotations = [found for sample in samples for found in sample['raw_ann_info']]
    assert len({found['id'] for found in annotations}) == 2 * COUNT
    assert [found['id'] for sample in samples for found in sample['raw_ann_info']] == [
        number for sample in samples for number in sample['id']
    ]
    assert [found['image_id'] for found in annotations] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    sample, found = samples[5], samples[5]['raw_ann_info'][1]
    assert found['num_keypoints'] == 13 and found['iscrowd'] == 0
    points = np.reshape(found['keypoints'], (14, 3))
    np.testing.assert_allclose(points[:, :2], sample['keypoints'][1])
    assert points[:, 2].tolist() == [2, 2, 2, 0, *[2] * 10]
    x1, y1, x2, y2 = sample['bbox'][1]
    np.testing.assert_allclose(found['bbox'], [x1, y1, x2 - x1, y2 - y1], rtol=1e-5)
    assert found['area'] == pytest.approx((x2 - x1) * (y2 - y1), rel=1e-5)


def test_fixed_is_the_same_every_time_and_the_rest_is_not(folder):
    one, other = (dataset(folder, fixed=True)[1] for _ in range(2))
    np.testing.assert_array_equal(one['img'], other['img'])
    np.random.seed(0)  # noqa: NPY002
    people = dataset(folder)
    drawn = [people[1] for _ in range(8)]
    assert len({sample['bbox'].tobytes() for sample in drawn}) == 8
    np.random.seed(0)  # noqa: NPY002
    np.testing.assert_array_equal(people[1]['img'], drawn[0]['img'])


def test_joints_beyond_the_tile_are_not_labeled(folder):
    """Another tile is there: a box that does not hold all joints, as a detector's may not."""
    step = TRANSFORMS.build(dict(type='MosaicPeople', size=(64, 64), grid=(1, 1), fixed=True))
    people = dataset(folder, fixed=True)
    info = people.get_data_info(0)
    info['bbox'] = np.array([[4.0, 4.0, 10.0, 10.0]], np.float32)
    sample = step(dict(info, dataset=people, sample_idx=0))
    seen, points = sample['keypoints_visible'][0] > 0, sample['keypoints'][0]
    inside = ((points >= 0) & (points <= 63)).all(axis=1)
    inside[3] = False  # not labeled before
    assert seen.tolist() == inside.tolist() and 0 < seen.sum() < 13


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(size=(65, 64)), r'size \(65, 64\) must be a multiple of grid \(2, 2\)'),
        (dict(grid=(0, 1)), r'multiple of grid \(0, 1\)'),
        (dict(fill=(0.9, 0.5)), r'fill \(0.9, 0.5\) must be'),
        (dict(fill=(0.5, 1.5)), r'fill \(0.5, 1.5\) must be'),
    ],
)
def test_wrong_settings_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        TRANSFORMS.build({**dict(type='MosaicPeople', size=(64, 64)), **arguments})
