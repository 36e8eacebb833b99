"""Crops have the pixels that OpenCV gives to the test pipelines of the configs."""

import numpy as np
import pytest

from cpm_plugin.core.prediction import person_crop
from cpm_plugin.core.prediction.crops import _averaged


@pytest.fixture(scope='module')
def photo():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (270, 190, 3), dtype=np.uint8)


BOXES = {
    'inside, enlarged': (40, 30, 90.5, 101.25),
    'beyond every side': (-60, -40, 260, 300),
    'partly outside': (-50.3, 200, 60.7, 330.2),
    'one pixel': (7, 9, 8, 10),
    'barely touched': (189.5, 269.5, 400, 400),
}


@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES)
@pytest.mark.parametrize('size', [32, 97, 256])
def test_crops_are_those_of_the_configs(photo, box, size):
    """At 32 pixels the larger boxes are averaged first."""
    pytest.importorskip('mmengine')
    from mmpose.datasets.transforms import GetBBoxCenterScale
    from mmpose.registry import TRANSFORMS

    sample = GetBBoxCenterScale()(dict(img=photo, bbox=np.array([box], np.float32)))
    crop = TRANSFORMS.build(
        dict(type='PersonCrop', input_size=(size, size), border=0, interpolation='area')
    )
    expected = crop(sample)
    found, corner, step = person_crop(photo, box, size)
    np.testing.assert_array_equal(found, expected['img'])
    assert step == pytest.approx(expected['input_scale'][0] / size)
    np.testing.assert_allclose(
        corner, expected['input_center'] - expected['input_scale'] / 2, atol=1e-4
    )


def test_a_whole_ratio_averages_squares_of_pixels():
    image = np.zeros((12, 12, 3), np.uint8)
    image[:3, :3] = 90  # one square of 3 x 3
    image[3, 3] = 90  # a ninth of another
    crop, corner, step = person_crop(image, (0, 0, 12, 12), 4, padding=1.0)
    assert step == 3 and corner.tolist() == [0, 0]
    # Pixel p shows image pixel 3 p, a third of a square before the middle of its square: 11 of
    # 32 parts of the square before, 21 of its own.
    assert crop[0, 0, 0] == (90 * 21 * 21 + 512) // 1024
    assert crop[1, 1, 0] == (10 * 21 * 21 + 90 * 11 * 11 + 512) // 1024


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ((5000, 5000, 5100, 5200), r'outside the image, which is 190 pixels wide and 270 high'),
        ((-9, 5, 0, 9), 'outside the image'),
        ((5, 5, 5, 9), 'x2 must be larger than x1'),
        ((5, 9, 8, 5), 'y2 than y1'),
        ((5, 5, float('nan'), 9), 'a box is four numbers'),
        ((5, 5, float('inf'), 9), 'a box is four numbers'),
        ((5, 5, 9), 'a box is four numbers'),
        ((0, 0, 1e39, 1e39), 'a box is four numbers'),
    ],
)
def test_boxes_without_a_person_are_refused(photo, box, message):
    with pytest.raises(ValueError, match=message):
        person_crop(photo, box, 32)


@pytest.mark.parametrize('ratio', [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize('more', [0, 1])
def test_averages_are_opencvs_to_the_last_gray_level(ratio, more):
    """With an even whole ratio, every average is a half: of 2 x 2 pixels, OpenCV rounds it up."""
    cv2 = pytest.importorskip('cv2')
    height, width = 12 * ratio + more, 10 * ratio + 2 * more
    y, x = np.arange(height)[:, None], np.arange(width)
    levels = 100 + y // ratio % 2 + (x % ratio < ratio / 2)
    image = np.repeat(levels[..., None], 3, axis=2).astype(np.uint8)
    size = (round(width / ratio), round(height / ratio))
    expected = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(_averaged(image, size), expected)
    if ratio % 2 == more == 0:
        averages = cv2.resize(image.astype(float), size, interpolation=cv2.INTER_AREA)
        assert set(averages.ravel().round(3)) == {100.5, 101.5}
