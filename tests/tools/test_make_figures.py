"""The generated images are what their annotations say, and are made whole or not at all."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')
pytest.importorskip('rich')

from cpm_plugin.core.maps.joint_sets import LSP  # noqa: E402

SCRIPT = Path(__file__).resolve().parents[2] / 'tools' / 'make_figures.py'


@pytest.fixture(scope='module')
def run(run_tool):
    return partial(run_tool, 'make_figures.py')


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.fixture(scope='module')
def made(tmp_path_factory, start_tool):
    out = tmp_path_factory.mktemp('figures') / 'out'
    done = start_tool('make_figures.py', out, '--train', 6, '--val', 3, '--size', 64)
    assert done.returncode == 0, done.stderr
    return out


def test_layout_is_coco_key_points_with_the_joints_of_lsp(made):
    for split, count in (('train', 6), ('val', 3)):
        coco = json.loads((made / 'annotations' / f'{split}.json').read_text())
        assert coco['categories'][0]['keypoints'] == list(LSP.names)
        assert len(coco['images']) == len(coco['annotations']) == count
        for image, annotation in zip(coco['images'], coco['annotations']):
            assert cv2.imread(str(made / split / image['file_name'])).shape == (64, 64, 3)
            assert annotation['image_id'] == image['id']
            points = np.reshape(annotation['keypoints'], (14, 3))
            assert set(points[:, 2]) <= {1, 2}
            x, y, w, h = annotation['bbox']
            assert (points[:, :2] > (x, y)).all() and (points[:, :2] < (x + w, y + h)).all()


def test_splits_and_seeds_give_different_images_and_equal_arguments_equal_ones(made, tmp_path, run):
    again, other = tmp_path / 'again', tmp_path / 'other'
    assert run(again, '--train', 6, '--val', 3, '--size', 64).returncode == 0
    assert content(again) == content(made)
    assert run(other, '--train', 6, '--val', 3, '--size', 64, '--seed', 1).returncode == 0
    images = [
        data
        for folder in (made, other)
        for name, data in content(folder).items()
        if name.endswith('.jpg')
    ]
    assert len(set(images)) == 18


def test_some_joints_are_those_of_all_in_the_order_given_and_linked_toward_the_head(
    made, tmp_path, run
):
    names = ['left_wrist', 'head_top', 'left_shoulder', 'right_ankle']
    out = tmp_path / 'some'
    arguments = ['--train', 6, '--val', 3, '--size', 64, '--joints', ','.join(names)]
    assert run(out, *arguments).returncode == 0
    assert 'nothing to do' in run(out, *arguments).stdout
    some, full = (
        json.loads((folder / 'annotations' / 'val.json').read_text()) for folder in (out, made)
    )
    assert some['categories'][0]['keypoints'] == names
    # wrist to shoulder, shoulder to the top of the head, ankle past hip and neck to it
    assert some['categories'][0]['skeleton'] == [[3, 1], [2, 3], [2, 4]]
    for one, other in zip(some['annotations'], full['annotations']):
        points = np.reshape(other['keypoints'], (14, 3))[[LSP.index(name) for name in names]]
        assert np.reshape(one['keypoints'], (4, 3)).tolist() == points.tolist()
        assert one['num_keypoints'] == 4 and one['bbox'] == other['bbox']
    images = [content(folder / 'val') for folder in (out, made)]
    assert images[0] == images[1]


def test_made_once_and_never_written_over(made, run):
    before = content(made)
    done = run(made, '--train', 6, '--val', 3, '--size', 64)
    assert done.returncode == 0 and 'nothing to do' in done.stdout
    done = run(made, '--train', 7, '--val', 3, '--size', 64)
    assert done.returncode == 2 and 'exists' in done.stderr
    assert content(made) == before


@pytest.mark.parametrize(
    'arguments',
    [
        ['--train', '0'], ['--size', '47'], ['--val', 'x'], ['--joints', 'nose'],
        ['--joints', 'neck,neck'], ['--joints', ''], ['--people', '0'], ['--people', '3-2'],
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_and_leave_nothing(arguments, tmp_path, run):
    done = run(tmp_path / 'out', *arguments)
    assert done.returncode == 2 and arguments[0] in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupt_on_the_way_leaves_nothing(tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path / 'out'), '--train', '20000'],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a shell that runs the tests in the background has made us ignore Ctrl-C
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob('*.jpg')) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(tmp_path.rglob('*.jpg'))
        assert not (tmp_path / 'out').exists()
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and 'nothing was written' in message
    assert list(tmp_path.iterdir()) == []
