"""Side, center and augmentation of the authors' crop, against numbers worked out by hand."""

import json

import numpy as np
import pytest
from cpm_testing.crops import SIDE, sample

from cpm_plugin.mmpose import (
    GetImageCenterScale,
    GetPersonCenterScale,
    RandomScaleRotate,
)

from mmpose.registry import DATASETS

# -- GetPersonCenterScale


@pytest.mark.parametrize('scale', [1.0, 2.5])
def test_side_of_the_crop_is_368_pixels_at_the_authors_resolution(scale):
    results = dict(
        bbox_center=np.array([[120.0, 90.0]], np.float32),
        bbox_scale=np.full((1, 2), 200 * scale, np.float32),
    )
    results = GetPersonCenterScale()(results)
    np.testing.assert_allclose(results['bbox_scale'], [[314.14634 * scale] * 2], rtol=1e-6)
    assert results['bbox_center'].tolist() == [[120, 90]]
    assert results['bbox_center'].shape == results['bbox_scale'].shape == (1, 2)


def mpii(root, pipeline, scale=1.5):
    """Stock's MpiiDataset of one person with MPII's center (101, 61), counted from 1."""
    person = dict(
        image='1.png',
        center=[101, 61],
        scale=scale,
        joints=np.full((16, 2), 50.0).tolist(),
        joints_vis=[1] * 16,
    )
    (root / 'mpii.json').write_text(json.dumps([person]))
    return DATASETS.build(
        dict(type='MpiiDataset', data_root=str(root), ann_file='mpii.json', pipeline=pipeline)
    )


def test_shift_of_mpii_dataset_is_undone(tmp_path):
    people = mpii(tmp_path, [dict(type='GetPersonCenterScale', moved_down=15.0)])
    stock = people.get_data_info(0)
    assert stock['bbox_center'].tolist() == [[100, 60 + 15 * 1.5]]
    results = people[0]
    assert results['bbox_center'].tolist() == [[100, 60]]
    np.testing.assert_allclose(results['bbox_scale'], [[1.5 * SIDE] * 2], rtol=1e-6)
    GetPersonCenterScale(moved_down=15.0)(dict(stock))
    assert stock['bbox_center'].tolist() == [[100, 82.5]]  # not changed in its place
    unmoved = mpii(tmp_path, [dict(type='GetPersonCenterScale')])[0]
    assert unmoved['bbox_center'].tolist() == [[100, 82.5]]


@pytest.mark.parametrize('box', [(10, 20, 110, 220), (-40, 70, 160, 170)], ids=['tall', 'wide'])
def test_of_a_box_alone_the_longer_side_counts_and_nothing_is_moved(box):
    results = dict(bbox=np.array([box], np.float32))
    results = GetPersonCenterScale(moved_down=15.0)(results)
    assert results['bbox_center'].tolist() == [[60, 120]]
    np.testing.assert_allclose(results['bbox_scale'], [[SIDE, SIDE]], rtol=1e-6)


def test_other_target_dist_and_box_size():
    results = GetPersonCenterScale(target_dist=0.5, box_size=100)(
        dict(bbox=np.array([[0.0, 0.0, 30.0, 60.0]]))
    )
    np.testing.assert_allclose(results['bbox_scale'], [[60, 60]], rtol=1e-6)  # 100 / 0.5 * 60 / 200


@pytest.mark.parametrize('name', ['target_dist', 'box_size'])
@pytest.mark.parametrize('value', [0, -1.5])
def test_sizes_that_are_not_positive_are_named(name, value):
    with pytest.raises(ValueError, match=f'{name}={value} must be positive'):
        GetPersonCenterScale(**{name: value})


# -- GetImageCenterScale


def test_crop_of_a_image_whose_people_are_not_known():
    """run_benchmark.m on LSP: the image is resized by 0.8 / (height / 368)."""
    annotated = dict(keypoints=np.zeros((1, 14, 2)))
    results = GetImageCenterScale()({**sample(size=(320, 240)), **annotated})
    # [320 240] / 2 in MATLAB's pixels; 368 / (0.8 / (240 / 368)) pixels of the image
    assert results['bbox_center'].tolist() == [[159, 119]]
    np.testing.assert_allclose(results['bbox_scale'], [[300, 300]], rtol=1e-6)
    results = GetImageCenterScale(target_dist=0.5)({**sample(size=(100, 240)), **annotated})
    np.testing.assert_allclose(results['bbox_scale'], [[480, 480]], rtol=1e-6)
    with pytest.raises(ValueError, match='target_dist=0 must be positive'):
        GetImageCenterScale(target_dist=0)


def test_box_counts_where_nothing_is_annotated():
    box = dict(bbox=np.array([[10.0, 20.0, 90.0, 180.0]]), img_shape=(240, 320))
    results = GetImageCenterScale()(dict(box))
    assert results['bbox_center'].tolist() == [[50, 100]]
    np.testing.assert_allclose(results['bbox_scale'], [[160 / 200 * 368 * 35 / 41] * 2], rtol=1e-6)


# -- RandomScaleRotate


def draws(count=3000, **arguments):
    """factor and degrees of many draws of a crop of 736."""
    transform = RandomScaleRotate(**arguments)
    factors, degrees = [], []
    for _ in range(count):
        results = transform(sample(side=736.0))
        assert results['bbox_scale'].shape == (1, 2) and results['bbox_rotation'].shape == (1,)
        assert results['bbox_scale'][0, 0] == results['bbox_scale'][0, 1]
        assert results['bbox_center'].tolist() == [[150, 110]]
        factors.append(736 / results['bbox_scale'][0, 0])  # of the person, so 1 / of the crop
        degrees.append(results['bbox_rotation'][0])
    return np.array(factors), np.array(degrees)


def assert_uniform(values, low, high):
    """Kolmogorov and Smirnov: right by chance once in 10,000, and no normal one of that range."""
    assert low - 1e-4 <= values.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < values.max() <= high + 1e-4
    position = np.sort((values - low) / (high - low))
    expected = (np.arange(len(values)) + 0.5) / len(values)
    assert np.abs(position - expected).max() < 2.23 / np.sqrt(len(values))


def test_augmentation_is_uniform_between_its_extremes():
    factors, degrees = draws()
    assert_uniform(factors, 0.7, 1.3)
    assert_uniform(degrees, -40, 40)
    assert abs(np.corrcoef(factors, degrees)[0, 1]) < 0.07
    with pytest.raises(AssertionError):  # what the check is for: stock's normal distribution
        assert_uniform(np.random.default_rng(0).normal(0, 13, 3000).clip(-40, 40), -40, 40)


def test_other_ranges():
    factors, degrees = draws(scale=(0.5, 0.6), rotate=5.0)
    assert_uniform(factors, 0.5, 0.6)
    assert_uniform(degrees, -5, 5)


def test_augmentation_follows_numpys_seed():
    first, second = draws(3), draws(3)
    assert not np.array_equal(first[0], second[0])
    np.random.seed(0)  # noqa: NPY002  (as before the test)
    np.testing.assert_array_equal(draws(3)[0], first[0])


def test_no_augmentation_changes_nothing():
    results = RandomScaleRotate(scale=(1.0, 1.0), rotate=0.0)(sample())
    np.testing.assert_allclose(results['bbox_scale'], [[SIDE, SIDE]], rtol=1e-6)
    assert results['bbox_rotation'].tolist() == [0]
    assert results['bbox_center'].tolist() == [[150, 110]]


@pytest.mark.parametrize('scale', [(1.3, 0.7), (0.0, 1.0), (-1.0, 1.0)], ids=str)
def test_scales_that_are_no_range_are_refused(scale):
    with pytest.raises(ValueError, match='smallest and largest, both positive') as error:
        RandomScaleRotate(scale=scale)
    assert str(scale) in str(error.value)


def test_person_without_size_is_refused_by_name():
    results = dict(bbox=np.array([[5.0, 5.0, 5.0, 5.0]]), img_path='im7.jpg')
    with pytest.raises(ValueError, match=r'scale \[0\.0\] in im7\.jpg.*must have a size'):
        GetPersonCenterScale()(results)
