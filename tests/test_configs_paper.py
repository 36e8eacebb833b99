"""The configs named after the paper follow the authors' recipe."""

import pytest
import torch

pytest.importorskip('mmengine')

from cpm_testing.configs import LEAVES, datasets, load, loaders, step
from mmengine.optim import build_optim_wrapper

from mmpose.registry import MODELS, TRANSFORMS

pytestmark = pytest.mark.filterwarnings('ignore:The metainfo config file')


# -- the authors' recipe

PAPER = [path for path in LEAVES if '_paper_' in path.stem]


@pytest.mark.parametrize('path', PAPER, ids=lambda path: path.stem)
def test_recipe_of_the_authors(path):
    cfg = load(path)
    size = dict(input_size=(368, 368), heatmap_size=(46, 46))
    codec = dict(type='CPMHeatmap', **size, sigma=7.0, background=True, mask_outside=False)
    codec['mask_unlabeled'] = path.parent.name == 'coco'  # the listed deviation
    decoder = dict(cfg.model.head.decoder)
    assert decoder.pop('all_people', False) == (path.parent.name in ('coco', 'flic', 'mpii'))
    assert decoder == codec
    assert cfg.model.head.loss == dict(type='IntermediateSupervisionLoss', reduction='sum')
    assert cfg.model.head.dropout == (0.0 if 'vgg' in path.stem else 0.5)
    assert cfg.model.head.get('norm_cfg') is cfg.model.backbone.get('norm_cfg') is None
    assert cfg.model.head.center_map and cfg.model.backbone.center_map_sigma == 21.0
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_cfg.max_iters == 600_000
    (schedule,) = cfg.param_scheduler
    assert (schedule.step_size, schedule.gamma) == (136_106, 0.333)
    assert not schedule.by_epoch and not cfg.default_hooks.checkpoint.by_epoch
    for dataset in datasets(cfg.train_dataloader):
        kinds = [step['type'] for step in dataset['pipeline']]
        order = ('RandomFlip', 'GetPersonCenterScale', 'RandomScaleRotate', 'PersonCrop')
        assert [kind for kind in kinds if kind in order] == list(order)
        moved = 15.0 if dataset['type'] == 'MpiiDataset' else 0.0
        center = step(dataset['pipeline'], 'GetPersonCenterScale')
        assert center == dict(
            type='GetPersonCenterScale', **({'moved_down': moved} if moved else {})
        )
        augmentation = step(dataset['pipeline'], 'RandomScaleRotate')
        assert augmentation == dict(type='RandomScaleRotate', scale=(0.7, 1.3), rotate=40.0)
        flip = TRANSFORMS.build(step(dataset['pipeline'], 'RandomFlip'))
        assert flip.prob == 0.5
        if dataset['type'] == 'LspDataset':
            assert dataset['center_scale'] == 'authors'
    for loader in loaders(cfg):
        for dataset in datasets(loader):
            crop = TRANSFORMS.build(step(dataset['pipeline'], 'PersonCrop'))
            assert (crop.border, crop.interpolation, crop.center_map_sigma) == (128, 'cubic', 21.0)


@pytest.mark.parametrize('path', PAPER, ids=lambda path: path.stem)
def test_optimizer_of_the_authors(path):
    """lr_mult and decay_mult of every layer of the authors' training net, and its fillers."""
    cfg = load(path)
    if 'vgg' in path.stem:
        pytest.skip('the authors have not published how they trained the VGG network')
    cfg.model.backbone.channels = cfg.model.head.in_channels = cfg.model.head.channels = 16
    cfg.model.head.first_stage_channels = 64
    model = MODELS.build(cfg.model)
    torch.manual_seed(0)
    model.init_weights()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = set()
    for group in wrapper.optimizer.param_groups:
        assert group['momentum'] == 0.9
        for parameter in group['params']:
            name = names[id(parameter)]
            seen.add(name)
            bias = name.endswith('.bias')
            rate = 8e-5 * (5 if '.stage1_trunk.' in name or '.first.' in name else 1)
            assert group['lr'] == pytest.approx(rate * (2 if bias else 1), rel=1e-12), name
            assert group['weight_decay'] == (0 if bias else 5e-4), name
            if bias:
                assert not parameter.any(), name
            elif parameter.numel() > 5000:
                assert float(parameter.detach().std()) == pytest.approx(0.01, rel=0.05), name
    assert seen == set(names.values())
    assert sum('.stage1_trunk.' in name or '.first.' in name for name in seen) == 14
