"""The demo's parts: boxes, poses in the image's pixels, drawings, videos."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cpm_plugin.apps import demo

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
    for keypoints, middle in zip(people.pred_instances.keypoints, middles, strict=True):
        assert np.abs(keypoints - middle).max() < 4  # half a cell of the larger box is 7
    assert people.pred_instances.keypoint_scores == pytest.approx(0.75)
    (first, second) = demo.as_json(people)
    assert set(first) == {'keypoints', 'keypoint_scores', 'bbox', 'bbox_score'}
    assert np.array(first['bbox']).ravel().tolist() == [10, 20, 50, 100]
    assert len(second['keypoints']) == 14
    json.dumps([first, second])


def test_joints_below_the_threshold_are_not_drawn(model):
    image = np.full((120, 200, 3), 9, np.uint8)
    people = demo.predict(model, image, np.array([[0, 0, 200, 120]], np.float32))
    assert (demo.draw_poses(image, people, model.dataset_meta, 0.76) == 9).all()
    drawn = demo.draw_poses(image, people, model.dataset_meta, 0.74)
    changed = np.argwhere((drawn != 9).any(axis=2))
    assert np.abs(changed.mean(axis=0) - (59.5, 99.5)).max() < 5
    assert (image == 9).all()


def test_joints_are_counted_that_are_drawn_inside_the_image(model):
    image = np.zeros((120, 200, 3), np.uint8)
    boxes = np.array([[0, 0, 200, 120], [150, 0, 350, 120]], np.float32)
    people = demo.predict(model, image, boxes)  # in the middle of the boxes, the second outside
    assert demo.joints_drawn(people, image, 0.74).sum(axis=1).tolist() == [14, 0]
    assert demo.joints_drawn(people, image, 0.76).sum() == 0


def test_a_figure_has_a_row_a_stage(model):
    figure = demo.stages_figure(
        model, np.zeros((64, 64, 3), np.uint8), np.array([0, 0, 64, 64], np.float32)
    )
    rows = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert rows == ['stage 1', 'stage 2', 'stage 3']


def test_boxes_by_themselves_and_of_a_file(tmp_path):
    assert demo.parse_boxes([]) == {}
    given = demo.parse_boxes(['1,2,3,4.5', ' -1,0,9,9'])  # a space, for argparse to take it
    assert given[''].tolist() == [[1, 2, 3, 4.5], [-1, 0, 9, 9]]
    path = tmp_path / 'boxes.json'
    path.write_text('{"a.jpg": [[1, 2, 3, 4]], "b.jpg": []}')
    named = demo.parse_boxes([str(path)])
    assert named['a.jpg'].tolist() == [[1, 2, 3, 4]]
    assert named['b.jpg'].shape == (0, 4)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['1,2,3'], 'a box is x1,y1,x2,y2'),
        (['5,0,1,9'], 'x2 must be larger than x1'),
        (['a,b,c,d'], 'a box is x1,y1,x2,y2'),
        (['1,1,inf,inf'], 'not finite'),
        (['no.json'], 'no.json is no file of boxes'),
    ],
)
def test_what_is_no_box(arguments, message):
    with pytest.raises(ValueError, match=message):
        demo.parse_boxes(arguments)


def test_a_person_is_followed_from_frame_to_frame(model, monkeypatch):
    frame = np.zeros((120, 200, 3), np.uint8)
    before = np.array([[20, 20, 60, 60]], np.float32)

    def search(look, width, height):
        assert (width, height) == (200, 120)
        assert look(before).keypoint_scores == pytest.approx(0.75)
        return np.array([1, 2, 30, 40], np.float32)

    monkeypatch.setattr(demo, 'find_person', search)
    box, people = demo.find_people(model, frame)
    assert box.tolist() == [[1, 2, 30, 40]]
    assert people.pred_instances.bboxes.tolist() == [[1, 2, 30, 40]]
    box, _ = demo.find_people(model, frame, before)
    assert np.abs((box[0, :2] + box[0, 2:]) / 2 - 40).max() < 4  # where his joints are
    monkeypatch.setattr(demo, '_LOST', 0.8)
    box, _ = demo.find_people(model, frame, before)
    assert box.tolist() == [[1, 2, 30, 40]]
    assert model.test_cfg['flip_test']
