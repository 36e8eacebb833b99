"""The demo's parts: boxes, poses in the image's pixels, drawings, videos."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cpm_plugin.apps import demo, second_look
from cpm_plugin.core import (
    LSP,
    PartMaps,
    build_affinity_network,
    ideal_affinity_fields,
    ideal_belief_maps,
    propose_people,
)

REPO = Path(__file__).resolve().parents[2]
SLIM = next(
    (REPO / 'configs/body_2d_keypoint/topdown_heatmap/lspet').glob('td-hm_cpm-slim-3s_*-12e_*')
)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """A model of random weights whose last stage believes every joint in the middle of the crop."""
    from mmpose.apis import init_model

    torch.manual_seed(0)
    untrained = init_model(str(SLIM), None, 'cpu')
    path = tmp_path_factory.mktemp('demo') / 'weights.pth'
    torch.save({'state_dict': untrained.state_dict(), 'meta': {}}, path)
    model = demo.load_model(SLIM, path)

    def in_the_middle(feats):
        count = len(feats[0])
        maps = torch.zeros(count, 15, 16, 16)
        maps[:, :, 7:9, 7:9] = 0.75  # cells 7 and 8: pixels 59.5 and 67.5 of 128, the middle 63.5
        return [maps * 0.5, maps, maps]

    model.head.forward = in_the_middle
    return model


def test_joints_are_given_in_pixels_of_the_image(model):
    boxes = np.array([[10, 20, 50, 100], [0, 0, 200, 120]], np.float32)
    people = demo.predict(model, np.zeros((120, 200, 3), np.uint8), boxes, batch_size=1)
    # the middle of the crop is the middle of the box
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for keypoints, middle in zip(people.keypoints, middles, strict=True):
        assert np.abs(keypoints - middle).max() < 4  # half a cell of the larger box is 7
    assert people.scores == pytest.approx(0.75)
    assert people.boxes.tolist() == boxes.tolist()
    assert people.joints.names[0] == 'right_ankle' and len(people.joints.links) == 14


def test_nobody(model):
    nobody = demo.predict(model, np.zeros((120, 200, 3), np.uint8), np.zeros((0, 4)))
    assert len(nobody) == 0 and nobody.keypoints.shape == (0, 14, 2)
    assert nobody.draw(boxes=True).size == (200, 120) and nobody.people() == []


def test_a_figure_has_a_row_a_stage(model):
    figure = demo.stages_figure(
        model, np.zeros((64, 64, 3), np.uint8), np.array([0, 0, 64, 64], np.float32)
    )
    rows = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert rows == ['stage 1', 'stage 2', 'stage 3', 'belief']


@pytest.fixture
def two_people():
    """A network that finds two people, in an image of 256 x 128 pixels."""
    network = build_affinity_network(
        joints='lsp', vgg_tail=None, num_stages=1, channels=4, trunk_kernel_size=3
    ).eval()
    body = np.stack([np.linspace(20, 80, 14), np.linspace(30, 200, 14) % 60 + 20], axis=1)
    points = body + np.array([[[0, 0]], [[120, 30]]])
    seen, size = np.ones((2, 14)), (32, 16)  # of 256 x 128 pixels
    maps = PartMaps(
        torch.from_numpy(ideal_belief_maps(points, seen, size))[None].float(),
        torch.from_numpy(ideal_affinity_fields(points, seen, LSP.limb_indices, size))[None],
    )
    network.forward = lambda _: [maps]
    network.input_size = 256
    return network


WIDE = np.zeros((128, 256, 3), np.uint8)


def test_everybody_who_is_proposed_is_looked_at_twice(model, two_people):
    """The model believes every joint in the middle of its crop; the second look is there."""
    proposed = propose_people(WIDE, two_people)
    people = demo.find_everybody(model, WIDE, two_people, scales=(1,))
    # and the whole image, in whose middle the model sees somebody else
    middles = (proposed.boxes[:, :2] + proposed.boxes[:, 2:]) / 2
    middles = np.concatenate([middles, [[127.5, 63.5]]])
    found = people.keypoints[:, 0]
    assert len(people) == len(proposed) + 1 == 3
    assert np.abs(np.sort(found[:, 0]) - np.sort(middles[:, 0])).max() < 8
    assert np.ptp(people.boxes[:, [0, 2]], axis=1).max() < 20  # around joints that are at one place
    assert people.scores == pytest.approx(0.75)
    assert model.test_cfg['flip_test']


def test_what_is_seen_in_the_whole_image_alone_has_to_be_sure(model, two_people, monkeypatch):
    monkeypatch.setattr(second_look, '_LEAST', 0.8)
    people = demo.find_everybody(model, WIDE, two_people, scales=(1,))
    assert len(people) == 2
    nobody = demo.find_everybody(model, WIDE, two_people, scales=(1,), min_parts=15)
    assert len(nobody) == 0 and nobody.joints == people.joints


def test_proposals_are_shown_alone_or_looked_at(model, two_people):
    proposed = propose_people(WIDE, two_people, **second_look.SCALED).keypoints
    alone = demo.SeveralPeople(two_people, alone=True).poses(model, WIDE)
    assert alone.keypoints.tolist() == proposed.tolist()
    both = demo.SeveralPeople(two_people).poses(model, WIDE)
    assert both.scores == pytest.approx(0.75) and both.keypoints.shape == (3, 14, 2)


def test_fields_of_an_image_are_drawn_with_its_people(two_people):
    runs, forward = [], two_people.forward
    two_people.forward = lambda image: runs.append(image.shape) or forward(image)
    figure = demo.fields_of_image(WIDE, two_people)
    assert figure.axes[0].get_title() == '2 found'
    # the maps at both sizes, and the people are of the same
    assert runs == [(1, 3, 192, 384), (1, 3, 128, 256)]


def test_networks_for_several_people_are_loaded_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"'cpm_slim_3s' is for one person.*openpose_coco"):
        demo.load_network('cpm_slim_3s', None, 'cpu')
    with pytest.raises(ValueError, match="no trained weights of 'openpose_coco'"):
        demo.load_network('openpose_coco', None, 'cpu')
    with pytest.raises(ValueError, match="no model 'none'"):
        demo.load_network('none', None, 'cpu')
    with pytest.raises(ValueError, match=r'none\.pth'):
        demo.load_network('openpose_coco', tmp_path / 'none.pth', 'cpu')


def test_people_of_a_detector_are_looked_at_in_its_boxes(model):
    boxes = np.array([[20, 20, 60, 60]], np.float32)
    found = demo.DetectedPeople(lambda image: boxes).poses(model, WIDE)
    assert found.boxes.tolist() == boxes.tolist() and found.scores == pytest.approx(0.75)
