"""The authors' crop: side, augmentation, border, center map, several scales.

Positions are compared with numbers worked out by hand and with ``authors_crop``, their
C++ transcribed; images are lit at single points.
"""

import json

import cv2
import numpy as np
import pytest

from cpm_plugin.mmpose import (
    GetImageCenterScale,
    GetPersonCenterScale,
    PersonCrop,
    RandomScaleRotate,
)

from mmpose.datasets.transforms import (
    PackPoseInputs,
    RandomBBoxTransform,
    RandomFlip,
    TopdownAffine,
)
from mmpose.registry import DATASETS, TRANSFORMS

SIDE = 368 * 35 / 41  # 314.146..., pixels of the image for a person of scale 1


def sample(center=(150.0, 110.0), side=SIDE, size=(300, 220), **more):
    """A black image of ``size`` (width, height) and a square crop."""
    width, height = size
    return dict(
        img=np.zeros((height, width, 3), np.uint8),
        img_shape=(height, width),
        bbox_center=np.array([center], np.float32),
        bbox_scale=np.array([[side, side]], np.float32),
        **more,
    )


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


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


# -- the authors' augmentation, transcribed


def authors_crop(points, objpos, scale_self, multiplier, degree, size):
    """augmentation_scale, _rotate and _croppad of data_transformer.cpp, for positions.

    (n, 2) points of an image of size (width, height) -> points of the 368 x 368 crop.
    """
    scale = 41 / 35 / scale_self * multiplier
    points, objpos = points * scale, np.array(objpos) * scale
    columns, rows = round(size[0] * scale), round(size[1] * scale)
    center = np.array([columns / 2, rows / 2])
    matrix = cv2.getRotationMatrix2D(center.tolist(), degree, 1.0)
    corners = cv2.boxPoints((center.tolist(), (columns, rows), degree))
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    matrix[:, 2] += (high - low + 1) / 2 - center
    points, objpos = points @ matrix[:, :2].T + matrix[:, 2], matrix[:, :2] @ objpos + matrix[:, 2]
    return points + 368 // 2 - np.rint(objpos)  # Point2i rounds


@pytest.mark.parametrize('degree', [-40.0, 0.0, 17.0])
@pytest.mark.parametrize('multiplier', [0.7, 1.3])
def test_key_points_are_where_the_authors_have_them(degree, multiplier):
    """But for their rounding of the crop's place to whole pixels, the same for all joints."""
    points = np.random.default_rng(1).uniform((0, 0), (300, 220), (14, 2))
    objpos, scale_self = (141.3, 97.8), 0.8
    expected = authors_crop(points, objpos, scale_self, multiplier, degree, (300, 220))
    results = sample(objpos, 200 * scale_self, keypoints=points[None].astype(np.float32))
    results = GetPersonCenterScale()(results)
    results['bbox_scale'] = results['bbox_scale'] / np.float32(multiplier)
    results['bbox_rotation'] = np.array([degree])
    found = PersonCrop(input_size=(368, 368))(results)['transformed_keypoints'][0]
    offset = found - expected
    assert np.abs(offset).max() < 0.51
    np.testing.assert_allclose(offset, np.broadcast_to(offset[:1], offset.shape), atol=0.01)


# -- PersonCrop: the image


def test_outside_of_the_image_is_the_border_and_the_center_is_half_of_the_size():
    """At one pixel to a pixel the crop is the image moved by whole pixels."""
    image = noise((30, 20))
    for border, arguments in ((128, {}), (7, dict(border=7))):
        results = sample((10.0, 6.0), 64.0)
        results['img'] = image
        results = PersonCrop(input_size=(64, 64), **arguments)(results)
        expected = np.full((64, 64, 3), border, np.uint8)
        expected[26:46, 22:52] = image  # image pixel (10, 6) is at (32, 32)
        np.testing.assert_array_equal(results['img'], expected)
        assert results['img'].dtype == np.uint8


@pytest.mark.parametrize(
    ('interpolation', 'expected'),
    [('linear', [100, 150, 200]), ('cubic', [91, 150, 209])],
)
def test_interpolation_half_way_between_pixels(interpolation, expected):
    """Cubic at a half: -0.09375, 0.59375, 0.59375, -0.09375 of the pixels around."""
    image = np.full((16, 16, 3), 100, np.uint8)
    image[:, 8:] = 200
    results = sample((7.5, 8.0), 16.0, (16, 16))  # the crop's pixel 8 is between 7 and 8
    results['img'] = image
    crop = PersonCrop(input_size=(16, 16), interpolation=interpolation)(results)['img']
    assert crop[8, 7:10, 0].tolist() == expected


def test_default_interpolation_is_the_authors():
    plain, cubic = (
        PersonCrop(input_size=(48, 48), **arguments)(
            {**sample(side=100.0), 'img': noise((300, 220))}
        )
        for arguments in ({}, dict(interpolation='cubic'))
    )
    np.testing.assert_array_equal(plain['img'], cubic['img'])


@pytest.mark.parametrize('size', [(64, 64), (48, 64)], ids=str)
def test_black_border_and_linear_is_stocks_crop(size):
    """The keys that later steps read, too, and the sides in the proportion of the input."""
    results = []
    for crop in (
        PersonCrop(input_size=size, border=0, interpolation='linear'),
        TopdownAffine(input_size=size),
    ):
        info = sample((40.0, 190.0), 130.0, keypoints=np.array([[[3.0, 5.0], [70.0, 60.0]]]))
        info.update(img=noise((300, 220)), bbox_rotation=np.array([25.0]))
        results.append(crop(info))
    ours, stock = results
    assert set(ours) == set(stock)
    assert ours['input_size'] == stock['input_size'] == size
    for key in ('img', 'bbox_scale', 'transformed_keypoints', 'input_center', 'input_scale'):
        np.testing.assert_array_equal(ours[key], stock[key], err_msg=key)
    assert ours['keypoints'].tolist() == [[[3, 5], [70, 60]]]  # those of the image, kept


@pytest.mark.parametrize(('side', 'same'), [(191.0, True), (193.0, False)])
def test_pixels_are_averaged_from_two_times_smaller_on(side, same):
    linear, area = (
        PersonCrop(input_size=(96, 96), interpolation=kind)(
            {**sample(side=side), 'img': noise((300, 220))}
        )['img']
        for kind in ('linear', 'area')
    )
    assert np.array_equal(linear, area) is same


def test_fine_stripes_become_gray_when_averaged_and_something_else_when_not():
    """Stripes of 2 pixels, 4 times smaller: the mean of black and white everywhere."""
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    crops = {
        kind: PersonCrop(input_size=(50, 50), interpolation=kind)(
            {**sample((200.0, 200.0), 200.0), 'img': stripes.copy()}
        )['img']
        for kind in ('linear', 'area')
    }
    assert set(np.unique(crops['area'])) <= {127, 128}
    assert np.abs(crops['linear'].astype(int) - 127).max() > 100


@pytest.mark.parametrize('size', [(403, 401), (400, 400)], ids=str)
def test_averaging_moves_nothing(size):
    """On a slope averages are what is in the middle; also where the factor does not divide."""
    width, height = size
    slope = np.add.outer(0.3 * np.arange(height), 0.25 * np.arange(width))
    image = np.repeat(slope.round().astype(np.uint8)[:, :, None], 3, axis=2)
    linear, area = (
        PersonCrop(input_size=(40, 50), border=0, interpolation=kind)(
            {
                **sample((190.0, 210.0), 140.0),
                'img': image.copy(),
                'bbox_rotation': np.array([25.0]),
            }
        )['img'].astype(int)
        for kind in ('linear', 'area')
    )
    assert linear.min() > 0
    np.testing.assert_allclose(area, linear, atol=1)
    assert abs((area - linear).mean()) < 0.1


def test_averaged_are_all_scales_that_need_it_and_a_center_map_changes_nothing():
    """Of a person of 300 pixels in crops of 96: averaged at scale 1, not at 2."""

    def crop(**arguments):
        person = {**sample(side=300.0), 'img': noise((300, 220))}
        return PersonCrop(input_size=(96, 96), interpolation='area', **arguments)(person)['img']

    linear = PersonCrop(input_size=(96, 96), interpolation='linear', scales=(1.0, 2.0))(
        {**sample(side=300.0), 'img': noise((300, 220))}
    )['img']
    whole, half = crop(scales=(1.0, 2.0))
    np.testing.assert_array_equal(whole, crop())
    np.testing.assert_array_equal(half, linear[1])
    assert not np.array_equal(whole, linear[0])
    with_map = crop(center_map_sigma=9.0)
    np.testing.assert_array_equal(with_map[..., :3], whole)
    assert np.argmax(with_map[..., 3]) == np.argmax(
        PersonCrop(input_size=(96, 96), center_map_sigma=9.0)(sample(side=300.0))['img'][..., 3]
    )


def test_without_key_points_as_stock():
    results = PersonCrop(input_size=(64, 64))(sample())
    assert results['transformed_keypoints'].shape == ()
    assert results['keypoints_visible'].shape == (1, 1, 1)


def spot(image, threshold):
    """(x, y) of the middle of what is lit."""
    light = image.astype(float).max(axis=2).clip(min=threshold) - threshold
    assert light.any()
    rows, columns = np.indices(light.shape)
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


@pytest.mark.parametrize('flip', [0.0, 1.0], ids=['plain', 'flipped'])
@pytest.mark.parametrize('degree', [-35.0, 20.0])
def test_image_and_key_points_go_the_same_way(flip, degree):
    """A dot in the image is found where its keypoint is said to be; scaled down and up."""
    for side, joint in ((200.0, (120, 80)), (70.0, (163, 118)), (200.0, (190, 150))):
        results = sample(
            side=side,
            keypoints=np.array([[joint]], np.float32),
            keypoints_visible=np.ones((1, 1), np.float32),
            flip_indices=[0],
            bbox_rotation=np.array([degree]),
        )
        cv2.circle(results['img'], joint, 3, (255, 255, 255), -1)
        results = PersonCrop(input_size=(96, 96), border=0)(RandomFlip(prob=flip)(results))
        found = spot(results['img'], 60)
        np.testing.assert_allclose(found, results['transformed_keypoints'][0, 0], atol=0.25)


# -- the center map


def cropped(center, person=None, side=96.0, **arguments):
    results = sample(center, side)
    if person is not None:
        results['person_center'] = np.array([person], np.float32)
    crop = PersonCrop(input_size=(96, 96), center_map_sigma=21.0, **arguments)
    return crop(results)['img']


def test_center_map_is_the_fourth_channel_and_is_not_cut_off():
    image = cropped((150.0, 110.0))
    assert image.shape == (96, 96, 4) and image.dtype == np.float32
    heat = image[..., 3]
    assert heat[48, 48] == 1
    assert heat[48, 48 + 21] == heat[48 - 21, 48] == pytest.approx(np.exp(-0.5), rel=1e-6)
    assert heat[48 + 21, 48 + 21] == pytest.approx(np.exp(-1), rel=1e-6)
    assert heat[0, 0] == pytest.approx(np.exp(-2 * 48**2 / (2 * 21**2)), rel=1e-6)
    assert 0 < heat[0, 0] < 0.01


def test_image_is_the_same_with_and_without_a_center_map():
    without, with_map = (
        PersonCrop(input_size=(64, 64), center_map_sigma=sigma)(
            {**sample(side=90.0), 'img': noise((300, 220))}
        )['img']
        for sigma in (None, 9.0)
    )
    assert without.dtype == np.uint8 and without.shape == (64, 64, 3)
    np.testing.assert_array_equal(with_map[..., :3], without)
    assert with_map[32, 32 + 9, 3] == pytest.approx(np.exp(-0.5), rel=1e-6)


def test_center_map_follows_the_person_when_the_crop_is_shifted():
    """The crop is 12 pixels of the image, 24 of the input, to the right of the person."""
    heat = cropped((150.0, 110.0), person=(138.0, 114.0), side=48.0)[..., 3]
    assert np.unravel_index(heat.argmax(), heat.shape) == (48 + 8, 48 - 24)
    assert heat[56, 24] == 1
    assert heat[48, 48] == pytest.approx(np.exp(-(24**2 + 8**2) / (2 * 21**2)), rel=1e-5)


def test_stocks_shift_moves_the_person_out_of_the_middle_and_the_map_with_it():
    results = sample(side=96.0)
    results.pop('bbox_scale')
    results['bbox'] = np.array([[110.0, 70.0, 190.0, 150.0]])  # around 150, 110
    cv2.circle(results['img'], (150, 110), 3, (255, 255, 255), -1)
    for step in (
        GetPersonCenterScale(),
        RandomBBoxTransform(shift_factor=0.3, shift_prob=1.0, rotate_prob=0.0, scale_prob=0.0),
        PersonCrop(input_size=(96, 96), border=0, center_map_sigma=5.0),
    ):
        results = step(results)
    image, heat = results['img'][..., :3], results['img'][..., 3:]
    np.testing.assert_allclose(spot(heat, 0.01), spot(image, 60), atol=0.2)
    assert np.abs(spot(heat, 0.01) - 48).max() > 3
    assert abs(heat.max() - 1) < 0.03


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(input_size=368), 'input_size 368: expected'),
        (dict(input_size=(96, 96), scales=0.7), 'scales 0.7 must be positive numbers'),
        (dict(input_size=(96, 96), scales=[]), 'scales .* must be positive numbers'),
        (
            dict(input_size=(96, 96), interpolation='lanczos'),
            "'lanczos' must be one of linear, cubic",
        ),
    ],
)
def test_arguments_of_another_kind_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PersonCrop(**arguments)


@pytest.mark.parametrize('sigma', [0.0, -21.0])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(ValueError, match=f'center_map_sigma={sigma} must be positive'):
        PersonCrop(input_size=(96, 96), center_map_sigma=sigma)


def test_person_without_size_is_refused_by_name():
    results = dict(bbox=np.array([[5.0, 5.0, 5.0, 5.0]]), img_path='im7.jpg')
    with pytest.raises(ValueError, match=r'scale \[0\.0\] in im7\.jpg.*must have a size'):
        GetPersonCenterScale()(results)


def test_flipped_image_has_the_mirrored_crop_and_center_map():
    """All four channels, mirrored at pixel 48, where the crop's center is."""
    plain, flipped = sample(side=96.0), sample(side=96.0)
    for results in (plain, flipped):
        results['img'] = noise((300, 220))
        results['keypoints'] = np.array([[[140.0, 100.0], [170.0, 120.0]]], np.float32)
        results['keypoints_visible'] = np.array([[1.0, 0.0]], np.float32)
        results['flip_indices'] = [1, 0]
    plain['bbox_rotation'], flipped['bbox_rotation'] = np.array([30.0]), np.array([-30.0])
    flipped = RandomFlip(prob=1.0)(flipped)
    assert flipped['bbox_center'].tolist() == [[149, 110]]  # 299 - 150
    plain['person_center'] = np.array([[140.0, 115.0]])
    flipped['person_center'] = np.array([[299 - 140.0, 115.0]])
    crop = PersonCrop(input_size=(96, 96), center_map_sigma=21.0)
    plain, flipped = crop(plain), crop(flipped)
    heat, mirrored = plain['img'][:, 1:, 3], flipped['img'][:, 1:, 3]
    np.testing.assert_allclose(mirrored, heat[:, ::-1], atol=1e-4)
    assert abs(heat - heat[:, ::-1]).max() > 0.1
    difference = flipped['img'][:, 1:, :3] - plain['img'][:, 1:, :3][:, ::-1]
    assert abs(difference).mean() < 1  # of 255; positions are rounded to a 32nd of a pixel
    x, y = np.moveaxis(plain['transformed_keypoints'], -1, 0)
    expected = np.stack([96 - x, y], axis=-1)[:, ::-1]
    np.testing.assert_allclose(flipped['transformed_keypoints'], expected, atol=1e-3)
    assert flipped['keypoints_visible'].tolist() == [[0, 1]]


# -- several scales


@pytest.mark.parametrize('sigma', [None, 9.0])
def test_a_crop_for_every_scale_of_the_person(sigma):
    scales = (0.5, 1.0, 1.6)
    arguments = dict(input_size=(64, 48), center_map_sigma=sigma)
    keypoints = np.array([[[150.0, 90.0]]])
    results = sample(side=80.0, keypoints=keypoints)
    results['img'] = noise((300, 220))
    results = PersonCrop(**arguments, scales=scales)(results)
    # the sides of the input's proportion, then divided: a larger person is a smaller crop
    sides = np.array([80 * 64 / 48, 80.0])
    np.testing.assert_allclose(results['crop_scales'], [sides / s for s in scales], rtol=1e-6)
    assert len(results['img']) == 3
    for scale, image in zip(scales, results['img'], strict=True):
        single = sample(side=80.0 / scale, keypoints=keypoints)
        single['img'] = noise((300, 220))
        np.testing.assert_array_equal(image, PersonCrop(**arguments)(single)['img'])
    np.testing.assert_allclose(results['input_scale'], sides, rtol=1e-6)
    np.testing.assert_allclose(results['transformed_keypoints'], [[[32, 24 - 12]]], atol=1e-4)
    assert results['input_center'].tolist() == [150, 110]
    packed = PackPoseInputs(meta_keys=('crop_scales',))(results)
    assert tuple(packed['inputs'].shape) == (3, 3 if sigma is None else 4, 48, 64)
    np.testing.assert_array_equal(
        packed['data_samples'].metainfo['crop_scales'], results['crop_scales']
    )


def test_dot_moves_away_from_the_center_as_the_person_grows():
    results = sample(side=96.0)
    cv2.circle(results['img'], (150 + 16, 110 - 8), 2, (255, 255, 255), -1)
    crops = PersonCrop(input_size=(96, 96), border=0, scales=(0.7, 1.0, 1.3))(results)['img']
    for scale, crop in zip((0.7, 1.0, 1.3), crops, strict=True):
        np.testing.assert_allclose(spot(crop, 60), [48 + 16 * scale, 48 - 8 * scale], atol=0.2)


# -- errors


def test_unknown_interpolation_names_the_known_ones():
    with pytest.raises(ValueError, match="interpolation 'nearest' must be one of linear, cubic"):
        PersonCrop(input_size=(64, 64), interpolation='nearest')


@pytest.mark.parametrize('scales', [(), (1.0, 0.0), (-0.7, 1.0)], ids=str)
def test_scales_of_a_search_must_be_positive(scales):
    with pytest.raises(ValueError, match='must be positive numbers, or None for one crop') as error:
        PersonCrop(input_size=(64, 64), scales=scales)
    assert str(scales) in str(error.value)


def test_all_are_registered():
    for kind in (GetPersonCenterScale, GetImageCenterScale, RandomScaleRotate, PersonCrop):
        assert TRANSFORMS.get(kind.__name__) is kind
