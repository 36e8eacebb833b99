"""Stock models to compare with: only the network, its codec and the learning rate differ."""

import pytest

pytest.importorskip('mmengine')

from cpm_testing.configs import LEAVES, load_lspet, step
from mmengine.hub import get_config

from mmpose.registry import MODELS

pytestmark = pytest.mark.filterwarnings('ignore:The metainfo config file')


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
