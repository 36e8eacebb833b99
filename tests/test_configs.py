"""Every config agrees with its name and with itself."""

import re

import pytest

pytest.importorskip('mmengine')

from cpm_testing.configs import (
    CROPS,
    LEAVES,
    NAME,
    datasets,
    is_partial,
    load,
    loaders,
    meta_of,
    step,
)

from cpm_plugin.core.maps.geometry import pooled_size
from cpm_plugin.core.maps.joint_sets import JOINT_SETS

from mmpose.apis.inference import dataset_meta_from_config
from mmpose.registry import METRICS, TRANSFORMS

pytestmark = pytest.mark.filterwarnings('ignore:The metainfo config file')


@pytest.fixture(params=LEAVES, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def name(path):
    found = NAME.fullmatch(path.stem)
    assert found, f'{path.name} does not follow MMPose'
    return found


# -- agreement


def test_all_configs_are_found():
    assert len(LEAVES) >= 12
    folders = {path.parent.name for path in LEAVES}
    assert folders == {'coco', 'figures', 'flic', 'lsp', 'lspet', 'mpii', 'own'}


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
        'own': ('OwnCocoDataset', 'data/own/'),
    }[name['dataset']]
    for loader in loaders(cfg):
        assert datasets(loader)[0]['type'] == kind
        assert datasets(loader)[0]['data_root'] == folder
    assert cfg.train_dataloader.batch_size == int(name['batch'])
    if name['unit'] == 'e':
        assert cfg.train_cfg.max_epochs == int(name['length'])
    else:
        assert cfg.train_cfg.max_iters == int(name['length']) * 1000
    if name['dataset'] == 'own' or name['dataset'].startswith('lsp'):  # the others have stock's
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
            if is_partial(dataset):
                continue
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
        if is_partial(dataset):
            names = meta_of(datasets(cfg.train_dataloader)[0])['keypoint_id2name'].values()
            assert JOINT_SETS[selected[0]['target']].names == tuple(names)
            continue
        assert len(selected) == (head.get('joints') is not None)
        for selection in selected:
            source = head.get('output_joints', head.joints)
            assert (selection['source'], selection['target']) == (source, head.joints)
            assert selection.get('first_pixel', 0) == (dataset['type'] == 'MpiiDataset')


def test_stock_inferencers_find_what_they_ask_a_config_for(path):
    cfg = load(path)
    assert cfg.data_mode == 'topdown'
    assert cfg.dataset_type == datasets(cfg.train_dataloader)[0]['type']
    if path.parent.name == 'own':
        return  # names are in the annotation file, then in the checkpoint
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
    if name['dataset'] == 'own':  # it scales with the data, and MMEngine ends it with the training
        warm_up, *main = main
        assert warm_up['end'] == 2 and [part.get('end', length) for part in main] == [length]
    elif main[0]['type'] == 'CosineRestartLR':  # and warm-ups of a part of an epoch
        assert main[0]['end'] == sum(main[0]['periods']) == length
        begins = [sum(main[0]['periods'][:n]) for n in range(len(main[0]['periods']))]
        assert [part['begin'] for part in main[1:]] == begins
    else:
        assert [part['end'] for part in main] == [length]
    assert length % cfg.train_cfg.val_interval == 0  # the last is validated


def test_best_checkpoint_is_chosen_by_a_figure_of_the_metric(path):
    cfg = load(path)
    expected = {'TorsoPCKAccuracy': 'torso/PCK', 'CocoMetric': 'coco/AP'}
    expected |= dict.fromkeys(('MpiiPCKAccuracy', 'PCKAccuracy'), 'PCK')
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
    assert widths[12] == {
        'cpm-lite0-3s_1xb32-4e_lspet-256x256', 'cpm-movenet-3s_1xb32-6e_lspet-256x256',
        'cpm-movenet-3s-second_1xb32-6e_lspet-256x256',
    }  # fmt: skip
    assert not any('256x256' in name for name in widths[7])
    assert len(widths[7]) == 14
