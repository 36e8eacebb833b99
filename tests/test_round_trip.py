"""Train, validate, save, resume and test with MMPose's own scripts on a tiny dataset."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('mmengine')

from cpm_plugin.mmpose.__main__ import run_script

pytestmark = pytest.mark.slow

REPO = Path(__file__).resolve().parents[1]
SLIM = 'configs/body_2d_keypoint/topdown_heatmap/lspet/td-hm_cpm-slim-3s_1xb32-12e_lspet-128x128.py'

CONFIG = """
_base_ = {base!r}

codec = dict(
    type='CPMHeatmap', input_size=(64, 64), heatmap_size=(8, 8), sigma=7., background=True)
sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {{}})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **sized.get(step['type'], {{}})) for step in _base_.val_pipeline]

model = dict(
    backbone=dict(channels=8),
    head=dict(
        in_channels=8, num_stages={num_stages}, channels=8, first_stage_channels=8, decoder=codec))


def loader(image_range, pipeline):
    return dict(
        batch_size=4,
        num_workers=0,
        persistent_workers=False,
        dataset=dict(data_root={data_root!r}, image_range=image_range, pipeline=pipeline))


train_dataloader = loader((1, 8), train_pipeline)
val_dataloader = loader((1, 8), val_pipeline)
test_dataloader = val_dataloader
del loader

train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=-1, save_best=None))
randomness = dict(seed=0)
"""


def write_config(folder, name='tiny.py', num_stages=2, data_root=None):
    path = folder / name
    (base,) = REPO.glob(SLIM)
    path.write_text(
        CONFIG.format(
            base=str(base),
            num_stages=num_stages,
            data_root=f'{data_root or folder / "data"}/',
        )
    )
    return path


def scalars(folder):
    """The log of the newest run in a work directory, a dict a line."""
    newest = max(folder.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in newest.read_text().splitlines()]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """8 images in the layout of LSP Extended, and the config."""
    import cv2
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp('round_trip')
    images = folder / 'data' / 'images'
    images.mkdir(parents=True)
    generator = np.random.default_rng(0)
    joints = generator.uniform(20, 76, (14, 3, 8))
    joints[:, 2] = generator.random((14, 8)) < 0.9
    joints[[2, 3, 8, 9], 2] = 1  # hips and shoulders: everybody has a torso
    savemat(folder / 'data' / 'joints.mat', {'joints': joints})
    for number in range(1, 9):
        image = generator.integers(0, 256, (96, 96, 3), dtype=np.uint8)
        assert cv2.imwrite(str(images / f'im{number:05d}.jpg'), image)
    write_config(folder)
    return folder


@pytest.fixture(scope='module')
def trained(folder, start_tool, run_tool):
    """Two epochs; then resumed for a third."""
    work_dir = folder / 'work'
    first = start_tool('train.py', folder / 'tiny.py', '--work-dir', work_dir)
    assert first.returncode == 0, first.stderr[-3000:]
    first_log = scalars(work_dir)
    time.sleep(1)  # logs are named after the second
    second = run_tool(
        'train.py',
        folder / 'tiny.py',
        '--work-dir',
        work_dir,
        '--resume',
        '--cfg-options',
        'train_cfg.max_epochs=3',
    )
    assert second.returncode == 0, second.stderr[-3000:]
    return dict(work_dir=work_dir, first=first_log, second=scalars(work_dir))


def test_training_logs_every_iteration_and_validation(trained):
    losses = [entry for entry in trained['first'] if 'loss_stage1' in entry]
    assert [entry['iter'] for entry in losses] == [1, 2, 3, 4]
    assert [entry['epoch'] for entry in losses] == [1, 1, 2, 2]
    for entry in losses:
        assert entry['loss'] == pytest.approx(entry['loss_stage1'] + entry['loss_stage2'], rel=1e-4)
    validations = [entry for entry in trained['first'] if 'torso/PCK' in entry]
    assert [entry['step'] for entry in validations] == [1, 2]
    assert all(entry['torso/num_images'] == 8 for entry in validations)


def test_resumed_training_continues_after_the_last_epoch(trained):
    losses = [entry for entry in trained['second'] if 'loss_stage1' in entry]
    assert [(entry['epoch'], entry['iter']) for entry in losses] == [(3, 5), (3, 6)]
    second, third = (
        torch.load(trained['work_dir'] / f'epoch_{epoch}.pth', weights_only=False)
        for epoch in (2, 3)
    )
    assert (second['meta']['iter'], third['meta']['iter']) == (4, 6)
    steps = [state['step'].item() for state in third['optimizer']['state'].values()]
    assert set(steps) == {6}  # Adam's moments went on, too


@pytest.fixture(scope='module')
def tested(folder, trained, run_tool):
    return run_tool(
        'test.py',
        folder / 'tiny.py',
        trained['work_dir'] / 'epoch_3.pth',
        '--work-dir',
        folder / 'test',
    )


def test_stock_test_script_repeats_the_figures_of_the_last_validation(folder, trained, tested):
    assert tested.returncode == 0, tested.stderr[-3000:]
    assert 'torso/PCK:' in tested.stdout + tested.stderr
    (validation,) = (entry for entry in trained['second'] if 'torso/PCK' in entry)
    report = max((folder / 'test').glob('*/*.json'))
    figures = json.loads(report.read_text())
    keys = {key for key in validation if key.startswith('torso/')}
    assert {'torso/PCK', 'torso/AUC', 'torso/PCK_head', 'torso/num_joints'} <= keys
    assert {key: figures[key] for key in keys} == {key: validation[key] for key in keys}


def test_published_weights_load_into_the_core_without_openmmlab(folder, trained, monkeypatch):
    raw, published = trained['work_dir'] / 'epoch_3.pth', folder / 'published.pth'
    monkeypatch.setattr(sys, 'argv', [])
    run_script('tools/misc/publish_model.py', [str(raw), str(published)])
    end = time.monotonic() + 20  # stock renames the file by a process that it does not wait for
    while not list(folder.glob('published-*.pth')) and time.monotonic() < end:
        time.sleep(0.05)
    (published,) = folder.glob('published-*.pth')  # stock adds a part of the checksum
    code = f"""
import sys
for name in ('mmpose', 'mmengine', 'mmcv'):
    sys.modules[name] = None
from cpm_plugin import create_model
sizes = dict(num_stages=2, channels=8, first_stage_channels=8)
print(create_model('cpm_slim_3s', checkpoint={str(published)!r}, **sizes)
      .trunks.stage1_trunk.conv1.conv.weight.sum().item())
try:
    create_model('cpm_slim_3s', checkpoint={str(raw)!r}, **sizes)
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    total, refusal = done.stdout.splitlines()
    state = torch.load(raw, weights_only=False)['state_dict']
    key = 'backbone.trunks.stage1_trunk.conv1.conv.weight'
    assert float(total) == pytest.approx(state[key].sum().item(), rel=1e-5)
    assert 'epoch_3.pth cannot be read safely' in refusal
    assert 'python -m cpm_plugin.mmpose tools/misc/publish_model.py' in refusal


def test_checkpoint_of_other_stages_fails_with_a_message(folder, trained, run_tool):
    config = write_config(folder, 'three_stages.py', num_stages=3)
    done = run_tool(
        'test.py', config, trained['work_dir'] / 'epoch_2.pth', '--work-dir', folder / 'other'
    )
    assert done.returncode != 0
    message = done.stderr.splitlines()[-1]
    assert message.startswith('error: the checkpoint does not fit CPMStageHead')
    assert 'missing: stages.later.1.' in message
    assert 'strict_load' not in message  # that is for a training
    assert 'torso/PCK' not in done.stdout


def test_missing_data_fails_and_names_the_file(folder, run_tool):
    nowhere = folder / 'nowhere'
    config = write_config(folder, 'no_data.py', data_root=nowhere)
    done = run_tool('train.py', config, '--work-dir', folder / 'no_data')
    assert done.returncode != 0
    message = done.stderr.splitlines()[-1]
    assert re.match(rf'error: {re.escape(str(nowhere / "joints.mat"))}: no such file', message)
    assert 'data_root' in message
