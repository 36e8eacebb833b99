"""Published weights of an encoder -> a file that configs name as encoder_weights."""

import json
from functools import partial

import pytest
import torch
from cpm_testing.movenet import graph_of

from cpm_plugin.core.models.encoders import MobileEncoder
from cpm_plugin.core.weights.checkpoints import read_checkpoint


@pytest.fixture
def convert(run_tool):
    return partial(run_tool, 'convert_encoder.py')


def write_graph(folder, encoder, leave_out=0):
    """MoveNet's two files, of a graph without its last layers."""
    graph, values = graph_of(encoder)
    nodes = graph['modelTopology']['node']
    graph['modelTopology']['node'] = nodes[: len(nodes) - leave_out]
    (folder / 'movenet.json').write_text(json.dumps(graph))
    (folder / 'movenet.bin').write_bytes(values)


def test_the_file_fits_the_encoder_and_is_not_overwritten(tmp_path, convert, start_tool):
    encoder = MobileEncoder('movenet_thunder')
    write_graph(tmp_path, encoder)
    done = start_tool('convert_encoder.py', tmp_path / 'movenet.json', tmp_path / 'out.pth')
    assert done.returncode == 0 and done.stdout == f'{tmp_path / "out.pth"}\n', done.stderr
    found, _ = read_checkpoint(tmp_path / 'out.pth')
    MobileEncoder('movenet_thunder').load_state_dict(found)
    key = 'blocks.7.depthwise.conv.weight'  # the graph has it in float16
    assert torch.equal(found[key], encoder.state_dict()[key].half().float())
    done = convert(tmp_path / 'movenet.json', tmp_path / 'out.pth')
    assert done.returncode == 2 and 'out.pth exists' in done.stderr


def test_other_weights_are_refused_and_nothing_is_written(tmp_path, convert):
    write_graph(tmp_path, MobileEncoder('movenet_thunder'), leave_out=6)
    done = convert(tmp_path / 'movenet.json', tmp_path / 'out.pth')
    assert done.returncode == 2
    assert 'missing: blocks.16.project.conv.weight' in done.stderr
    torch.save({}, tmp_path / 'in.pth')
    done = convert(tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert done.returncode == 2
    assert "in.pth: give MoveNet's .json" in done.stderr
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
