"""CPMDataPreprocessor: three channels as stock treats them, the fourth as it came."""

import pytest
import torch

from mmpose.models.data_preprocessors import PoseDataPreprocessor
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

AUTHORS = dict(mean=[128.0] * 3, std=[256.0] * 3)


def preprocessor(**arguments):
    return MODELS.build(dict(type='CPMDataPreprocessor', **arguments))


def random_images(*sizes, channels=4):
    """Whole numbers as in an image, and a center map of arbitrary floats."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for height, width in sizes:
        image = torch.randint(0, 256, (3, height, width), generator=generator).float()
        heat = torch.rand(channels - 3, height, width, generator=generator)
        images.append(torch.cat([image, heat]))
    return images


def samples(count):
    return [PoseDataSample(metainfo=dict(number=number)) for number in range(count)]


def given(images):
    return dict(inputs=images, data_samples=samples(len(images)))


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('stacked', [False, True], ids=['list', 'stacked'])
def test_authors_normalization_and_the_center_map_to_the_bit(stacked, training):
    images = torch.stack(random_images((8, 6), (8, 6)))
    before = images.clone()
    data = given(images if stacked else list(images))
    result = preprocessor(**AUTHORS)(data, training=training)
    assert result['inputs'].dtype == torch.float32
    assert torch.equal(result['inputs'][:, :3], (before[:, :3] - 128) / 256)
    assert torch.equal(result['inputs'][:, 3], before[:, 3])
    assert torch.equal(images, before)
    for number, one in enumerate(result['data_samples']):
        assert one.number == number
        assert one.metainfo['batch_input_shape'] == one.metainfo['pad_shape'] == (8, 6)


@pytest.mark.parametrize('swap', ['bgr_to_rgb', 'rgb_to_bgr'])
def test_colors_are_swapped_and_the_center_map_is_not(swap):
    (image,) = random_images((4, 5))
    mean, std = [10.0, 20.0, 30.0], [2.0, 4.0, 8.0]  # in the order after the swap, as stock's
    (result,) = preprocessor(mean=mean, std=std, **{swap: True})(given([image]))['inputs']
    for channel in range(3):
        expected = (image[2 - channel] - mean[channel]) / std[channel]
        assert torch.equal(result[channel], expected)
    assert torch.equal(result[3], image[3])


@pytest.mark.parametrize('channels', [3, 4])
def test_without_normalization_nothing_changes(channels):
    images = random_images((4, 5), (4, 5), channels=channels)
    assert torch.equal(preprocessor()(given(images))['inputs'], torch.stack(images))


@pytest.mark.parametrize('kind', [torch.uint8, torch.float32], ids=str)
def test_three_channels_are_stocks(kind):
    images = [image.to(kind) for image in random_images((8, 6), (6, 8), channels=3)]
    arguments = dict(**AUTHORS, bgr_to_rgb=True, pad_size_divisor=4, pad_value=9)
    ours = preprocessor(**arguments)(given(images))['inputs']
    stock = PoseDataPreprocessor(**arguments)(given(images))['inputs']
    assert torch.equal(ours, stock) and tuple(ours.shape) == (2, 3, 8, 8)


def test_padding_is_zero_in_the_center_map_at_the_right_and_below():
    images = random_images((5, 7), (8, 6))
    data = given(images)
    result = preprocessor(**AUTHORS, pad_size_divisor=4, pad_value=0.25)(data)
    inputs = result['inputs']
    assert tuple(inputs.shape) == (2, 4, 8, 8)
    for image, padded in zip(images, inputs, strict=True):
        height, width = image.shape[1:]
        expected = torch.full((4, 8, 8), 0.25)
        expected[3] = 0
        expected[:3, :height, :width] = (image[:3] - 128) / 256
        expected[3, :height, :width] = image[3]
        assert torch.equal(padded, expected)
    assert [one.metainfo['pad_shape'] for one in result['data_samples']] == [(8, 8), (8, 8)]


@pytest.mark.parametrize('center', [True, False], ids=['center map', 'none'])
def test_what_comes_out_fits_the_backbone(center):
    backbone = MODELS.build(
        dict(type='CPMBackbone', channels=2, kernel_size=3, center_map_sigma=21.0)
    )
    images = random_images((32, 24), channels=4 if center else 3)
    features = backbone(preprocessor(**AUTHORS)(given(images))['inputs'])
    assert [tuple(one.shape) for one in features] == [(1, 2, 4, 3), (1, 2, 4, 3), (1, 1, 4, 3)]


def test_batch_augmentations_are_refused():
    augmentations = [dict(type='BatchSyncRandomResize', random_size_range=(1, 2))]
    with pytest.raises(ValueError, match='batch_augments would move the images and not their'):
        preprocessor(batch_augments=augmentations)
    assert preprocessor(batch_augments=None).batch_augments is None


def test_why_stocks_preprocessor_does_not_do():
    """Of a fourth channel it refuses, drops or normalizes, each with another of its settings."""
    images = random_images((8, 6), (8, 6))
    with pytest.raises(AssertionError, match='the input tensor should in shape of'):
        PoseDataPreprocessor(**AUTHORS)(given(images))
    with pytest.raises(RuntimeError, match='must match the size'):
        PoseDataPreprocessor(**AUTHORS)(given(torch.stack(images)))
    dropped = PoseDataPreprocessor(**AUTHORS, bgr_to_rgb=True)(given(images))['inputs']
    assert tuple(dropped.shape) == (2, 3, 8, 6)
    one_value = PoseDataPreprocessor(mean=[128.0], std=[256.0])(given(images))['inputs']
    assert torch.equal(one_value[:, 3], (torch.stack(images)[:, 3] - 128) / 256)


def test_batch_with_and_without_center_maps_is_refused():
    images = [torch.zeros(4, 8, 8), torch.zeros(3, 8, 8)]
    for inputs in (images, images[::-1]):
        with pytest.raises(ValueError, match='some images of the batch have a center map and'):
            MODELS.build(dict(type='CPMDataPreprocessor'))(dict(inputs=inputs, data_samples=[]))


def test_images_in_several_sizes_as_bottomup_resize_gives_them():
    """Each size is a batch of its own; stock's preprocessor refuses the list."""
    small, large = random_images((8, 6), (8, 6), channels=3), random_images((16, 12), channels=3)
    inputs = [small, large * 2]
    found = preprocessor(**AUTHORS)(dict(inputs=inputs, data_samples=samples(2)))
    assert [tuple(one.shape) for one in found['inputs']] == [(2, 3, 8, 6), (2, 3, 16, 12)]
    assert torch.equal(found['inputs'][1][1], (large[0] - 128) / 256)
    assert [sample.number for sample in found['data_samples']] == [0, 1]
    assert found['data_samples'][0].batch_input_shape == (8, 6)
    with pytest.raises(TypeError):
        PoseDataPreprocessor(**AUTHORS)(dict(inputs=inputs, data_samples=samples(2)))
