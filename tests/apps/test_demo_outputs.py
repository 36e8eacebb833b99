"""What the demo writes and tells; the poses are made up, and what is asked for is checked."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cpm_plugin.apps import demo_outputs
from cpm_plugin.apps.demo_outputs import Outputs, show_image, show_video

BOXES = np.array([[0, 0, 30, 40], [10, 0, 30, 40]], np.float32)


@pytest.fixture
def model(monkeypatch):
    """Of two joints with belief 0.5; the first is drawn, and drawings are white."""

    def predict(_, image, boxes):
        scores = np.full((len(boxes), 2), 0.5)
        return SimpleNamespace(pred_instances=SimpleNamespace(keypoint_scores=scores))

    def joints_drawn(people, image, threshold):
        drawn = people.pred_instances.keypoint_scores >= threshold
        drawn[:, 1] = False
        return drawn

    for name, function in {
        'predict': predict,
        'find_people': lambda model, image, box=None: (BOXES[:1], predict(model, image, BOXES[:1])),
        'draw_poses': lambda image, *_: np.full_like(image, 255),
        'joints_drawn': joints_drawn,
        'as_json': lambda people: people.pred_instances.keypoint_scores.tolist(),
    }.items():
        monkeypatch.setattr(demo_outputs.demo, name, function)
    return SimpleNamespace(dataset_meta={})


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.zeros((40, 30, 3), np.uint8))
    return path


@pytest.fixture
def out(tmp_path):
    (tmp_path / 'out').mkdir()
    return Outputs(tmp_path / 'out', threshold=0.2, stages=False, json=True)


def test_an_image(model, image, out, capsys):
    drawing, positions = out.folder / 'a.png', out.folder / 'a.json'
    show_image(model, image, BOXES, out)
    told = capsys.readouterr()
    assert told.out == f'{drawing}: 2 people, 2 of 4 joints\n{positions}\n' and told.err == ''
    assert (cv2.imread(str(drawing)) == 255).all()
    assert json.loads(positions.read_text()) == [[0.5, 0.5], [0.5, 0.5]]
    show_image(model, image, None, out._replace(json=False))
    assert capsys.readouterr().out == f'{drawing}: 1 person, 1 of 2 joints\n'


def test_why_no_joint_is_drawn(model, image, out, capsys, monkeypatch):
    show_image(model, image, BOXES, out._replace(threshold=0.6))
    assert 'drawn: the largest belief is 0.50, below --threshold 0.6\n' in capsys.readouterr().err
    nothing = np.zeros((2, 2), bool)
    monkeypatch.setattr(demo_outputs.demo, 'joints_drawn', lambda *_: nothing)
    show_image(model, image, BOXES, out)
    assert 'no joint is drawn: all are outside the image\n' in capsys.readouterr().err


def test_boxes_that_are_of_no_use_are_refused_before_anything_is_written(model, image, out):
    with pytest.raises(ValueError, match=r'--boxes has no box for a\.png'):
        show_image(model, image, BOXES[:0], out)
    with pytest.raises(ValueError, match=r'a\.png: box .* is outside'):
        show_image(model, image, BOXES + 50, out)
    assert list(out.folder.iterdir()) == []


def test_a_video(model, out, tmp_path, capsys):
    path = tmp_path / 'v.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 12, (48, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 48, 3), np.uint8))
    writer.release()
    show_video(model, path, None, out)
    positions = out.folder / 'v.json'
    told = f'{out.folder / "v.mp4"}: 3 frames, 3 of 6 joints\n{positions}\n'
    assert capsys.readouterr().out.endswith(told)
    found = json.loads(positions.read_text())
    assert found == [{'frame_id': number, 'instances': [[0.5, 0.5]]} for number in range(3)]
    with pytest.raises(ValueError, match=r'--boxes has no box for v\.avi'):
        show_video(model, path, BOXES[:0], out)
