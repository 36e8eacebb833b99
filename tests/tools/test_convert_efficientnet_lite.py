"""The package's weights of EfficientNet-Lite0 -> a file that configs name as encoder_weights."""

import importlib.util
import sys
from pathlib import Path

import torch

from cpm_plugin.core.models.efficientnet import EfficientNetLite0
from cpm_plugin.core.weights.checkpoints import read_checkpoint

REPO = Path(__file__).resolve().parents[2]
NAMES = {
    'stem.conv': '_conv_stem', 'stem.norm': '_bn0', 'expand.conv': '_expand_conv',
    'expand.norm': '_bn0', 'depthwise.conv': '_depthwise_conv', 'depthwise.norm': '_bn1',
    'project.conv': '_project_conv', 'project.norm': '_bn2', 'blocks.': '_blocks.',
}  # fmt: skip


def convert(monkeypatch, *arguments):
    path = REPO / 'tools' / 'convert_efficientnet_lite.py'
    spec = importlib.util.spec_from_file_location('convert', path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    monkeypatch.setattr(sys, 'argv', [path.name, *map(str, arguments)])
    return program.main()


def package(path, leave_out=''):
    state = {}
    for key, value in EfficientNetLite0().state_dict().items():
        if leave_out and leave_out in key:
            continue
        for ours, theirs in NAMES.items():
            key = key.replace(ours, theirs)
        state[key] = value
    torch.save({**state, '_fc.bias': torch.zeros(1000)}, path)
    return state


def test_the_file_fits_the_encoder_and_is_not_overwritten(tmp_path, monkeypatch, capsys):
    state = package(tmp_path / 'in.pth')
    assert convert(monkeypatch, tmp_path / 'in.pth', tmp_path / 'out.pth') == 0
    found, _ = read_checkpoint(tmp_path / 'out.pth')
    EfficientNetLite0().load_state_dict(found)
    key = '_blocks.7._depthwise_conv.weight'
    assert torch.equal(found['blocks.7.depthwise.conv.weight'], state[key])
    assert convert(monkeypatch, tmp_path / 'in.pth', tmp_path / 'out.pth') == 2
    assert 'out.pth exists' in capsys.readouterr().err


def test_other_weights_are_refused_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    package(tmp_path / 'in.pth', leave_out='blocks.7.')
    assert convert(monkeypatch, tmp_path / 'in.pth', tmp_path / 'out.pth') == 2
    assert 'missing: blocks.7.expand.conv.weight' in capsys.readouterr().err
    assert not (tmp_path / 'out.pth').exists()
