"""NarrowStockCPM: stock MMPose's CPM, only narrower."""

import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from torch import nn

from cpm_plugin.mmpose.baseline import NarrowStockCPM

from mmpose.models.backbones.cpm import CPM
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample


def convolutions(model):
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def test_at_stock_widths_it_is_stock_cpm():
    stock = CPM(3, 5, num_stages=2)
    ours = MODELS.build(
        dict(
            type='NarrowStockCPM',
            in_channels=3,
            out_channels=5,
            num_stages=2,
            channels=128,
            first_stage_channels=512,
        )
    )
    for layer in stock.modules():  # weights of 0.001 would hide differences
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    ours.load_state_dict(stock.state_dict())
    stock.eval()
    ours.eval()
    image = torch.rand(1, 3, 40, 32)
    with torch.no_grad():
        expected, found = stock(image), ours(image)
    assert len(found) == 2 and found[0].shape == (1, 5, 5, 4)
    for one, other in zip(found, expected, strict=True):
        assert other.std() > 0.01
        assert torch.equal(one, other)


@pytest.mark.parametrize('norm_cfg', [dict(type='BN'), None], ids=['BN', 'no norm'])
def test_every_layer_is_narrow_and_otherwise_like_stock(norm_cfg):
    stock = CPM(3, 5, num_stages=3, norm_cfg=norm_cfg)
    ours = NarrowStockCPM(
        in_channels=3,
        out_channels=5,
        num_stages=3,
        norm_cfg=norm_cfg,
        channels=8,
        first_stage_channels=24,
    )
    widths = {128: 8, 512: 24, 32 + 5: 32 + 5, 32: 32, 5: 5, 3: 3}
    pairs = list(zip(convolutions(ours), convolutions(stock), strict=True))
    assert len(pairs) == 10 - 3 + 3 + 2 * (1 + 3 + 2)
    for one, other in pairs:
        assert one.in_channels == widths[other.in_channels]
        assert one.out_channels == widths[other.out_channels]
        assert (one.kernel_size, one.padding) == (other.kernel_size, other.padding)
        assert (one.bias is None) == (other.bias is None)
    kinds = [[type(layer) for layer in model.modules()] for model in (ours, stock)]
    assert kinds[0][1:] == kinds[1][1:]  # norms, activations, pools; the first is the class
    outputs = ours(torch.rand(1, 3, 32, 32))
    assert [tuple(output.shape) for output in outputs] == [(1, 5, 4, 4)] * 3


def test_stock_initialization_reaches_the_new_layers():
    ours = NarrowStockCPM(in_channels=3, out_channels=5, num_stages=2, channels=8)
    ours.init_weights()
    for conv in convolutions(ours):
        assert 0 < conv.weight.abs().max() < 0.01  # stock: N(0, 0.001)


def test_beliefs_are_float32_under_autocast():
    model = MODELS.build(
        dict(type='NarrowStockCPM', in_channels=3, out_channels=5, num_stages=2, channels=8)
    )
    with torch.autocast('cpu', torch.bfloat16):
        found = model(torch.rand(1, 3, 40, 32))
    assert [beliefs.dtype for beliefs in found] == [torch.float32] * 2


def test_our_decoding_of_stocks_maps_finds_the_peak_between_cells():
    import numpy as np

    import cpm_plugin.mmpose.baseline  # noqa: F401

    from mmpose.registry import KEYPOINT_CODECS

    arguments = dict(input_size=(64, 64), heatmap_size=(8, 8), sigma=1)
    ours = KEYPOINT_CODECS.build(dict(type='ParabolaMSRAHeatmap', **arguments))
    x, y = np.meshgrid(np.arange(8), np.arange(8))
    maps = np.exp(-((x - 3.2) ** 2 + (y - 5.4) ** 2) / 2)[None]
    keypoints, scores = ours.decode(maps)
    np.testing.assert_allclose(keypoints, [[[8 * 3.2, 8 * 5.4]]])
    assert scores.shape == (1, 1) and scores[0, 0] == maps.max()
    stock, _ = KEYPOINT_CODECS.build(dict(type='MSRAHeatmap', **arguments)).decode(maps)
    np.testing.assert_allclose(stock, [[[8 * 3.25, 8 * 5.25]]])


def test_stock_head_learns_under_autocast_to_bfloat16():
    sizes = dict(in_channels=4, out_channels=2, deconv_out_channels=None)
    loss = dict(type='KeypointMSELoss', use_target_weight=True)
    head = MODELS.build(dict(type='Float32HeatmapHead', loss=loss, **sizes))
    stock = HeatmapHead(loss=loss, **sizes)
    stock.load_state_dict(head.state_dict())
    features = (torch.rand(1, 4, 6, 8),)
    torch.testing.assert_close(head(features), stock(features), atol=0, rtol=0)
    sample = PoseDataSample(
        gt_instance_labels=InstanceData(keypoint_weights=torch.ones(1, 2)),
        gt_fields=PixelData(heatmaps=torch.rand(2, 6, 8)),
    )
    with torch.autocast('cpu', dtype=torch.bfloat16):
        with pytest.raises(TypeError, match='BFloat16'):  # else this head is needed no longer
            stock.loss(features, [sample])
        log = head.loss(features, [sample])
        assert head(features).dtype == torch.float32
    log['loss_kpt'].backward()
    assert head.final_layer.weight.grad.abs().sum() > 0
