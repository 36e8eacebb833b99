"""Stock's inferencers with the paper's configs, where nothing is annotated."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmpose.apis import inference_topdown, init_model
from mmpose.apis.inferencers import Pose2DInferencer

CONFIGS = Path(__file__).parents[2] / 'configs' / 'body_2d_keypoint' / 'topdown_heatmap'
JOINTS = dict(coco=17, flic=9, lsp=14, lspet=14, mpii=16)
BOXES = np.array([[20.0, 30, 100, 190], [90, 10, 150, 110]])
IMAGE = np.random.default_rng(0).integers(0, 256, (200, 240, 3), dtype=np.uint8)


@pytest.fixture(params=JOINTS)
def dataset(request):
    return request.param


@pytest.fixture
def config(dataset, tmp_path):
    """The paper's config with a narrow network."""
    (path,) = (CONFIGS / dataset).glob('td-hm_cpm-?s_paper_*.py')
    cfg = Config.fromfile(path)
    cfg.model.backbone.channels = cfg.model.head.in_channels = cfg.model.head.channels = 4
    cfg.model.head.first_stage_channels = 8
    cfg.dump(tmp_path / 'narrow.py')
    return str(tmp_path / 'narrow.py')


def test_every_box_has_a_crop_of_its_own(config, dataset):
    torch.manual_seed(0)
    model = init_model(config, device='cpu')
    assert model.dataset_meta['num_keypoints'] == JOINTS[dataset]
    samples = inference_topdown(model, IMAGE, BOXES)
    for sample, (left, top, right, bottom) in zip(samples, BOXES, strict=True):
        assert sample.pred_instances.keypoints.shape == (1, JOINTS[dataset], 2)
        middle = [(left + right) / 2, (top + bottom) / 2]
        assert sample.metainfo['input_center'] == pytest.approx(middle)
        # 314 pixels for a person of 200, the longer side of the box
        side = max(right - left, bottom - top) * 368 * 35 / 41 / 200
        assert sample.metainfo['input_scale'] == pytest.approx(side)


def test_stock_inferencer_runs(config, dataset, tmp_path):
    torch.manual_seed(0)
    model = init_model(config, device='cpu')
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'weights.pth')
    inferencer = Pose2DInferencer(
        config, str(tmp_path / 'weights.pth'), device='cpu', det_model='whole_image'
    )
    (result,) = inferencer(IMAGE, return_vis=True)
    ((person,),) = result['predictions']
    assert np.shape(person['keypoints']) == (JOINTS[dataset], 2)
    assert result['visualization'][0].shape == IMAGE.shape
