"""The center map of the authors' crop, its fourth channel."""

import cv2
import numpy as np
import pytest
from cpm_testing.crops import noise, sample, spot

from cpm_plugin.mmpose import (
    GetPersonCenterScale,
    PersonCrop,
)

from mmpose.datasets.transforms import (
    RandomBBoxTransform,
    RandomFlip,
)


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


@pytest.mark.parametrize('sigma', [0.0, -21.0])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(ValueError, match=f'center_map_sigma={sigma} must be positive'):
        PersonCrop(input_size=(96, 96), center_map_sigma=sigma)


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
