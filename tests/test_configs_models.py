"""Every config builds a network that learns and predicts."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmengine')

from cpm_testing.configs import LEAVES, datasets, load, meta_of, random_batch
from cpm_testing.extras import skip_without_timm

from cpm_plugin import create_model
from cpm_plugin.core.maps.joint_sets import JOINT_SETS

from mmpose.registry import KEYPOINT_CODECS, MODELS

pytestmark = pytest.mark.filterwarnings('ignore:The metainfo config file')


@pytest.mark.parametrize(
    'name, config',
    [
        ('cpm_6s_bn', 'lspet/td-hm_cpm-6s_1xb32-100e_lspet-368x368'),
        ('cpm_k7_6s', 'lspet/td-hm_cpm-k7-6s-amp_1xb32-12e_lspet-256x256'),
        ('cpm_slim_3s', 'lspet/td-hm_cpm-slim-3s_1xb32-24e_lspet-128x128'),
        ('cpm_lite0_3s', 'lspet/td-hm_cpm-lite0-3s_1xb32-4e_lspet-256x256'),
        ('cpm_movenet_3s', 'lspet/td-hm_cpm-movenet-3s-second_1xb32-6e_lspet-256x256'),
        ('cpm_lightning_3s', 'lspet/td-hm_cpm-lightning-3s_1xb32-8e_lspet-192x192'),
        (
            'cpm_movenet_coco_3s',
            'coco/td-hm_cpm-movenet-3s_1xb32-4e_coco-lspet-256x256',
        ),
    ],
)
def test_named_models_are_those_of_the_configs(name, config, tmp_path):
    model = load(LEAVES[0].parents[1] / f'{config}.py').model
    skip_without_timm(model.backbone)
    model.backbone.pop('encoder_weights', None)
    built = torch.nn.ModuleDict({part: MODELS.build(model[part]) for part in ('backbone', 'head')})
    torch.save(built.eval().state_dict(), tmp_path / 'weights.pth')
    plain = create_model(name, checkpoint=tmp_path / 'weights.pth').eval()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        beliefs = built['head'](built['backbone'](image))
        for ours, named in zip(beliefs, plain(image), strict=True):
            assert ours.abs().max() > 0 and torch.equal(ours, named)
    # what a small image hardly shows
    assert plain.trunks.center_map_sigma == model.backbone.center_map_sigma


# -- a step of training and of testing


def shrink(cfg):
    """Large inputs at a quarter of the side, to be quick; the network stays as configured."""
    decoder = cfg.model.head.decoder
    if max(decoder.input_size) >= 256:
        stride = decoder.input_size[0] // decoder.heatmap_size[0]
        decoder.heatmap_size = tuple(side // 4 // stride for side in decoder.input_size)
        decoder.input_size = tuple(stride * cells for cells in decoder.heatmap_size)
    return cfg


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_one_step_of_training_and_a_prediction(path):
    cfg = shrink(load(path))
    skip_without_timm(cfg.model.backbone)
    torch.manual_seed(0)
    if cfg.model.backbone.get('init_cfg'):
        cfg.model.backbone.init_cfg = None  # pretrained weights would be downloaded
    if cfg.model.backbone.get('encoder_weights'):
        cfg.model.backbone.encoder_weights = None
    model = MODELS.build(cfg.model)
    model.init_weights()
    codec = cfg.model.head.decoder
    KEYPOINT_CODECS.build(codec)
    own = cfg.model.head.get('joints')
    meta = meta_of(datasets(cfg.train_dataloader)[0])
    predicted = meta['num_keypoints']
    if own is not None:
        names = JOINT_SETS[own]
        meta = dict(num_keypoints=len(names.names), flip_indices=names.flip_indices)
    joints = meta['num_keypoints']

    data = model.data_preprocessor(random_batch(codec, meta, 1), training=True)
    bfloat16 = cfg.optim_wrapper.get('type') == 'Bfloat16OptimWrapper'
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=bfloat16):
        log = model(**data, mode='loss')
    total, _ = model.parse_losses(log)
    assert torch.isfinite(total) and total > 0
    if cfg.model.head.type == 'CPMStageHead':
        stages = cfg.model.head.get('num_stages', 6)
        expected = {f'{kind}_stage{t + 1}' for kind in ('loss', 'acc') for t in range(stages)}
        assert set(log) == expected
    total.backward()
    for key, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue  # of frozen groups
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    for part in (model.backbone, model.head):
        gradients = [p.grad.abs().max() for p in part.parameters() if p.requires_grad]
        assert not gradients or max(gradients) > 0

    model.eval()
    model.test_cfg['output_heatmaps'] = True
    with torch.no_grad():
        (result,) = model(**data, mode='predict')
    keypoints = result.pred_instances.keypoints
    assert keypoints.shape == (1, predicted, 2) and np.isfinite(keypoints).all()
    width, height = codec['heatmap_size']
    assert tuple(result.pred_fields.heatmaps.shape) == (joints, height, width)
