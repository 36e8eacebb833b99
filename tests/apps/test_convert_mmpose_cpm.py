"""Conversion of stock checkpoints; ``tests/tools/test_convert_mmpose_cpm.py`` has what is told."""

import pytest
import torch
from cpm_testing.checkpoints import assert_same

from cpm_plugin import create_model
from cpm_plugin.apps.convert_mmpose_cpm import convert
from cpm_plugin.core.conversion.mmpose_cpm import to_stock
from cpm_plugin.core.weights.checkpoints import read_checkpoint, to_mmpose

SIZES = dict(num_stages=2, channels=4, reduced_channels=3, first_stage_channels=6, num_keypoints=5)


@pytest.fixture
def ours():
    model = create_model(
        'cpm_6s_bn', **SIZES, background=False, center_map_sigma=None, pool_padding=1,
        beliefs_first=True,
    )  # fmt: skip
    return to_mmpose(model.state_dict())


def test_there_and_back(ours, tmp_path):
    first, second, third = (tmp_path / f'{name}.pth' for name in 'abc')
    torch.save({'state_dict': to_stock(ours), 'meta': {'epoch': 7, 'cfg': 'stock'}}, first)
    told = convert(first, second, back=False)
    assert told.startswith(f'{second}: 2 stages, 5 joints, batch normalization\n')
    state, meta = read_checkpoint(second)
    assert_same(state, ours)
    assert meta == {'epoch': 7, 'converted_from': "MMPose's CPM"}
    assert 'out_channels=5' in convert(second, third, back=True)
    state, meta = read_checkpoint(third)
    assert_same(state, to_stock(ours))
    assert meta == {'epoch': 7}


def test_what_cannot_be_converted_is_named_and_nothing_written(ours, tmp_path):
    torch.save({'state_dict': ours, 'meta': {}}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth: these are .* our components already'):
        convert(tmp_path / 'a.pth', tmp_path / 'b.pth', back=False)
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']
