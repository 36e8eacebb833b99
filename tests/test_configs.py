"""Every config builds, learns and predicts, and agrees with its name and with itself."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('mmpose')

import cpm_plugin.mmpose  # noqa: F401, I001  (stock modules can be imported after this only)
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.registry import DATASETS, KEYPOINT_CODECS, METRICS, MODELS, TRANSFORMS

from cpm_plugin import create_model
from cpm_plugin.core.maps.geometry import pooled_size
from cpm_plugin.core.maps.joints import JOINT_SETS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LEAVES = sorted((CONFIGS / 'body_2d_keypoint').rglob('*.py'))
NAME = re.compile(
    r'td-hm_(?P<model>[a-z0-9_-]+?)_(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<length>\d+)(?P<unit>[ek])_'
    r'(?P<dataset>[a-z]+)-(?P<height>\d+)x(?P<width>\d+)'
)

CROPS = ('TopdownAffine', 'PersonCrop')

pytestmark = pytest.mark.filterwarnings('ignore:The metainfo config file')


def load(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture(params=LEAVES, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def name(path):
    found = NAME.fullmatch(path.stem)
    assert found, f'{path.name} does not follow MMPose'
    return found


def datasets(loader):
    """The datasets of a loader; a ConcatDataset's parts."""
    dataset = loader['dataset']
    return dataset.get('datasets') or [dataset]


def step(pipeline, *kinds):
    (found,) = (step for step in pipeline if step['type'] in kinds)
    return found


def loaders(cfg):
    return [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]


def meta_of(dataset):
    return parse_pose_metainfo(DATASETS.get(dataset['type']).METAINFO)


# -- agreement


def test_all_configs_are_found():
    assert len(LEAVES) >= 12
    folders = {path.parent.name for path in LEAVES}
    assert folders == {'coco', 'figures', 'flic', 'lsp', 'lspet', 'mpii'}


def test_name_tells_data_set_batch_epochs_and_stages(path, name):
    cfg = load(path)
    assert name['dataset'] == path.parent.name
    kind, folder = {
        'coco': ('CocoDataset', 'data/coco/'),
        'mpii': ('MpiiDataset', 'data/mpii/'),
        'lspet': ('LspDataset', 'data/lspet/'),
        'lsp': ('LspDataset', 'data/lsp/'),
        'flic': ('FlicDataset', 'data/flic/'),
        'figures': ('FiguresDataset', 'demo_output/figures/'),
    }[name['dataset']]
    for loader in loaders(cfg):
        assert datasets(loader)[0]['type'] == kind
        assert datasets(loader)[0]['data_root'] == folder
    assert cfg.train_dataloader.batch_size == int(name['batch'])
    if name['unit'] == 'e':
        assert cfg.train_cfg.max_epochs == int(name['length'])
    else:
        assert cfg.train_cfg.max_iters == int(name['length']) * 1000
    if name['dataset'].startswith('lsp'):  # the others have stock's
        assert cfg.auto_scale_lr.base_batch_size == int(name['gpus']) * int(name['batch'])
    if 'cpm' in name['model']:  # not ResNet and HRNet, to compare with
        stages = re.search(r'(\d+)s', name['model'])
        assert cfg.model.head.get('num_stages', 6) == int(stages[1])


def test_sizes_agree_everywhere(path, name):
    cfg = load(path)
    size = (int(name['width']), int(name['height']))
    decoder = cfg.model.head.decoder
    assert tuple(decoder.input_size) == size
    for loader in loaders(cfg):
        for dataset in datasets(loader):
            assert tuple(step(dataset['pipeline'], *CROPS)['input_size']) == size
    for dataset in datasets(cfg.train_dataloader):
        encoder = step(dataset['pipeline'], 'GenerateTarget')['encoder']
        # stock configs carry the scope they come from
        assert {**encoder, '_scope_': ''} == {**decoder, '_scope_': ''}
    if 'cpm' in name['model']:
        # Caffe's ceil rule; at these sizes the input's eighth
        assert tuple(decoder.heatmap_size) == tuple(pooled_size(side) for side in size)
        assert tuple(decoder.heatmap_size) == tuple(side // 8 for side in size)
    else:
        assert tuple(decoder.heatmap_size) == tuple(side // 4 for side in size)


def test_flip_test_shift_and_background_follow_the_codec(path):
    cfg = load(path)
    ours = cfg.model.head.decoder.type == 'CPMHeatmap'
    assert ours or cfg.model.head.decoder.type == 'MSRAHeatmap'
    assert cfg.model.test_cfg.flip_test is (path.parent.name != 'figures')  # the demo is short
    assert cfg.model.test_cfg.flip_mode == 'heatmap'
    assert cfg.model.test_cfg.shift_heatmap is (not ours)
    assert cfg.model.head.get('background', False) == cfg.model.head.decoder.get(
        'background', False
    )
    sigma = cfg.model.backbone.get('center_map_sigma')
    assert cfg.model.head.get('center_map', False) == (sigma is not None)


def test_joints_are_those_of_the_data_set(path):
    cfg = load(path)
    head = cfg.model.head
    expected = head.get('num_keypoints', head.get('out_channels'))
    for loader in loaders(cfg):
        for dataset in datasets(loader):
            meta = meta_of(dataset)
            if output := head.get('output_joints'):
                assert len(JOINT_SETS[head.joints].names) == expected
                assert meta['num_keypoints'] == len(JOINT_SETS[output].names)
                assert tuple(meta['flip_indices']) == JOINT_SETS[output].flip_indices
            else:
                assert meta['num_keypoints'] == expected
                assert len(meta['flip_indices']) == expected
    for dataset in datasets(cfg.train_dataloader):
        selected = [step for step in dataset['pipeline'] if step['type'] == 'SelectJoints']
        assert len(selected) == (head.get('joints') is not None)
        for selection in selected:
            source = head.get('output_joints', head.joints)
            assert (selection['source'], selection['target']) == (source, head.joints)
            assert selection.get('first_pixel', 0) == (dataset['type'] == 'MpiiDataset')


def test_stock_inferencers_find_what_they_ask_a_config_for(path):
    cfg = load(path)
    assert cfg.data_mode == 'topdown'
    assert cfg.dataset_type == datasets(cfg.train_dataloader)[0]['type']
    meta = dataset_meta_from_config(cfg, dataset_mode='train')
    expected = meta_of(datasets(cfg.test_dataloader)[0])
    for key in ('dataset_name', 'keypoint_id2name', 'flip_indices', 'skeleton_links'):
        assert meta[key] == expected[key]


def test_everybodys_target_comes_with_its_transform(path):
    cfg = load(path)
    fields = cfg.model.head.get('target_fields', 'heatmaps')
    everybody = 'heatmaps_all' in fields
    assert cfg.model.head.decoder.get('all_people', False) == everybody
    for dataset in datasets(cfg.train_dataloader):
        kinds = [step['type'] for step in dataset['pipeline']]
        assert ('AddNeighbors' in kinds) == everybody
        if everybody:
            (crop,) = set(kinds) & set(CROPS)
            order = [kinds.index(k) for k in (crop, 'AddNeighbors', 'GenerateTarget')]
            assert order == sorted(order)
            assert fields == ['heatmaps_all', *['heatmaps'] * (len(fields) - 1)]


def test_components_build_and_the_schedule_ends_with_training(path, name):
    cfg = load(path)
    for loader in loaders(cfg):
        for dataset in datasets(loader):
            for transform in dataset['pipeline']:
                TRANSFORMS.build(transform)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert METRICS.get(evaluator['type']) is not None
    by_epoch = name['unit'] == 'e'
    length = cfg.train_cfg.max_epochs if by_epoch else cfg.train_cfg.max_iters
    main = [part for part in cfg.param_scheduler if part['by_epoch'] == by_epoch]
    assert [part['end'] for part in main] == [length]
    assert length % cfg.train_cfg.val_interval == 0  # the last is validated


def test_best_checkpoint_is_chosen_by_a_figure_of_the_metric(path):
    cfg = load(path)
    expected = {'TorsoPCKAccuracy': 'torso/PCK', 'CocoMetric': 'coco/AP', 'MpiiPCKAccuracy': 'PCK'}
    checkpoint = cfg.default_hooks.checkpoint
    if path.parent.name in ('figures', 'flic', 'lsp'):
        # the demo keeps the last; LSP and FLIC have nothing but their test sets to choose on
        assert checkpoint.get('save_best') is None
        return
    assert checkpoint.save_best == expected[cfg.val_evaluator.type]
    assert checkpoint.rule == 'greater'


@pytest.mark.parametrize(
    'path', [path for path in LEAVES if path.parent.name == 'lspet'], ids=lambda path: path.stem
)
def test_lspet_parts_do_not_overlap(path):
    cfg = load(path)
    ranges = [tuple(datasets(loader)[0]['image_range']) for loader in loaders(cfg)]
    assert ranges == [(1, 7500), (7501, 8000), (8001, 9000)]
    assert cfg.val_dataloader.dataset.test_mode and cfg.test_dataloader.dataset.test_mode


@pytest.mark.parametrize(
    'path', [path for path in LEAVES if path.parent.name == 'lsp'], ids=lambda path: path.stem
)
def test_lsp_follows_the_protocol_of_the_paper(path):
    cfg = load(path)
    parts = [(part['data_root'], part['image_range']) for part in datasets(cfg.train_dataloader)]
    assert parts == [('data/lsp/', (1, 1000)), ('data/lspet/', None)]
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        (dataset,) = datasets(loader)
        assert dataset.data_root == 'data/lsp/'
        assert tuple(loader.dataset.image_range) == (1001, 2000)
        assert loader.dataset.test_mode


# -- stock models to compare with

FULL, SMALL = 'cpm-6s-amp_1xb32-12e_lspet-256x256', 'cpm-slim-3s_1xb32-6e_lspet-96x96'
BASELINES = {  # ours, and MMPose's config of the network; narrow CPM has none
    'stock-cpm-6s-amp_1xb32-12e_lspet-256x256': (FULL, 'cpm_8xb64'),
    'res50-amp_1xb32-12e_lspet-256x256': (FULL, 'res50_8xb64'),
    'hrnet-w32-amp_1xb32-12e_lspet-256x256': (FULL, 'hrnet-w32_8xb64'),
    'res50_1xb32-6e_lspet-96x96': (SMALL, 'res50_8xb64'),
    'stock-cpm-slim-3s_1xb32-6e_lspet-96x96': (SMALL, None),
    'stock-cpm-slim-3s_1xb32-12e_lspet-128x128': ('cpm-slim-3s_1xb32-12e_lspet-128x128', None),
}


def load_lspet(name):
    return load(CONFIGS / f'body_2d_keypoint/topdown_heatmap/lspet/td-hm_{name}.py')


def test_every_model_to_compare_with_is_tested():
    stems = {path.stem.removeprefix('td-hm_') for path in LEAVES if path.parent.name == 'lspet'}
    assert {name for name in stems if not name.startswith('cpm')} == set(BASELINES)


@pytest.mark.parametrize('name', BASELINES)
def test_only_network_codec_and_learning_rate_differ_from_ours(name):
    kept = []
    for cfg in (load_lspet(name), load_lspet(BASELINES[name][0])):
        step(cfg.train_dataloader.dataset.pipeline, 'GenerateTarget').pop('encoder')
        cfg.optim_wrapper.optimizer.pop('lr')
        cfg.model.test_cfg.pop('shift_heatmap')  # belongs to the codec
        for part in ('backbone', 'head'):
            cfg.model.pop(part)
        for variable in ('codec', 'stock_codec', 'stock_model', 'train_pipeline'):
            cfg.pop(variable, None)  # of the file; the loaders have what is used
        cfg.pop('custom_imports')
        kept.append(cfg.to_dict())
    assert kept[0] == kept[1]


@pytest.mark.parametrize('name', [name for name, (_, stock) in BASELINES.items() if stock])
def test_networks_to_compare_with_are_those_of_mmpose(name):
    """From scratch, with LSP's 14 joints."""
    ours = load_lspet(name).model
    stock = get_config(
        'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
        f'td-hm_{BASELINES[name][1]}-210e_coco-256x192.py'
    ).model
    init_weights = stock.backbone.pop('init_cfg', None)
    assert (init_weights is None) == ('cpm' in name) and 'init_cfg' not in ours.backbone
    assert ours.test_cfg == stock.test_cfg and ours.head.loss == stock.head.loss
    built = []
    for model in (ours, stock):
        model.head.update(decoder=None, out_channels=14)
        if 'cpm' in name:
            model.backbone.out_channels = model.head.in_channels = 14
        built.append([str(MODELS.build(part)) for part in (model.backbone, model.head)])
    # the same networks, in float32 where stock needs it
    for ours, stock in (('NarrowStockCPM(', 'CPM('), ('Float32HeatmapHead(', 'HeatmapHead(')):
        built[0] = [text.replace(ours, stock) for text in built[0]]
    assert built[0] == built[1]


def test_widths_of_the_labels():
    """At 256 as wide as those of the stock model, 16 pixels; no other size inherits that."""
    widths = {}
    for path in LEAVES:
        if path.parent.name in ('lsp', 'lspet') and '_paper_' not in path.stem:
            pipeline = datasets(load(path).train_dataloader)[0]['pipeline']
            encoder = step(pipeline, 'GenerateTarget').encoder
            if encoder.type == 'MSRAHeatmap':
                encoder.sigma *= encoder.input_size[0] // encoder.heatmap_size[0]
            widths.setdefault(encoder.sigma, set()).add(path.stem.removeprefix('td-hm_'))
    wide = {
        'cpm-6s_1xb32-100e_lsp-256x256', 'cpm-6s_1xb32-100e_lspet-256x256',
        'cpm-6s-amp_1xb32-12e_lspet-256x256', 'cpm-k7-6s-amp_1xb32-12e_lspet-256x256',
        'stock-cpm-6s-amp_1xb32-12e_lspet-256x256',
    }  # fmt: skip
    assert widths[16] == wide
    assert widths[12] == {'cpm-lite0-3s_1xb32-4e_lspet-256x256'}
    assert not any('256x256' in name for name in widths[7])
    assert len(widths[7]) == 7


@pytest.mark.parametrize(
    'name, config',
    [
        ('cpm_6s_bn', 'cpm-6s_1xb32-100e_lspet-368x368'),
        ('cpm_k7_6s', 'cpm-k7-6s-amp_1xb32-12e_lspet-256x256'),
        ('cpm_slim_3s', 'cpm-slim-3s_1xb32-24e_lspet-128x128'),
        ('cpm_lite0_3s', 'cpm-lite0-3s_1xb32-4e_lspet-256x256'),
    ],
)
def test_named_models_are_those_of_the_configs(name, config, tmp_path):
    model = load_lspet(config).model
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


def packed(codec, meta, count):
    """Samples of random keypoints, as the training pipeline of the config makes them."""
    generator = np.random.default_rng(0)
    width, height = codec['input_size']
    joints = meta['num_keypoints']
    batch = []
    for _ in range(count):
        people = generator.uniform(0, (width, height), (2, joints, 2))
        results = dict(
            img=generator.integers(0, 256, (height, width, 3), dtype=np.uint8),
            bbox=np.array([[0.0, 0.0, width, height]], np.float32),
            bbox_score=np.ones(1, np.float32),
            keypoints=people[:1],
            transformed_keypoints=people[:1],
            keypoints_visible=(generator.random((1, joints)) < 0.8).astype(np.float32),
            neighbor_keypoints=people[1:],
            neighbor_keypoints_visible=np.ones((1, joints)),
            dataset_keypoint_weights=np.ones(joints, np.float32),
            flip_indices=meta['flip_indices'],
            input_size=(width, height),
            input_center=np.array([width, height]) / 2,
            input_scale=np.array([width, height], float),
        )
        batch.append(PackPoseInputs()(GenerateTarget(encoder=codec)(results)))
    return pseudo_collate(batch)


def test_one_step_of_training_and_a_prediction(path):
    cfg = shrink(load(path))
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

    data = model.data_preprocessor(packed(codec, meta, 1), training=True)
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
