"""The authors' crop: positions, border, interpolation, several scales.

Positions are compared with numbers worked out by hand and with ``authors_crop``, their
C++ transcribed; images are lit at single points.
"""

import cv2
import numpy as np
import pytest
from cpm_testing.crops import noise, sample, spot

from cpm_plugin.mmpose import (
    GetImageCenterScale,
    GetPersonCenterScale,
    PersonCrop,
    RandomScaleRotate,
)

from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    PackPoseInputs,
    RandomFlip,
    TopdownAffine,
)
from mmpose.registry import TRANSFORMS

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


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(input_size=368), r'input_size 368 must be \(width, height\)'),
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


@pytest.mark.parametrize(
    'box', [[np.nan, 0, 50, 50], [0, 0, np.inf, 50], [5, 5, 5, 50], [9, 5, 5, 50]], ids=str
)
def test_boxes_that_no_one_is_in_are_named(box):
    """They gave keypoints that are NaN, or an OverflowError of OpenCV's."""
    sample = dict(img=np.zeros((60, 60, 3), np.uint8), bbox=np.array([box], np.float32), img_id=3)
    sample = GetBBoxCenterScale()(sample)
    with pytest.raises(ValueError, match=r'image 3: a crop around .* must be finite and have an'):
        PersonCrop(input_size=(32, 32))(sample)
