"""PackSizes: as stock's, but for an image in several sizes."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmpose.registry import TRANSFORMS

RESULTS = dict(img_id=3, ori_shape=(4, 6), flip_indices=[0])


def picture(*size):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_one_image_as_stock_packs_it():
    results = dict(RESULTS, img=picture(4, 6))
    ours, stocks = (
        TRANSFORMS.build(dict(type=kind)).transform(results)
        for kind in ('PackSizes', 'PackPoseInputs')
    )
    assert torch.equal(ours['inputs'], stocks['inputs'])
    assert ours['data_samples'].metainfo == stocks['data_samples'].metainfo
    several = dict(results, category_id=[1, 1])  # CocoMetric asks for one
    step = TRANSFORMS.build(dict(type='PackSizes'))
    assert 'category_id' not in step.transform(several)['data_samples'].metainfo


def test_several_sizes_are_a_list_of_batches():
    results = dict(RESULTS, img=[picture(4, 6), picture(8, 12)], aug_scales=[2.0])
    with pytest.raises(RuntimeError, match='equal size'):  # else this transform is not needed
        TRANSFORMS.build(dict(type='PackPoseInputs')).transform(results)
    packed = TRANSFORMS.build(dict(type='PackSizes')).transform(results)
    assert packed['data_samples'].metainfo == dict(RESULTS, aug_scales=[2.0])
    for tensor, image in zip(packed['inputs'], results['img'], strict=True):
        np.testing.assert_array_equal(tensor.permute(1, 2, 0), image)
    batch = pseudo_collate([packed, packed])
    assert [[tuple(one.shape) for one in size] for size in batch['inputs']] == [
        [(3, 4, 6)] * 2, [(3, 8, 12)] * 2,
    ]  # fmt: skip
    assert len(batch['data_samples']) == 2


def test_meta_keys_can_be_chosen():
    step = TRANSFORMS.build(dict(type='PackSizes', meta_keys=['img_id']))
    assert step.transform(dict(RESULTS, img=picture(4, 6)))['data_samples'].metainfo == dict(
        img_id=3
    )
