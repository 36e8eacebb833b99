"""The program that checks a dataset: its exit codes, its table, its file, and what it refuses."""

import json
import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('mmengine')

REPO = Path(__file__).resolve().parents[2]
(FIGURES,) = REPO.glob('configs/body_2d_keypoint/topdown_heatmap/figures/*.py')

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def clean(tmp_path_factory, run_tool):
    folder = tmp_path_factory.mktemp('clean') / 'figures'
    made = run_tool('make_figures.py', folder, '--train', 8, '--val', 3, '--size', 64)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def check(run_tool):
    return partial(run_tool, 'check_dataset.py', FIGURES)


def at(folder):
    splits = ('train', 'val', 'test')
    return ['--cfg-options', *(f'{s}_dataloader.dataset.data_root={folder}/' for s in splits)]


def test_a_clean_set(clean, check):
    done = check(*at(clean))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == 'nothing wrong'
    assert f'train: FiguresDataset, {clean}/annotations/train.json: 8 images, 8 people' in lines
    assert f'val, test: FiguresDataset, {clean}/annotations/val.json: 3 images, 3 people' in lines


def test_several_people_in_an_image_are_nothing_wrong(tmp_path, check, run_tool):
    folder = tmp_path / 'crowds'
    made = run_tool(
        'make_figures.py', folder, '--train', 8, '--val', 1, '--size', 96, '--people', '2-5'
    )
    assert made.returncode == 0, made.stderr
    number = len(json.loads((folder / 'annotations' / 'train.json').read_text())['annotations'])
    for mode in ('topdown', 'bottomup'):
        done = check(*at(folder), f'train_dataloader.dataset.data_mode={mode}')
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == 'nothing wrong'
        assert f'train.json: 8 images, {number} people' in done.stdout


def test_planted_faults(clean, check, tmp_path):
    """One fault in each image and annotation of the training set; the validation set stays."""
    broken = tmp_path / 'figures'
    shutil.copytree(clean, broken)
    file = broken / 'annotations' / 'train.json'
    content = json.loads(file.read_text())
    paths = [broken / 'train' / image['file_name'] for image in content['images']]
    people = content['annotations']
    paths[0].unlink()
    paths[1].write_bytes(b'')
    paths[2].write_bytes(paths[2].read_bytes()[:-9])
    cv2.imwrite(str(paths[3]), np.zeros((64, 32, 3), np.uint8))
    people[4]['keypoints'][0] = 70
    people[5]['bbox'][2] = -1
    people[6]['keypoints'][:2] = float('nan'), float('nan')
    names = content['categories'][0]['keypoints']
    swapped = {'right_shoulder': 20, 'left_shoulder': 40, 'right_hip': 40, 'left_hip': 20}
    for name, x in swapped.items():
        y = 20 if 'shoulder' in name else 50
        channel = 3 * names.index(name)
        people[7]['keypoints'][channel : channel + 3] = x, y, 2
    file.write_text(json.dumps(content))
    expected = {
        'missing': (paths[0], None), 'empty': (paths[1], None), 'truncated': (paths[2], None),
        'size': (paths[3], None), 'outside': (paths[4], people[4]['id']),
        'box_negative': (paths[5], people[5]['id']), 'not_finite': (paths[6], people[6]['id']),
        'swapped': (paths[7], people[7]['id']), 'left_out_box': (paths[5], people[5]['id']),
    }  # fmt: skip

    out = tmp_path / 'new' / 'found.json'
    done = check('--json', out, '--workers', 2, *at(broken))
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == '7 errors, 1 suspicion, 1 note'
    train, validation = json.loads(out.read_text())
    assert train['counts'] == dict.fromkeys(expected, 1) and validation['findings'] == []
    found = {f['kind']: (Path(f['image']), f['annotation']) for f in train['findings']}
    assert found == expected
    for kind, (path, person) in expected.items():
        (row,) = [line for line in done.stdout.splitlines() if f'| {kind} |' in line]
        assert f'| 1 | {path}' in row and (person is None or f'annotation {person}' in row)
    assert check('--split', 'val', *at(broken)).returncode == 0
    nothing_but_counts = check('--split', 'train', '--examples', 0, *at(broken))
    assert nothing_but_counts.returncode == 1
    assert str(paths[0]) not in nothing_but_counts.stdout


def test_a_missing_folder_is_named(run_tool, tmp_path):
    done = run_tool('check_dataset.py', FIGURES, *at(tmp_path))
    assert (
        done.returncode == 2 and f'{tmp_path}/annotations/train.json: no such file' in done.stderr
    )
    assert 'Traceback' not in done.stderr


def test_wrong_arguments(clean, check, run_tool, tmp_path):
    (tmp_path / 'broken.py').write_text('model = (')
    for arguments, message in (
        (['--workers', 0], '--workers 0: must be at least 1'),
        (['--examples', -1], '--examples -1: must be at least 0'),
        (['--split', 'all'], "invalid choice: 'all'"),
        (['--json', tmp_path], f'--json {tmp_path}: is a folder'),
    ):
        done = check(*arguments, *at(clean))
        assert done.returncode == 2 and message in done.stderr, done.stderr
    for name, message in (('none.py', 'no such file'), ('broken.py', "'(' was never closed")):
        done = run_tool('check_dataset.py', tmp_path / name)
        assert done.returncode == 2 and message in done.stderr, done.stderr
