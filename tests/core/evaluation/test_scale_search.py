"""Beliefs of several crops on the pixels of an image: by hand, and against other code."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cpm_plugin.core.evaluation.scale_search import (
    BENCHMARK_SCALES,
    bicubic_weights,
    crop_weights,
    full_resolution_peaks,
    mean_over_scales,
    octave_scales,
    pixel_range,
)

INPUT = (368, 368)
CELLS = (46, 46)


def gaussians(joints, center, crops, size=INPUT, cells=CELLS, sigma=21.0, first_cell=3.5):
    """Beliefs (S, K, h, w): for each crop a Gaussian at every joint, given in the image."""
    x, y = (first_cell + 8 * np.arange(count) for count in cells)
    beliefs = np.empty((len(crops), len(joints), cells[1], cells[0]), dtype=np.float32)
    for scale, crop in enumerate(crops):
        for channel, joint in enumerate(joints):
            px, py = (np.asarray(joint) - center + crop / 2) * (np.array(size) / crop)
            away = (x - px) ** 2 + (y[:, None] - py) ** 2
            beliefs[scale, channel] = np.exp(-away / 2 / sigma**2)
    return torch.from_numpy(beliefs)


def square_crops(side, scales=BENCHMARK_SCALES):
    return side / np.array(scales)[:, None] * np.ones(2)


def enlarged(beliefs, size):
    """torch's cubic, whose kernel has a = -0.5 with antialias=True."""
    return F.interpolate(beliefs, size=size, mode='bicubic', antialias=True)


# -- scales


def test_octave_scales_are_those_of_the_demo():
    assert BENCHMARK_SCALES == (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    np.testing.assert_allclose(octave_scales(), [1, 1.122462, 1.259921, 1.414214], rtol=1e-6)
    # a last one that is just reached belongs to it; one that is not does not
    np.testing.assert_allclose(octave_scales(0.3, 0.6, 3), [1, 2 ** (1 / 3), 2 ** (2 / 3), 2])
    assert len(octave_scales(0.5, 0.5 * 2 ** (2 / 3), 3)) == 3  # logarithm 1.9999999999999996 / 3
    assert octave_scales(1.0, 1.99, 1) == (1,)
    assert octave_scales(1.0, 1.0) == (1,)


@pytest.mark.parametrize('arguments', [(0, 1.2, 6), (1.2, 0.8, 6), (0.8, 1.2, 0)])
def test_octave_scales_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=f'start={arguments[0]}.*octave >= 1'):
        octave_scales(*arguments)


# -- weights


@pytest.mark.parametrize(
    'position, expected',
    [
        (2, [0, 0, 1, 0, 0]),
        (1.5, [-1 / 16, 9 / 16, 9 / 16, -1 / 16, 0]),
        (1.25, [-9 / 128, 111 / 128, 29 / 128, -3 / 128, 0]),
        (1.75, [-3 / 128, 29 / 128, 111 / 128, -9 / 128, 0]),
        # beyond the ends cells are mirrored: -1 is 0, -2 is 1, 5 is 4
        (-0.5, [18 / 16, -2 / 16, 0, 0, 0]),
        (0.5, [8 / 16, 9 / 16, -1 / 16, 0, 0]),
        (4.25, [0, 0, 0, -9 / 128 - 3 / 128, 111 / 128 + 29 / 128]),
    ],
)
def test_bicubic_weights_by_hand(position, expected):
    np.testing.assert_allclose(bicubic_weights([position], 5), [expected], atol=1e-12)


def test_a_line_of_one_cell_is_constant():
    np.testing.assert_allclose(bicubic_weights([-0.5, 0.0, 0.3], 1), np.ones((3, 1)))


def test_enlarging_equals_torch_in_the_interior():
    maps = torch.rand(1, 1, 9, 11, dtype=torch.float64)
    rows = bicubic_weights((np.arange(72) + 0.5) / 8 - 0.5, 9)
    columns = bicubic_weights((np.arange(88) + 0.5) / 8 - 0.5, 11)
    ours = rows @ maps[0, 0].numpy() @ columns.T
    theirs = enlarged(maps, (72, 88))[0, 0].numpy()
    # torch leaves out cells beyond the ends where MATLAB mirrors
    inner = np.s_[12:-12, 12:-12]
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-12)


def test_crop_weights_by_hand():
    # a crop of 32 image pixels on 16 input pixels: pixel p is at (p - 100) / 2 + 8
    weights = crop_weights(
        [82, 83, 91, 99, 114, 115, 116], 100.0, [32.0], input_length=16, num_cells=2
    )[0]
    # -1 and 16 are outside; -0.5 is cell -0.5, 3.5 is 0, 7.5 is 0.5, 15 is 1.4375, 15.5 is 1.5
    np.testing.assert_allclose(weights[[0, 6]], 0)
    np.testing.assert_allclose(weights[1], bicubic_weights([-0.5], 2)[0])
    np.testing.assert_allclose(weights[2], [1, 0])
    np.testing.assert_allclose(weights[3], [0.5, 0.5])
    np.testing.assert_allclose(weights[4], bicubic_weights([1.4375], 2)[0])
    np.testing.assert_allclose(weights[5], bicubic_weights([1.5], 2)[0])


def test_cells_of_another_codec_begin_elsewhere():
    arguments = dict(input_length=16, num_cells=2)
    ours = crop_weights([10.5], 8.0, [16.0], **arguments)
    stock = crop_weights([7.0], 8.0, [16.0], first_cell=0.0, **arguments)
    np.testing.assert_allclose(ours, stock)
    np.testing.assert_allclose(stock[0, 0], bicubic_weights([7 / 8], 2)[0])


@pytest.mark.parametrize(
    'center, extents, expected',
    [
        (50.0, [20.0, 10.0], range(39, 61)),  # 50 - 10.5 x 20 / 20 = 39.5, 59.5
        (3.0, [20.0], range(0, 14)),
        (97.0, [20.0], range(86, 100)),
        (-50.0, [20.0], range(0, 1)),  # out of the image, which is not looked at then
        (500.0, [20.0], range(99, 100)),
        (50.2, [0.1], range(50, 51 + 1)),
    ],
)
def test_pixels_of_the_largest_crop(center, extents, expected):
    assert pixel_range(center, extents, 20, 100).tolist() == list(expected)


# -- maps


def test_one_crop_of_input_size_equals_the_authors_steps():
    """Enlarge by 8, then put into an image of zeros: run_benchmark.m at scale 1."""
    beliefs = torch.rand(1, 2, 5, 6, dtype=torch.float64)
    inner = enlarged(beliefs, (40, 48))[0, :, 12:-12, 12:-12]
    image = torch.zeros(2, 90, 100, dtype=torch.float64)
    # center (60, 50): input pixel (24, 20) there, so the crop begins at (36, 30)
    image[:, 30 + 12 : 30 + 40 - 12, 36 + 12 : 36 + 48 - 12] = inner
    weights = [
        torch.from_numpy(
            crop_weights(
                np.arange(length), center, [8 * cells], input_length=8 * cells, num_cells=cells
            )
        )
        for length, center, cells in ((90, 50.0, 5), (100, 60.0, 6))
    ]
    ours = mean_over_scales(beliefs, *weights)
    for top, bottom, left, right in ((0, 30, 0, 100), (70, 90, 0, 100), (0, 90, 0, 36)):
        assert not ours[:, top:bottom, left:right].any()
    assert ours[:, 30:70, 36:84].all()
    box = np.s_[:, 42:58, 48:72]
    torch.testing.assert_close(ours[box], image[box], atol=1e-12, rtol=0)


def test_scales_are_averaged_and_crops_without_a_belief_count_as_nothing():
    beliefs = torch.stack([torch.full((1, 4, 4), 0.6), torch.full((1, 4, 4), 1.0)])
    rows, columns = (
        torch.from_numpy(
            crop_weights(np.arange(80), 40.0, [64.0, 32.0], input_length=32, num_cells=4)
        ).float()
        for _ in range(2)
    )
    (mean,) = mean_over_scales(beliefs, rows, columns)
    assert mean[40, 40].item() == pytest.approx(0.8)
    assert mean[10, 40].item() == pytest.approx(0.3)  # in the larger crop alone
    assert mean[40, 5].item() == 0


# -- peaks


CENTER = np.array([310.3, 240.6])


@pytest.mark.parametrize(
    'image, center, joints',
    [
        ((640, 480), CENTER, [(300, 200), (311, 299), (222, 241)]),  # inside
        ((640, 480), (40.0, 30.0), [(0, 0), (1, 3), (0, 60)]),  # a person cut off
        ((640, 480), (639.0, 450.0), [(639, 479), (637, 400), (600, 478)]),
        ((500, 1200), (250.0, 1100.5), [(250, 1100), (251, 1199), (200, 1001)]),
    ],
)
@pytest.mark.parametrize('side', [180.0, 368.0, 500.0])
def test_gaussians_are_found_at_their_very_pixels(image, center, joints, side):
    center = np.asarray(center)
    crops = square_crops(side)
    reach = side / 1.3 / 2
    joints = np.array([j for j in joints if np.all(np.abs(np.array(j) - center) < reach - 10)])
    assert len(joints)
    beliefs = gaussians(joints, center, crops)
    positions, scores = full_resolution_peaks(beliefs, center, crops, image, INPUT)
    np.testing.assert_array_equal(positions, joints)
    assert (scores > 0.98).all() and (scores <= 1.01).all()


def test_input_that_is_not_square():
    size, cells = (192, 256), (24, 32)
    center, crops = np.array([100.5, 160.25]), np.array([[150.0, 200.0], [120.0, 160.0]])
    joints = [(70, 210), (140, 100), (101, 161)]
    beliefs = gaussians(joints, center, crops, size, cells)
    positions, _ = full_resolution_peaks(beliefs, center, crops, (300, 240), size)
    np.testing.assert_array_equal(positions, joints)
    # sides that are mixed up are not found
    wrong, _ = full_resolution_peaks(beliefs, center, crops[:, ::-1], (300, 240), size)
    assert np.abs(wrong - joints).max() > 3


@pytest.mark.parametrize('mistake', ['cells', 'center', 'scales', 'mirrored'])
def test_a_mistake_moves_the_peaks(mistake):
    joints = [(300, 200), (330, 260)]
    crops = square_crops(368.0)
    given = dict(beliefs=gaussians(joints, CENTER, crops), center=CENTER, crop_scales=crops)
    given['first_cell'] = 3.5
    exact, _ = full_resolution_peaks(**given, image_size=(640, 480), input_size=INPUT)
    np.testing.assert_array_equal(exact, joints)
    given.update(
        {
            'cells': dict(first_cell=0.0),
            'center': dict(center=CENTER + 1),
            'scales': dict(crop_scales=crops * 1.2),
            'mirrored': dict(beliefs=given['beliefs'].flip(-1)),
        }[mistake]
    )
    wrong, _ = full_resolution_peaks(**given, image_size=(640, 480), input_size=INPUT)
    assert (np.abs(wrong - joints).max(axis=1) >= 1).all()


def test_one_scale_is_the_largest_pixel_of_the_enlarged_map():
    beliefs = gaussians([(40.3, 61.8), (66.2, 30.4)], np.zeros(2) + 64, square_crops(128.0, [1]),
                        (128, 128), (16, 16), sigma=7.0)  # fmt: skip
    beliefs += 0.1 * torch.rand(beliefs.shape)
    positions, scores = full_resolution_peaks(
        beliefs, (64.0, 64.0), [[128.0, 128.0]], (128, 128), (128, 128)
    )
    plain = enlarged(beliefs, (128, 128))[0]
    for map_, position, score in zip(plain, positions, scores):
        assert map_.argmax().item() == position[1] * 128 + position[0]
        assert map_.max().item() == pytest.approx(score, abs=1e-6)


def test_the_authors_steps_find_the_same_peaks():
    """imresize by 8, into the scaled image, to the size of the image, and the sum.

    With the authors' Gaussian and crops at whole pixels, as they round them.
    """
    scales, joints = (0.5, 1.0, 2.0), [(150, 110), (182, 133), (141, 135)]
    center, width, height = np.array([160.0, 120.0]), 320, 240
    crops = square_crops(184.0, scales)
    beliefs = gaussians(joints, center, crops, (184, 184), (23, 23), sigma=7.0)
    total = torch.zeros(3, height, width)
    for scale, maps in zip(scales, beliefs):
        scaled = torch.zeros(3, int(height * scale), int(width * scale))
        left, top = (center * scale - 92).astype(int)
        big = enlarged(maps[None], (184, 184))[0]
        rows = slice(max(top, 0), min(top + 184, scaled.shape[1]))
        columns = slice(max(left, 0), min(left + 184, scaled.shape[2]))
        scaled[:, rows, columns] = big[
            :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        total += enlarged(scaled[None], (height, width))[0]
    theirs = np.stack(np.divmod(total.flatten(1).argmax(1).numpy(), width)[::-1], axis=1)
    ours, scores = full_resolution_peaks(beliefs, center, crops, (width, height), (184, 184))
    # imresize aligns the corners of pixels, MMPose's crop their centers: half a pixel apart at
    # scale 0.5, a quarter at scale 2 the other way
    assert np.abs(ours - theirs).max() <= 1
    np.testing.assert_allclose(scores, total.flatten(1).max(1).values / 3, atol=0.02)


def test_a_person_out_of_reach_of_the_image_gets_its_nearest_pixel_and_no_score():
    beliefs = torch.rand(2, 3, 46, 46)
    positions, scores = full_resolution_peaks(
        beliefs, (-500.0, 20.0), square_crops(300.0, [1, 2]), (100, 80), INPUT
    )
    assert (positions[:, 0] == 0).all() and (scores == 0).all()
    assert ((positions[:, 1] >= 0) & (positions[:, 1] < 80)).all()


def test_autocast_does_not_blur_the_peak():
    joints = [(300, 200), (330, 260)]
    crops = square_crops(500.0)
    beliefs = gaussians(joints, CENTER, crops, sigma=40.0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        positions, _ = full_resolution_peaks(beliefs, CENTER, crops, (640, 480), INPUT)
    np.testing.assert_array_equal(positions, joints)


@pytest.mark.parametrize(
    'given, message',
    [
        (dict(beliefs=torch.zeros(3, 46, 46)), r'beliefs \(3, 46, 46\).*must be \(S, K, h, w\)'),
        (dict(crop_scales=[[300.0, 300.0]]), r'crop_scales \(1, 2\) must be'),
        (dict(center=[np.nan, 3.0]), r'center \[nan, 3.0\] must be finite'),
        (dict(crop_scales=[[300.0, 300.0], [0.0, 3.0]]), 'positive; look at the person'),
        (dict(image_size=(0, 50)), r'image_size \(0, 50\)'),
    ],
)
def test_unusable_arguments_are_refused(given, message):
    right = dict(
        beliefs=torch.zeros(2, 3, 46, 46),
        center=(50.0, 50.0),
        crop_scales=[[300.0, 300.0]] * 2,
        image_size=(100, 100),
        input_size=INPUT,
    )
    with pytest.raises(ValueError, match=message):
        full_resolution_peaks(**{**right, **given})
