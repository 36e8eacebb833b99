"""SizesPoseEstimator: images in several sizes reach stock's predict."""

import pytest
import torch

from mmpose.models.pose_estimators import BottomupPoseEstimator
from mmpose.registry import MODELS


def estimator(kind='SizesPoseEstimator', **test_cfg):
    codec = dict(
        type='CPMAffinityFields', input_size=(32, 32), heatmap_size=(4, 4), joints='lsp',
    )  # fmt: skip
    return MODELS.build(
        dict(
            type=kind,
            backbone=dict(type='CPMBackbone', channels=4, kernel_size=3),
            head=dict(
                type='CPMPAFHead', in_channels=4, joints='lsp', num_stages=1, decoder=codec,
            ),
            test_cfg=test_cfg,
        )
    )  # fmt: skip


SIZES = [torch.ones(1, 3, 32, 32), torch.ones(1, 3, 48, 48)]


def test_several_sizes_reach_predict_and_stocks_forward_stacks_them(monkeypatch):
    asked = []
    monkeypatch.setattr(BottomupPoseEstimator, 'predict', lambda self, *call: asked.append(call))
    model = estimator(multiscale_test=True)
    model(SIZES, [None], mode='predict')
    assert asked == [(SIZES, [None])]
    with pytest.raises(RuntimeError, match='equal size'):  # else this class is not needed
        estimator('BottomupPoseEstimator', multiscale_test=True)(SIZES, [None], mode='predict')


def test_one_size_is_stocks():
    torch.manual_seed(0)
    model = estimator().eval()
    stock = estimator('BottomupPoseEstimator').eval()
    stock.load_state_dict(model.state_dict())
    one, other = model(SIZES[0], None), stock(SIZES[0], None)
    assert torch.equal(one[0].fields, other[0].fields) and one[0].fields.abs().max() > 0


def test_mistakes_are_named():
    for model, mode in ((estimator(), 'predict'), (estimator(multiscale_test=True), 'loss')):
        with pytest.raises(ValueError, match=f'2 sizes, in mode {mode!r}: set .*multiscale_test'):
            model(SIZES, [None], mode=mode)
