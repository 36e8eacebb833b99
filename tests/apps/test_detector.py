"""People of a detector: which detections count, and MMDetection's own program behind it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cpm_plugin.apps.detector import load_detector, people_of

import mmpose

DETECTORS = Path(mmpose.__file__).parent / '.mim' / 'demo' / 'mmdetection_cfg'


def test_people_are_sure_enough_apart_and_the_surest_first():
    found = SimpleNamespace(
        bboxes=np.array(
            [
                [0, 0, 9, 9],  # 10 x 10 pixels by MMPose's count
                [0, 0, 9, 9],  # a dog in the same place
                [0, 7, 9, 16],  # 3 rows of the first: 30 / 170
                [0, 5, 9, 14],  # 5 rows of the first: 50 / 150
                [50, 0, 59, 9],
                [80, 0, 89, 9],
            ]
        ),
        scores=np.array([0.8, 0.95, 0.5, 0.7, 0.9, 0.29]),
        labels=np.array([0, 16, 0, 0, 0, 0]),
    )
    assert people_of(found, 0).tolist() == [[50, 0, 59, 9], [0, 0, 9, 9], [0, 7, 9, 16]]
    assert people_of(found, 16).tolist() == [[0, 0, 9, 9]]
    assert people_of(found, 3).shape == (0, 4)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match=r'--det no\.py: no such file; give rtmdet-m or a config'):
        load_detector('no.py', None, 'cpu')
    config = tmp_path / 'detector.py'
    config.write_text('model = dict(type="Nothing")')
    with pytest.raises(ValueError, match='give the weights of this detector with --det-weights'):
        load_detector(str(config), None, 'cpu')
    with pytest.raises(ValueError, match=r'--det-weights w\.pth: no such file'):
        load_detector(str(config), 'w.pth', 'cpu')
    (tmp_path / 'w.pth').write_bytes(b'')
    with pytest.raises(ValueError, match=r'detector\.py: '):
        load_detector(str(config), tmp_path / 'w.pth', 'cpu')


@pytest.fixture
def tiny(tmp_path):
    """MMPose's config of an RTMDet, tiny; its weights see nothing but the biases given to them."""
    import cpm_plugin.mmpose  # noqa: F401

    pytest.importorskip('mmdet')
    from mmengine.config import Config

    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    from mmdet.registry import MODELS

    config = Config.fromfile(DETECTORS / 'rtmdet_tiny_8xb32-300e_coco.py')
    config.model.backbone.update(deepen_factor=0.1, widen_factor=0.0625, init_cfg=None)
    config.model.neck.update(in_channels=[16, 32, 64], out_channels=16, num_csp_blocks=1)
    config.model.bbox_head.update(in_channels=16, feat_channels=16, num_classes=2)
    config.dump(tmp_path / 'tiny.py')
    model = MODELS.build(config.model)
    for weights in model.parameters():
        torch.nn.init.zeros_(weights)

    def write(classes):
        for name, weights in model.named_parameters():
            if name.endswith('bias') and 'rtm_reg' in name:
                torch.nn.init.constant_(weights, 4.0)  # strides to each side
            if name.endswith('bias') and 'rtm_cls' in name:
                weights.data = torch.tensor([-9.0, 2.0])  # the second class, 0.88 everywhere
        path = tmp_path / 'tiny.pth'
        meta = {'dataset_meta': {'classes': classes}}
        torch.save({'state_dict': model.state_dict(), 'meta': meta}, path)
        return str(tmp_path / 'tiny.py'), path, 'cpu'

    return write


@pytest.mark.slow
def test_a_detector_of_mmdetection_runs_with_mmcv_lite(tiny):
    detect = load_detector(*tiny(('dog', 'person')))
    boxes = detect(np.zeros((128, 128, 3), np.uint8))
    assert boxes.ndim == 2 and boxes.shape[1] == 4 and len(boxes) > 1
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides > 0).all() and boxes.min() >= 0 and boxes.max() <= 128
    # 4 strides to each side: of 8, 16 and 32 pixels in the 640 that 128 become
    inner = (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < 128).all(axis=1)
    assert inner.any()
    assert {round(float(side), 1) for side in sides[inner].ravel()} <= {12.8, 25.6, 51.2}
    with pytest.raises(ValueError, match='it finds dog, cat, and no person'):
        load_detector(*tiny(('dog', 'cat')))
