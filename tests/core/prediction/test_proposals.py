"""Everybody of an image, at known pixels: resizing, filling up, scales, boxes, refusals."""

import numpy as np
import pytest
import torch

from cpm_plugin.core import build_affinity_network, create_model
from cpm_plugin.core.maps import JointSet, ideal_affinity_fields, ideal_belief_maps
from cpm_plugin.core.maps.joint_sets import joint_set
from cpm_plugin.core.models import PartMaps
from cpm_plugin.core.models.affinity_stages import mirror_back
from cpm_plugin.core.prediction.proposals import ImageMaps, _resampled, image_maps, propose_people

ARM = JointSet(
    ('neck', 'elbow', 'wrist', 'hip'),
    limbs=(('neck', 'elbow'), ('elbow', 'wrist'), ('neck', 'hip')),
)
PEOPLE = np.array(
    [
        [[60, 40], [110, 70], [150, 40], [70, 130]],
        [[400, 60], [350, 110], [330, 180], [420, 150]],
        [[240, 200], [290, 240], [350, 250], [200, 270]],
    ],
    dtype=float,
)


def network_of(joints=ARM, **settings):
    torch.manual_seed(0)
    tiny = dict(vgg_tail=None, num_stages=1, channels=4, trunk_kernel_size=3)
    return build_affinity_network(joints=joints, **tiny, **settings).eval()


def fake(people, width, height, seen=None):
    """A network whose maps are ideal for people at these pixels of an image of this size."""
    network = network_of(input_size=240)
    inputs = []

    def forward(image):
        inputs.append(image)
        h, w = image.shape[2:]
        resized = len(inputs[-1].abs().sum(dim=(0, 1)).amax(dim=0).nonzero())  # columns not gray
        ratio = resized / width
        points = (people + 0.5) * [ratio, round(height * ratio) / height] - 0.5
        labeled = np.ones(people.shape[:2]) if seen is None else seen
        size = (w // 8, h // 8)
        beliefs = ideal_belief_maps(points, labeled, size)
        fields = ideal_affinity_fields(points, labeled, ARM.limb_indices, size)
        maps = np.concatenate([beliefs, 1 - beliefs.max(axis=0, keepdims=True)])
        return [PartMaps(*(torch.from_numpy(m)[None].float() for m in (maps, fields)))]

    network.forward = forward
    return network, inputs


def sorted_people(points):
    return points[np.argsort(points[:, 0, 0])]


@pytest.mark.parametrize('size', [240, 480, 720])
def test_people_are_found_at_their_pixels_whatever_the_size(size):
    """Half, once and one and a half times the image of 480 x 300 pixels."""
    network, inputs = fake(PEOPLE, 480, 300)
    poses = propose_people(np.full((300, 480, 3), 200, np.uint8), network, size=size)
    assert inputs[0].shape == (1, 3, -(-300 * size // 480 // 32) * 32, -(-size // 32) * 32)
    # in pixels of the network to 0.01, as ideal maps decode
    error = sorted_people(poses.keypoints) - sorted_people(PEOPLE)
    assert len(poses) == 3 and np.abs(error).max() < 0.02 * 480 / size
    assert poses.joints == ARM and poses.scores.min() > 0.77  # exp(-1/4) between four cells
    assert poses.image.shape == (300, 480, 3)


def test_the_input_size_of_the_network_is_the_longer_side():
    tall = PEOPLE[..., ::-1].copy()
    network, inputs = fake(tall, 300, 480)
    poses = propose_people(np.full((480, 300, 3), 200, np.uint8), network)
    assert inputs[0].shape == (1, 3, 256, 160)  # 240 x 150, filled up
    assert np.abs(sorted_people(poses.keypoints) - sorted_people(tall)).max() < 0.05


def test_the_network_sees_the_resized_image_and_gray_beside_it():
    """Of a ramp along x, each pixel shows the mean of the pixels that it covers."""
    network, inputs = fake(PEOPLE, 120, 80)
    ramp = np.broadcast_to(np.arange(120, dtype=np.uint8)[None, :, None], (80, 120, 3)).copy()
    ramp[..., 1:] = [10, 250]
    image_maps(ramp, network, size=60)
    seen = inputs[0][0]
    assert seen.shape == (3, 64, 64)
    # pixel p covers 2p and 2p + 1; antialiasing is symmetric, but for the borders
    expected = (2 * torch.arange(60) + 0.5 - 128) / 256
    assert torch.allclose(seen[0, :40, 1:59], expected[1:59].expand(40, 58), atol=1e-5)
    assert torch.allclose(seen[1, :40, :60], torch.tensor((10 - 128) / 256))
    assert torch.allclose(seen[2, :40, :60], torch.tensor((250 - 128) / 256))
    assert (seen[:, 40:] == 0).all() and (seen[:, :, 60:] == 0).all()


def test_joints_that_are_not_found_have_no_place_in_the_box():
    seen = np.ones((3, 4))
    seen[1, 3] = 0  # its hip
    network, _ = fake(PEOPLE, 480, 300, seen)
    poses = propose_people(np.full((300, 480, 3), 200, np.uint8), network, size=480)
    person = int(poses.keypoints[:, 0, 0].argmax())
    assert poses.scores[person, 3] == 0 and poses.keypoints[person, 3].tolist() == [0, 0]
    # x 330 to 400, y 60 to 180; a tenth of 120 on every side
    assert poses.boxes[person] == pytest.approx([318, 48, 412, 192], abs=0.1)


@pytest.mark.parametrize('scales', [(1.0, 0.5), (0.5, 1.0), (1.5, 1.0, 0.75)])
def test_maps_of_several_scales_are_averaged_in_place(scales):
    network, inputs = fake(PEOPLE, 480, 300)
    image = np.full((300, 480, 3), 200, np.uint8)
    maps = image_maps(image, network, size=480, scales=scales)
    assert maps.ratio.tolist() == [max(scales)] * 2 and len(inputs) == len(scales)
    poses = propose_people(image, network, size=480, scales=scales)
    # linear interpolation flattens peaks: within a quarter of a cell of the coarsest maps
    error = np.abs(sorted_people(poses.keypoints) - sorted_people(PEOPLE))
    assert len(poses) == 3 and error.max() < 2 / min(scales)


def test_maps_are_resampled_at_the_places_that_cells_show():
    """A ramp of image pixels, x + 1000 y, keeps its values at the cells of another size."""

    def ramp(ratio, columns, rows):
        maps = ImageMaps(torch.zeros(1, rows, columns), torch.zeros(2), np.array(ratio), 8)
        places = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1) * 8 + 3.5
        return maps, torch.from_numpy(maps.to_image(places) @ [1, 1000])[None].float()

    (coarse, values), (fine, expected) = ramp([0.5, 0.4], 10, 8), ramp([1.0, 1.25], 18, 22)
    found = _resampled(coarse, values, fine)
    assert found.shape == (1, 22, 18)
    inside = (slice(None), slice(2, -4), slice(1, -1))  # between the centers of the coarse cells
    assert torch.allclose(found[inside], expected[inside], rtol=1e-4)


def test_one_scale_twice_is_that_scale():
    network, _ = fake(PEOPLE, 480, 300)
    image = np.full((300, 480, 3), 200, np.uint8)
    once, twice = (image_maps(image, network, scales=s) for s in ((1.0,), (1.0, 1.0)))
    assert torch.allclose(once.beliefs, twice.beliefs, atol=1e-5)
    assert torch.allclose(once.fields, twice.fields, atol=1e-5)


def test_nobody_and_thresholds():
    network, _ = fake(PEOPLE[:0], 480, 300)
    image = np.full((300, 480, 3), 200, np.uint8)
    nobody = propose_people(image, network)
    assert nobody.keypoints.shape == (0, 4, 2) and nobody.boxes.shape == (0, 4)
    network, _ = fake(PEOPLE, 480, 300)
    assert len(propose_people(image, network, min_parts=5)) == 0  # they have four


def test_a_real_network_gives_maps_of_its_stride():
    maps = image_maps(np.zeros((50, 100, 3), np.uint8), network_of(), size=64)
    assert maps.stride == 8 and maps.beliefs.shape == (4, 4, 8) and maps.fields.shape == (6, 4, 8)


def test_what_cannot_be_used_is_refused():
    image = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(ValueError, match='ConvolutionalPoseMachine gives no part affinity fields'):
        propose_people(image, create_model('cpm_slim_3s').eval())
    with pytest.raises(ValueError, match='training mode'):
        propose_people(image, network_of().train())
    with pytest.raises(ValueError, match='no joints with limbs'):
        propose_people(image, network_of(None, num_keypoints=2, num_limbs=1))
    for wrong in (dict(size=0), dict(scales=()), dict(scales=(1, -1)), dict(scales=(np.nan,))):
        with pytest.raises(ValueError, match='must be positive'):
            propose_people(image, network_of(), **wrong)
    with pytest.raises(ValueError, match='no such file'):
        propose_people('none.jpg', network_of())


def test_with_a_flip_test_a_mirrored_image_has_the_mirrored_maps():
    """Of a real network, at a width that leaves no gray at one side alone."""
    network = network_of(joint_set('lsp'))
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    settings = dict(size=64, flip_test=True)
    one = image_maps(image, network, **settings)
    other = image_maps(np.ascontiguousarray(image[:, ::-1]), network, **settings)
    back = mirror_back(other.beliefs[None], other.fields[None], network.joints)
    torch.testing.assert_close(back[0][0], one.beliefs, rtol=0, atol=1e-6)
    torch.testing.assert_close(back[1][0], one.fields, rtol=0, atol=1e-6)
    plain = image_maps(image, network, size=64)
    assert (plain.beliefs - one.beliefs).abs().max() > 1e-4
    assert propose_people(image, network, **settings).keypoints.shape[1:] == (14, 2)
