"""Beliefs of every stage: the last one is what ``predict`` reads, and flips are undone."""

import numpy as np
import pytest
import torch

import cpm_plugin
from cpm_plugin.core import JointSet, build_network, decode_peaks
from cpm_plugin.core.prediction import person_crop, person_stages
from cpm_plugin.core.prediction.stages import stage_beliefs, trained_network


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(3).integers(0, 255, (200, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize('flip_test', [True, False])
def test_the_last_stage_has_the_keypoints_of_predict(image, flip_test):
    box = [30.5, 20, 120, 190]
    stages = person_stages(image, box, 'cpm_slim_3s', flip_test=flip_test)
    poses = cpm_plugin.predict(image, [box], 'cpm_slim_3s', flip_test=flip_test)
    points, scores = decode_peaks(stages.beliefs[-1])
    np.testing.assert_array_equal(stages.to_image(points), poses.keypoints[0])
    np.testing.assert_array_equal(scores, poses.scores[0])
    assert stages.joints == poses.joints and stages.beliefs.shape == (3, 14, 16, 16)


def test_the_crop_is_that_of_the_box_by_default_the_image(image):
    crop, corner, step = person_crop(image, (0, 0, 160, 200), 128)
    stages = person_stages(image, model='cpm_slim_3s')
    np.testing.assert_array_equal(stages.crop, crop)
    # a square of 1.25 times 200 pixels around (80, 100)
    assert stages.corner.tolist() == corner.tolist() == [-45, -25]
    assert stages.step == step == 250 / 128
    assert stages.to_image(np.array([64.0, 128.0])).tolist() == [80, 225]


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    joints = JointSet(('left_hip', 'neck', 'right_hip'))
    made = build_network(
        joints=joints, num_keypoints=3, input_size=32, num_stages=2, channels=4,
        first_stage_channels=4,
    )  # fmt: skip
    for parameter in made.parameters():  # the first weights give beliefs of 1e-4
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


def test_every_stage_is_averaged_with_that_of_the_mirrored_crop(network):
    crops = list(np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8))
    with_flip = stage_beliefs(network, crops, network.joints, True)
    alone = stage_beliefs(network, crops, network.joints, False)
    mirrored = stage_beliefs(network, [crop[:, ::-1] for crop in crops], network.joints, False)
    assert len(with_flip) == 2 and with_flip[0].shape == (2, 3, 4, 4)
    for both, one, other in zip(with_flip, alone, mirrored):
        # left and right change places, the neck stays
        expected = (one + other[:, [2, 1, 0], :, ::-1]) / 2
        np.testing.assert_allclose(both, expected, rtol=0, atol=1e-6 * np.abs(one).max())
        assert np.abs(both - one).max() > 0.01 * np.abs(one).max()


def test_values_are_those_of_the_network_for_bgr_around_zero(network):
    crop = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    batch = torch.from_numpy((crop.transpose(2, 0, 1)[None].astype(np.float32) - 128) / 256)
    with torch.no_grad():
        expected = network(batch)
    for found, maps in zip(stage_beliefs(network, [crop], network.joints, False), expected):
        np.testing.assert_array_equal(found, maps[:, :3].numpy())  # without the background


def test_a_network_is_built_once_and_a_wrong_one_is_named(image):
    assert trained_network('cpm_slim_3s', 'cpu') is trained_network('cpm_slim_3s', 'cpu')
    with pytest.raises(ValueError, match="model='paf_movenet_3s' cannot be used here"):
        person_stages(image, model='paf_movenet_3s')
    with pytest.raises(ValueError, match='is outside the image'):
        person_stages(image, [300, 0, 400, 9], 'cpm_slim_3s')
