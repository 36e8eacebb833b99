"""What the demo writes and tells; the poses are made up, and what is asked for is checked."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from cpm_plugin.apps import demo_outputs
from cpm_plugin.apps.demo_outputs import Outputs, show_image, show_video
from cpm_plugin.core import JointSet
from cpm_plugin.core.prediction import Poses

BOXES = np.array([[0, 0, 30, 40], [10, 0, 30, 40]], np.float32)


PAIR = JointSet(('left_hand', 'right_hand'), (('left_hand', 'right_hand'),))


@pytest.fixture
def model(monkeypatch):
    """Of two joints with belief 0.5, the first in the image and the second outside of it."""

    def predict(_, image, boxes):
        points = np.tile([[10.0, 20.0], [500.0, 20.0]], (len(boxes), 1, 1))
        return Poses(points, np.full((len(boxes), 2), 0.5), boxes, PAIR, image)

    monkeypatch.setattr(demo_outputs.demo, 'predict', predict)
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
    joint = cv2.imread(str(drawing))[20, 10]  # left is green; pale for 0.5 of 0.6, drawn twice
    assert joint.tolist() == [0, 248, 0]
    written = json.loads(positions.read_text())
    assert written['joints'] == ['left_hand', 'right_hand']
    assert [person['keypoint_scores'] for person in written['people']] == [[0.5, 0.5]] * 2
    show_image(model, image, BOXES[:1], out._replace(json=False))
    assert capsys.readouterr().out == f'{drawing}: 1 person, 1 of 2 joints\n'
    with pytest.raises(ValueError, match='no boxes, and nothing that finds people'):
        show_image(model, image, None, out)


def test_why_no_joint_is_drawn(model, image, out, capsys, monkeypatch):
    show_image(model, image, BOXES, out._replace(threshold=0.6))
    assert 'drawn: the largest belief is 0.50, below --threshold 0.6\n' in capsys.readouterr().err
    monkeypatch.setattr(Poses, 'drawn', lambda *_: np.zeros((2, 2), bool))
    show_image(model, image, BOXES, out)
    assert 'no joint is drawn: all are outside the image\n' in capsys.readouterr().err


def test_boxes_that_are_of_no_use_are_refused_before_anything_is_written(model, image, out):
    with pytest.raises(ValueError, match=r'--boxes has no box for a\.png'):
        show_image(model, image, BOXES[:0], out)
    with pytest.raises(ValueError, match=r'a\.png: box .* is outside'):
        show_image(model, image, BOXES + 50, out)
    assert list(out.folder.iterdir()) == []


def video_of(frames, folder):
    path = folder / 'v.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 12, (48, 48))
    for _ in range(frames):
        writer.write(np.zeros((48, 48, 3), np.uint8))
    writer.release()
    return path


def test_a_video(model, out, tmp_path, capsys):
    path = video_of(3, tmp_path)
    show_video(model, path, BOXES[:1], out)
    positions = out.folder / 'v.json'
    told = f'{out.folder / "v.mp4"}: 3 frames, 3 of 6 joints\n{positions}\n'
    assert capsys.readouterr().out.endswith(told)
    found = json.loads(positions.read_text())
    assert found['joints'] == ['left_hand', 'right_hand'] and found['skeleton'] == [[0, 1]]
    assert [frame['frame_id'] for frame in found['frames']] == [0, 1, 2]
    assert found['frames'][2]['people'][0]['keypoints'] == [[10, 20], [500, 20]]
    with pytest.raises(ValueError, match=r'--boxes has no box for v\.avi'):
        show_video(model, path, BOXES[:0], out)


def detected(detect):
    return demo_outputs.demo.DetectedPeople(detect)


def test_people_of_a_detector(model, image, out, tmp_path, capsys):
    show_image(model, image, None, out, detected(lambda image: BOXES))
    assert capsys.readouterr().out.startswith(f'{out.folder / "a.png"}: 2 people, 2 of 4 joints')
    before = (out.folder / 'a.png').read_bytes()
    with pytest.raises(ValueError, match=r'a\.png: nobody is found; give --boxes'):
        show_image(model, image, None, out, detected(lambda image: BOXES[:0]))
    assert (out.folder / 'a.png').read_bytes() == before
    path = video_of(3, tmp_path)
    people = iter([BOXES, BOXES[:0], BOXES[:1]])
    show_video(model, path, None, out, detected(lambda frame: next(people)))
    frames = json.loads((out.folder / 'v.json').read_text())['frames']
    assert [len(frame['people']) for frame in frames] == [2, 0, 1]


def everybody(count, alone=False):
    """A network for several people that finds so many, with belief 0.25."""

    def poses(self, model, image):
        points = np.tile([[10.0, 20.0], [20.0, 20.0]], (count, 1, 1))
        boxes = np.tile([0.0, 0.0, 30.0, 40.0], (count, 1))
        return Poses(points, np.full((count, 2), 0.25), boxes, PAIR, image)

    found = type('Everybody', (demo_outputs.demo.SeveralPeople,), {'poses': poses})
    return found(network=None, alone=alone)


def test_everybody_whom_a_network_finds(model, image, out, capsys):
    out = out._replace(json=False)
    show_image(model, image, None, out, everybody(3))
    assert ': 3 people, 6 of 6 joints\n' in capsys.readouterr().out
    show_image(model, image, BOXES, out, everybody(3))  # boxes come first
    assert ': 2 people, 2 of 4 joints\n' in capsys.readouterr().out
    with pytest.raises(ValueError, match=r'a\.png: nobody is found; give --boxes'):
        show_image(model, image, None, out, everybody(0))


@pytest.mark.parametrize('alone', [False, True])
def test_fields_are_drawn_beside_the_stages_of_each_person(model, image, out, monkeypatch, alone):
    from matplotlib.figure import Figure

    monkeypatch.setattr(demo_outputs.demo, 'fields_of_image', lambda *_: Figure())
    monkeypatch.setattr(demo_outputs.demo, 'stages_figure', lambda *_: Figure())
    out = out._replace(json=False, stages=True)
    show_image(model, image, None, out, everybody(2, alone))
    stages = [] if alone else ['a_stages_1.png', 'a_stages_2.png']
    assert sorted(path.name for path in out.folder.iterdir()) == ['a.png', 'a_fields.png', *stages]
