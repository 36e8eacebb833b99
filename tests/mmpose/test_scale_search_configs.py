"""The configs of the repository under ScaleSearchHook, and the stock test script with it."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cpm_testing.blobs import METAINFO, PEOPLE
from mmengine.config import Config
from mmengine.dataset import Compose

from cpm_plugin.mmpose.scale_peaks import search_scales

from mmpose.registry import HOOKS, KEYPOINT_CODECS, MODELS, TRANSFORMS

LEAVES = sorted((Path(__file__).parents[2] / 'configs' / 'body_2d_keypoint').rglob('*.py'))


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_every_config_can_be_searched(blobs, path):
    """Its own test pipeline and codec, all but the network itself."""
    cfg = Config.fromfile(path)
    head = cfg.model.head
    pipeline = Compose([TRANSFORMS.build(step) for step in cfg.test_dataloader.dataset.pipeline])
    loader = SimpleNamespace(
        dataset=SimpleNamespace(pipeline=pipeline),
        collate_fn=None,
        batch_sampler=SimpleNamespace(batch_size=32),
    )
    runner = SimpleNamespace(
        test_dataloader=loader, model=SimpleNamespace(head=object.__new__(MODELS.get(head.type)))
    )
    hook = HOOKS.build(dict(type='ScaleSearchHook'))
    if head.type != 'CPMStageHead':
        with pytest.raises(ValueError, match='needs a model with a CPMStageHead'):
            hook.before_test(runner)
        return
    hook.before_test(runner)
    assert loader.batch_sampler.batch_size == 4

    (width, height), (left, top, right, bottom), _ = PEOPLE[0]
    packed = pipeline(
        dict(
            img_path=str(blobs / '1.png'),
            bbox=np.array([[left, top, right, bottom]], dtype=np.float32),
            bbox_score=np.ones(1, dtype=np.float32),
        )
    )
    codec = KEYPOINT_CODECS.build(head.decoder)
    across, down = codec.input_size
    channels = (
        4 if any(getattr(step, 'center_map_sigma', None) for step in pipeline.transforms) else 3
    )
    assert packed['inputs'].shape == (7, channels, down, across)
    columns, rows = codec.heatmap_size
    (found,) = search_scales(torch.rand(7, 5, rows, columns), [packed['data_samples']], codec)
    meta = packed['data_samples'].metainfo
    # as the estimator does
    in_image = found.keypoints[0] / (across, down) * meta['input_scale']
    in_image += meta['input_center'] - meta['input_scale'] / 2
    np.testing.assert_allclose(in_image, in_image.round(), atol=1e-3)
    assert (in_image > -0.5).all() and (in_image < (width - 0.5, height - 0.5)).all()


SMALL = """
_base_ = {base!r}

people = dict(
    type='CocoDataset', data_root={data!r}, ann_file='people.json', test_mode=True,
    pipeline=_base_.test_dataloader.dataset.pipeline, metainfo={metainfo!r})
test_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(_delete_=True, **people))
test_evaluator = dict(type='EPE', _delete_=True)
model = dict(
    backbone=dict(channels=4),
    head=dict(
        in_channels=4, num_keypoints=3, joints=None, output_joints=None, channels=4,
        reduced_channels=4, first_stage_channels=8))
del people
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, options',
    [
        ('lspet/td-hm_cpm-slim-3s_*-12e_lspet-128x128.py', []),
        (
            'coco/td-hm_cpm-6s_paper_*_coco-368x368.py',
            ['center_scale.type=GetOctaveCenterScale', 'scales=1.0,1.2'],
        ),
    ],
)
def test_stock_test_script_with_the_switch(blobs, tmp_path, repo, run_tool, name, options):
    """Untrained weights: what counts is that the switch alone gives whole pixels."""
    (base,) = (repo / 'configs' / 'body_2d_keypoint' / 'topdown_heatmap').glob(name)
    path, weights, dump = (tmp_path / part for part in ('small.py', 'small.pth', 'found.pkl'))
    path.write_text(SMALL.format(base=str(base), data=str(blobs), metainfo=METAINFO))
    model = MODELS.build(Config.fromfile(path).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
    switch = 'default_hooks.scale_search.'
    found = []
    for arguments in (
        [],
        [f'{switch}type=ScaleSearchHook', *(switch + option for option in options)],
    ):
        done = run_tool(
            'test.py', path, weights, '--work-dir', tmp_path / 'work', '--dump', dump,
            *(['--cfg-options', *arguments] if arguments else []),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        with dump.open('rb') as file:
            samples = pickle.load(file)
        found.append([sample['pred_instances']['keypoints'][0] for sample in samples])
    plain, searched = found
    assert len(plain) == len(searched) == len(PEOPLE)
    for positions, ((width, height), _, _) in zip(searched, PEOPLE):
        np.testing.assert_allclose(positions, positions.round(), atol=1e-3)
        assert (positions > -0.5).all() and (positions < (width - 0.5, height - 0.5)).all()
    assert np.abs(np.array(plain) - np.round(plain)).max() > 1e-2
