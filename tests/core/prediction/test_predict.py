"""``cpm_plugin.predict`` gives what MMPose's inference gives for the same model."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import cpm_plugin
from cpm_plugin.core import JointSet, create_model


@pytest.fixture(scope='module')
def photo():
    """A figure in the colors of a person: belief maps have clear peaks."""
    generator = np.random.default_rng(3)
    image = generator.integers(90, 130, (200, 160, 3), dtype=np.uint8)
    image[30:60, 70:95] = (120, 140, 200)
    image[60:120, 60:105] = (40, 40, 160)
    image[120:190, 65:80] = image[120:190, 88:103] = (90, 60, 40)
    return image


BOXES = np.array([[50.0, 25, 115, 195], [40.5, 10.25, 150, 199]])


@pytest.mark.parametrize('flip_test', [True, False])
def test_equal_to_mmposes_inference(photo, flip_test):
    pytest.importorskip('mmengine')
    from cpm_plugin.apps.zoo import pose2d

    from mmpose.apis import inference_topdown, init_model

    found = pose2d('cpm_slim_3s')
    options = None if flip_test else {'model.test_cfg.flip_test': False}
    model = init_model(found['pose2d'], found['pose2d_weights'], 'cpu', cfg_options=options)
    expected = [one.pred_instances for one in inference_topdown(model, photo, BOXES)]
    poses = cpm_plugin.predict(photo, BOXES, 'cpm_slim_3s', flip_test=flip_test)
    np.testing.assert_allclose(
        poses.keypoints, np.concatenate([one.keypoints for one in expected]), atol=0.01
    )
    np.testing.assert_allclose(
        poses.scores, np.concatenate([one.keypoint_scores for one in expected]), atol=1e-4
    )
    assert poses.joints.names[0] == 'right_ankle' and poses.scores.max() > 0.3


def test_without_boxes_the_image_is_the_box(photo):
    alone = cpm_plugin.predict(photo, model='cpm_slim_3s')
    assert alone.boxes.tolist() == [[0, 0, 160, 200]] and len(alone) == 1
    same = cpm_plugin.predict(photo, [[0, 0, 160, 200]], 'cpm_slim_3s')
    np.testing.assert_array_equal(alone.keypoints, same.keypoints)


def test_several_images_are_one_by_one(photo, monkeypatch):
    monkeypatch.setattr(sys.modules['cpm_plugin.core.prediction.predict'], '_BATCH', 2)
    images, boxes = [photo, photo[:, ::-1], photo[:100]], [BOXES, None, []]
    several = cpm_plugin.predict(images, boxes, 'cpm_slim_3s')
    assert [len(one) for one in several] == [2, 1, 0]
    for one, image, its in zip(several, images, boxes):
        alone = cpm_plugin.predict(image, its, 'cpm_slim_3s')
        np.testing.assert_allclose(one.keypoints, alone.keypoints, atol=0.01)
        assert one.image.shape == image.shape


def test_the_mirrored_image_has_the_mirrored_pose(photo):
    poses = cpm_plugin.predict(photo, [[40, 20, 120, 200]], 'cpm_slim_3s')
    mirrored = cpm_plugin.predict(
        np.ascontiguousarray(photo[:, ::-1]), [[39, 20, 119, 200]], 'cpm_slim_3s'
    )
    order = list(poses.joints.flip_indices)
    expected = poses.keypoints[:, order] * (-1, 1) + (159, 0)
    # The crop begins a fraction of a pixel elsewhere: its pixel 0 is no middle of the mirror.
    sure = poses.scores[0, order] > 0.2
    assert sure.any()
    assert np.abs(mirrored.keypoints - expected)[0, sure].max() < 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(boxes=[5, 5, 9, 9]), r'boxes of shape \(4,\): expected \(N, 4\)'),
        (dict(boxes={'a': 1}), 'must be numbers'),
        (
            dict(boxes=[[5000, 5000, 5100, 5200]]),
            'the image, which is 160 pixels wide',
        ),
        (dict(model='cpm_6s'), "no trained weights of 'cpm_6s'|'cpm_6s'"),
        (dict(model='cpm_slim_3s', device='meta'), "device='meta' cannot be used"),
        (dict(model='cpm_slim_3s', device='cuda:99'), "device='cuda:99' cannot be used"),
        (dict(model=create_model('cpm_slim_3s', num_keypoints=3)), r'no joints .* joints=JointSet'),
        (dict(model=create_model('cpm_slim_3s')), 'in training mode; call eval'),
        (dict(model=torch.nn.ReLU()), 'must be a name or a ConvolutionalPoseMachine'),
    ],
)
def test_mistakes_are_named(photo, arguments, message):
    with pytest.raises(ValueError, match=message):
        cpm_plugin.predict(photo, **arguments)
    with pytest.raises(ValueError, match='boxes of 1 images for 2 images'):
        cpm_plugin.predict([photo, photo], [BOXES])


def test_joints_of_a_network_of_ones_own_are_given_as_the_error_says(photo):
    joints = JointSet(('tip', 'middle', 'root'))
    network = create_model('cpm_slim_3s', num_keypoints=3, joints=joints).eval()
    assert cpm_plugin.predict(photo, BOXES, network).joints == joints


def test_a_network_of_ones_own(photo):
    network = create_model('cpm_slim_3s', pretrained=True).eval()
    own = cpm_plugin.predict(photo, BOXES, network)
    by_name = cpm_plugin.predict(photo, BOXES, 'cpm_slim_3s')
    np.testing.assert_allclose(own.keypoints, by_name.keypoints, atol=0.01)


def test_arrays_need_nothing_but_torch_and_numpy():
    program = (
        'import sys; sys.modules.update(dict.fromkeys(["PIL", "cv2", "mmcv", "mmpose"]))\n'
        'import numpy, cpm_plugin\n'
        'print(len(cpm_plugin.predict(numpy.zeros((60, 40, 3), "uint8"), model="cpm_slim_3s")))'
    )
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', program], capture_output=True)
    assert done.stdout == b'1\n', done.stderr.decode()
