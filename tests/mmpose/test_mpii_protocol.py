"""The authors' 14 joints on MPII, from the paper's config to the figures of stock's evaluator.

In place of the network a model that reads colored discs: joints must be found, whatever crop,
flip, search over scales and change of joints do on the way.
"""

import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from cpm_testing.registries import registered
from mmengine.config import Config
from mmengine.runner import Runner
from random_caffe import random_layers, write_caffemodel
from scipy.io import savemat
from torch import nn

from cpm_plugin.core.maps.joint_sets import CPM, MPII
from cpm_plugin.mmpose import CPMStageHead

from mmpose.registry import MODELS

(CONFIG,) = Path(__file__).parents[2].glob('configs/*/*/mpii/td-hm_cpm-6s_paper_*.py')
# of the authors' joints; darkened at the edge of a disc none becomes another one
COLORS = np.array([c for c in itertools.product((0, 120, 240), repeat=3) if 240 in c][:14])
# x, y in a person of 180 pixels, who faces us: the right side is on the left
PLACES = dict(
    head_top=(0, -90), neck=(0, -55), thorax=(0, -50), pelvis=(0, 0),
    right_shoulder=(-25, -50), right_elbow=(-45, -25), right_wrist=(-60, 5),
    left_shoulder=(25, -50), left_elbow=(45, -25), left_wrist=(55, -60),
    right_hip=(-16, 0), right_knee=(-20, 45), right_ankle=(-22, 88),
    left_hip=(16, 0), left_knee=(30, 40), left_ankle=(28, 85),
)  # fmt: skip


class SeesDiscs(nn.Module):
    """Image -> how much of each cell has the color of each joint, in the authors' order.

    In a mirrored image colors stay and sides change: it looks which shoulder is further left.
    """

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        assert x.shape[1] == 4 and (x[:, 3].amax(dim=(1, 2)) > 0.99).all()  # the center map
        colors = torch.tensor((COLORS - 128) / 256, dtype=x.dtype)
        distance = ((x[:, None, :3] - colors[None, :, :, None, None]) ** 2).sum(dim=2)
        maps = nn.functional.avg_pool2d(torch.exp(-distance / (2 * 0.06**2)), 8)
        columns = torch.arange(maps.shape[3])
        middle = (maps.sum(2) * columns).sum(2) / maps.sum((2, 3))
        mirrored = middle[:, CPM.index('right_shoulder')] > middle[:, CPM.index('left_shoulder')]
        maps[mirrored] = maps[mirrored][:, list(CPM.flip_indices)]
        return maps * self.weight


class DiscHead(CPMStageHead):
    def forward(self, feats):
        return [feats]


@pytest.fixture(scope='module', autouse=True)
def discs():
    with registered(MODELS, SeesDiscs, DiscHead):
        yield


def save_truth(path, truth):
    """What stock's evaluator reads, of people with joints (16, 2), inside (16,) and scale."""
    heads = [np.array([[0, 0], [0, 40 * scale]]) for _, _, scale in truth]
    names = 'rank rkne rhip lhip lkne lank pelv thor neck head rwri relb rsho lsho lelb lwri'
    savemat(
        path,
        dict(
            dataset_joints=np.array(names.split(), dtype=object)[None],
            jnt_missing=np.stack([~inside for _, inside, _ in truth], axis=1).astype(float),
            pos_gt_src=np.stack([joints for joints, _, _ in truth], axis=2),
            headboxes_src=np.stack(heads, axis=2),
        ),
    )


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Three people in MPII's layout, of scale 0.8, 1 and 1.3, one of them cut off."""
    root = tmp_path_factory.mktemp('mpii')
    (root / 'images').mkdir()
    (root / 'annotations').mkdir()
    people, truth = [], []
    for number, (scale, center) in enumerate(
        [(0.8, (150, 140)), (1.0, (210, 118)), (1.3, (200, 60))]
    ):
        image = np.zeros((260, 340, 3), np.uint8)
        joints = np.array([PLACES[name] for name in MPII.names]) * scale + center
        for color, name in zip(COLORS.tolist(), CPM.names, strict=True):
            middle = np.round(joints[MPII.index(name)]).astype(int).tolist()
            cv2.circle(image, middle, round(5 * scale), color, -1)
        cv2.imwrite(str(root / 'images' / f'{number}.png'), image)
        inside = ((joints >= 0) & (joints < (340, 260))).all(axis=1)
        people.append(
            dict(
                image=f'{number}.png', center=[center[0] + 1, center[1] + 1], scale=scale,
                joints=(joints + 1).tolist(), joints_vis=inside.astype(int).tolist(),
            )
        )  # fmt: skip
        truth.append((joints + 1, inside, scale))
    for split in ('train', 'val'):
        (root / 'annotations' / f'mpii_{split}.json').write_text(json.dumps(people))
    save_truth(root / 'annotations' / 'mpii_gt_val.mat', truth)
    return root


@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('search', [False, True], ids=['one scale', 'seven scales'])
def test_all_joints_are_found(root, tmp_path, search, flip):
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = f'{root.name}_{search}_{flip}'
    cfg.log_level = 'ERROR'
    cfg.model.backbone = dict(type='SeesDiscs')
    cfg.model.head.update(type='DiscHead', num_stages=1, target_fields='heatmaps')
    cfg.model.test_cfg.flip_test = flip
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    dataset = cfg.test_dataloader.dataset
    dataset.update(data_root=str(root), headbox_file=str(root / 'annotations/mpii_gt_val.mat'))
    if search:
        cfg.default_hooks.scale_search = dict(type='ScaleSearchHook')
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        cfg[key] = None
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator', 'auto_scale_lr'):
        cfg[key] = None
    figures = Runner.from_cfg(cfg).test()
    # the second: within 0.1 x 0.6 x 40 = 2.4 pixels at scale 1, where a cell is 6.8 and a shift
    # of the center as in stock's crop 15
    assert figures['PCK'] == figures['PCK@0.1'] == 100


@pytest.mark.full
def test_converted_weights_through_the_stock_script(tmp_path, repo, shared_data):
    """Random weights of the authors' network on MMPose's five samples of MPII: it runs, and the
    search over scales gives other positions, whole pixels of the image."""
    samples = shared_data / 'mmpose_samples' / 'mpii'
    if not samples.is_dir():
        pytest.skip(f'{samples} is not here')
    write_caffemodel(tmp_path / 'random.caffemodel', random_layers('cpm_mpii', 0))
    tool = [sys.executable, '-W', 'ignore', repo / 'tools' / 'convert_caffe.py']
    weights = tmp_path / 'random.pth'
    convert = [*tool, tmp_path / 'random.caffemodel', weights, '--model', 'cpm_mpii']
    subprocess.run(convert, check=True)
    people = json.loads((samples / 'test_mpii.json').read_text())
    truth = [
        (np.array(person['joints']), np.array(person['joints_vis']) > 0, person['scale'])
        for person in people
    ]
    save_truth(tmp_path / 'truth.mat', truth)
    found = []
    for name, switch in (
        ('one', []),
        ('seven', ['default_hooks.scale_search.type=ScaleSearchHook']),
    ):
        options = [
            f'test_dataloader.dataset.data_root={samples}/',
            'test_dataloader.dataset.ann_file=test_mpii.json',
            'test_dataloader.dataset.data_prefix.img=',
            f'test_dataloader.dataset.headbox_file={tmp_path}/truth.mat',
            *switch,
        ]
        tool = [sys.executable, '-W', 'ignore', repo / 'tools' / 'test.py', CONFIG, weights]
        out = ['--work-dir', tmp_path / name, '--dump', tmp_path / f'{name}.pkl']
        subprocess.run([*tool, *out, '--cfg-options', *options], check=True)
        dumped = pickle.loads((tmp_path / f'{name}.pkl').read_bytes())
        found.append([sample['pred_instances']['keypoints'] for sample in dumped])
    one, seven = np.concatenate(found[0]), np.concatenate(found[1])
    assert one.shape == seven.shape == (len(people), 16, 2)
    whole = [joint for joint in range(16) if joint not in (6, 7)]  # pelvis and thorax are means
    np.testing.assert_allclose(seven[:, whole], seven[:, whole].round(), atol=1e-3)
    assert np.abs(one - seven).max() > 1
