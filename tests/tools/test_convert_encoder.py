"""Published weights of an encoder -> a file that configs name as encoder_weights."""

import json
from functools import partial

import pytest
import torch

from cpm_plugin.core.models.encoders import MobileEncoder
from cpm_plugin.core.weights.checkpoints import read_checkpoint

NAMES = {
    'stem.conv': '_conv_stem', 'stem.norm': '_bn0', 'expand.conv': '_expand_conv',
    'expand.norm': '_bn0', 'depthwise.conv': '_depthwise_conv', 'depthwise.norm': '_bn1',
    'project.conv': '_project_conv', 'project.norm': '_bn2', 'blocks.': '_blocks.',
}  # fmt: skip


@pytest.fixture
def convert(run_tool):
    return partial(run_tool, 'convert_encoder.py')


def package(path, leave_out=''):
    state = {}
    for key, value in MobileEncoder('efficientnet_lite0').state_dict().items():
        if leave_out and leave_out in key:
            continue
        for ours, theirs in NAMES.items():
            key = key.replace(ours, theirs)
        state[key] = value
    torch.save({**state, '_fc.bias': torch.zeros(1000)}, path)
    return state


def test_the_file_fits_the_encoder_and_is_not_overwritten(tmp_path, convert, start_tool):
    state = package(tmp_path / 'in.pth')
    done = start_tool('convert_encoder.py', tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.returncode == 0 and done.stdout == f'{tmp_path / "out.pth"}\n', done.stderr
    found, _ = read_checkpoint(tmp_path / 'out.pth')
    MobileEncoder('efficientnet_lite0').load_state_dict(found)
    key = '_blocks.7._depthwise_conv.weight'
    assert torch.equal(found['blocks.7.depthwise.conv.weight'], state[key])
    done = convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.returncode == 2 and 'out.pth exists' in done.stderr


def test_other_weights_are_refused_and_nothing_is_written(tmp_path, convert):
    package(tmp_path / 'in.pth', leave_out='blocks.7.')
    done = convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.returncode == 2
    assert 'missing: blocks.7.expand.conv.weight' in done.stderr
    assert not (tmp_path / 'out.pth').exists()


def test_movenets_graph_needs_its_weights_beside_it(tmp_path, convert):
    graph = {'modelTopology': {'node': []}, 'weightsManifest': []}
    (tmp_path / 'movenet.json').write_text(json.dumps(graph))
    done = convert(tmp_path / 'movenet.json', tmp_path / 'out.pth')
    assert done.returncode == 2 and 'movenet.bin: no such file' in done.stderr
    (tmp_path / 'movenet.bin').write_bytes(b'')
    done = convert(tmp_path / 'movenet.json', tmp_path / 'out.pth')
    assert done.returncode == 2 and 'movenet.json: not MoveNet' in done.stderr
    (tmp_path / 'movenet.json').write_text('{')
    done = convert(tmp_path / 'movenet.json', tmp_path / 'out.pth')
    assert done.returncode == 2 and 'movenet.json: ' in done.stderr
    assert not (tmp_path / 'out.pth').exists()
