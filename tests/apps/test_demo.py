"""The demo's parts: boxes, poses in the image's pixels, drawings, videos."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cpm_plugin.apps import demo
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


def test_a_person_is_followed_from_frame_to_frame(model, monkeypatch):
    frame = np.zeros((120, 200, 3), np.uint8)
    before = np.array([[20, 20, 60, 60]], np.float32)

    def search(look, width, height):
        assert (width, height) == (200, 120)
        assert look(before).scores == pytest.approx(0.75)
        return np.array([1, 2, 30, 40], np.float32)

    monkeypatch.setattr(demo, 'find_person', search)
    assert demo.find_people(model, frame).boxes.tolist() == [[1, 2, 30, 40]]
    box = demo.find_people(model, frame, before).boxes
    assert np.abs((box[0, :2] + box[0, 2:]) / 2 - 40).max() < 4  # where his joints are
    monkeypatch.setattr(demo, '_LOST', 0.8)
    box = demo.find_people(model, frame, before).boxes
    assert box.tolist() == [[1, 2, 30, 40]]
    assert model.test_cfg['flip_test']


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


def test_everybody_who_is_proposed_is_looked_at_in_the_box_of_the_proposal(model, two_people):
    """The model believes every joint in the middle of its crop."""
    proposed = propose_people(WIDE, two_people)
    people = demo.find_everybody(model, WIDE, two_people)
    assert len(people) == len(proposed) == 2
    assert people.boxes == pytest.approx(proposed.boxes, abs=1e-3)  # in float32
    middles = (proposed.boxes[:, :2] + proposed.boxes[:, 2:]) / 2
    assert np.abs(people.keypoints - middles[:, None]).max() < 4
    assert people.scores == pytest.approx(0.75)
    nobody = demo.find_everybody(model, WIDE, two_people, min_parts=15)
    assert len(nobody) == 0 and nobody.joints == people.joints


def test_proposals_are_shown_alone_or_looked_at(model, two_people):
    proposed = propose_people(WIDE, two_people).keypoints
    alone = demo.SeveralPeople(two_people, alone=True).poses(model, WIDE)
    assert alone.keypoints.tolist() == proposed.tolist()
    both = demo.SeveralPeople(two_people).poses(model, WIDE)
    assert both.scores == pytest.approx(0.75) and both.keypoints.shape == proposed.shape


def test_fields_of_an_image_are_drawn_with_its_people(two_people):
    runs, forward = [], two_people.forward
    two_people.forward = lambda image: runs.append(image.shape) or forward(image)
    figure = demo.fields_of_image(WIDE, two_people)
    assert figure.axes[0].get_title() == '2 found'
    assert runs == [(1, 3, 128, 256)]  # maps and people are of one run


def test_networks_for_several_people_are_loaded_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"'cpm_slim_3s' is for one person.*openpose_coco"):
        demo.load_network('cpm_slim_3s', None, 'cpu')
    with pytest.raises(ValueError, match="no trained weights of 'openpose_coco'"):
        demo.load_network('openpose_coco', None, 'cpu')
    with pytest.raises(ValueError, match="no model 'none'"):
        demo.load_network('none', None, 'cpu')
    with pytest.raises(ValueError, match=r'none\.pth'):
        demo.load_network('openpose_coco', tmp_path / 'none.pth', 'cpu')
