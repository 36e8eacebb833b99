"""The parts of the search over scales, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from cpm_testing.blobs import person

from cpm_plugin.core.structure import Structure
from cpm_plugin.mmpose import CPMStageHead, StructuredHeatmap
from cpm_plugin.mmpose.scale_peaks import search_scales
from cpm_plugin.mmpose.scale_search import GetOctaveCenterScale, collate_crops

from mmpose.registry import HOOKS, MODELS, TRANSFORMS

pytestmark = pytest.mark.usefixtures('blobs')  # for its model


def test_joints_between_others_are_between_their_peaks():
    """output_joints comes after the search: MPII's pelvis of the authors' 14 joints."""
    head = CPMStageHead(
        in_channels=4, num_keypoints=14, joints='cpm', output_joints='mpii', num_stages=1,
        decoder=dict(type='CPMHeatmap', input_size=(64, 64), heatmap_size=(8, 8)),
    )  # fmt: skip
    maps = torch.rand(2, 14, 8, 8)
    head.forward = lambda feats: [maps]
    sample = person((64, 64), [[64.0, 64.0], [50.0, 50.0]])
    (plain,) = search_scales(maps, [sample], head.decoder)
    (found,) = head.predict(None, [sample])
    assert found.keypoints.shape == (1, 16, 2) and found.keypoint_scores.shape == (1, 16)
    np.testing.assert_allclose(found.keypoints[0, 9], plain.keypoints[0, 0])  # head top
    np.testing.assert_allclose(found.keypoints[0, 6], plain.keypoints[0, [8, 11]].mean(axis=0))


def test_the_estimator_gives_whole_pixels_back():
    """Random beliefs of two people: its own arithmetic undoes search_scales' last step."""
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='SeesBlobs', first_cell=3.5),
            head=dict(
                type='BlobHead', in_channels=4, num_keypoints=3, num_stages=1,
                decoder=dict(type='CPMHeatmap', input_size=(96, 128), heatmap_size=(12, 16)),
            ),
        )
    )  # fmt: skip
    sizes = np.array([[96.0, 128.0], [72.0, 96.0], [120.0, 160.0]])
    samples = [person((96, 128), sizes), person((96, 128), sizes, center=(3.3, 155.2))]
    instances = model.head.predict(torch.rand(6, 3, 16, 12), samples)
    for sample in model.add_pred_to_datasample(instances, None, samples):
        keypoints = sample.pred_instances.keypoints
        np.testing.assert_allclose(keypoints, keypoints.round(), atol=1e-4)
        assert (keypoints >= -1e-4).all() and (keypoints <= np.array([219, 159]) + 1e-4).all()


def test_octave_crop_is_the_one_of_apply_model():
    """applyModel.m, line by line in its own numbers, which begin with 1."""
    height, width, boxsize = 480, 640, 368
    x, y, w, h = 200.0, -20.0, 150.0, 300.0  # MATLAB's rectangle
    x_start, x_end = max(x, 1), min(x + w, width)
    y_start, y_end = max(y, 1), min(y + h, height)
    center = [(x_start + x_end) / 2, (y_start + y_end) / 2]
    middle_range = (y_end - y_start) / height * 1.2
    starting_scale = boxsize / (height * middle_range * 1.2)
    ending_scale = boxsize / (height * middle_range * 0.8)
    exponents = np.arange(math.log2(starting_scale), math.log2(ending_scale), 1 / 6)

    transform = TRANSFORMS.build(dict(type='GetOctaveCenterScale'))
    assert isinstance(transform, GetOctaveCenterScale)
    box = np.array([[x, y, x + w, y + h]], dtype=np.float32) - 1
    results = transform(dict(bbox=box, img_shape=(height, width)))
    np.testing.assert_allclose(results['bbox_center'], [np.array(center) - 1])
    crops = results['bbox_scale'] / np.array(transform.scales)[:, None]
    np.testing.assert_allclose(boxsize / crops[:, 0], 2**exponents, rtol=1e-6)
    np.testing.assert_allclose(crops[:, 0], crops[:, 1])


def test_collate_puts_the_crops_of_a_person_together():
    crops = torch.arange(12).reshape(2, 3, 2, 1, 1)
    samples = [dict(inputs=crop, data_samples=name) for crop, name in zip(crops, 'ab')]
    batch = collate_crops(samples)
    assert batch['data_samples'] == ['a', 'b']
    assert [crop.flatten().tolist() for crop in batch['inputs']] == [
        [0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]
    ]  # fmt: skip
    with pytest.raises(ValueError, match='one crop a person'):
        collate_crops([dict(inputs=torch.zeros(3, 8, 8), data_samples='a')])


# -- what cannot be done is refused


@pytest.mark.parametrize('scales', [0, [1.0, -1.0], [], [float('inf')], ['large'], [float('nan')]])
def test_scales_that_are_not_positive_numbers_are_refused(scales):
    with pytest.raises(ValueError, match='must be positive numbers'):
        HOOKS.build(dict(type='ScaleSearchHook', scales=scales))


def test_a_batch_of_another_collate_function_is_refused():
    decoder = MODELS.build(
        dict(type='BlobHead', in_channels=4, num_keypoints=3, num_stages=1,
             decoder=dict(type='CPMHeatmap', input_size=(64, 64), heatmap_size=(8, 8)))
    ).decoder  # fmt: skip
    sample = person((64, 64), [[64.0, 64.0], [50.0, 50.0]])
    with pytest.raises(ValueError, match='3 images for 1 people at 2 scales'):
        search_scales(torch.zeros(3, 3, 8, 8), [sample], decoder)


def test_center_scale_must_be_one():
    with pytest.raises(ValueError, match=r"'LoadImage'.* sets no center and scale; give one of"):
        HOOKS.build(dict(type='ScaleSearchHook', center_scale=dict(type='LoadImage')))


def test_box_outside_the_image_is_named():
    sample = dict(bbox=np.array([[5.0, 300, 50, 400]]), img_shape=(200, 200))
    with pytest.raises(ValueError, match=r'box \[5\.0, 300\.0.*no height inside'):
        GetOctaveCenterScale()(sample)


def test_a_structure_fits_crops_of_one_size(tmp_path):
    path = tmp_path / 'pair.json'
    pair = Structure(('a', 'b'), (), (('a', 'b'),), ((0, 0.5),), ((0.1, 0.1),))
    path.write_text(pair.to_json())
    decoder = StructuredHeatmap(str(path), input_size=(64, 64), heatmap_size=(8, 8))
    sample = person((64, 64), [[64.0, 64.0], [50.0, 50.0]])
    with pytest.raises(ValueError, match='scale search has several; leave one of the two out'):
        search_scales(torch.rand(2, 2, 8, 8), [sample], decoder)
