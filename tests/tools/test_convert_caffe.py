"""The authors' weights from the command line: all of a file, or an error and nothing."""

import hashlib
import re

import numpy as np
import pytest
import torch
from cpm_testing.checkpoints import fill_disk
from random_caffe import random_inputs, random_layers, write_caffemodel

from cpm_plugin import create_model
from cpm_plugin.core.conversion.caffe_networks import from_caffe, layer_names


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'pose_iter_40000.caffemodel'
    write_caffemodel(path, random_layers('cpm_flic', 5))
    return path


@pytest.fixture(scope='module')
def converted(source, run_tool):
    """The result of the command as a user types it, in a folder that is not there yet."""
    out = source.parent / 'new' / 'cpm_flic.pth'
    done = run_tool('convert_caffe.py', source, out, '--model', 'cpm_flic')
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert [path.name for path in out.parent.iterdir()] == ['cpm_flic.pth']
    for shown in (str(source), str(out), '28 layers of cpm_flic', '21,323,816 weights', 'head'):
        assert shown in done.stdout
    return out


def expected():
    return from_caffe(random_layers('cpm_flic', 5), 'cpm_flic')


def test_file_holds_the_weights_by_mmpose_names_and_their_source(source, converted):
    loaded = torch.load(converted, weights_only=True)
    assert set(loaded) == {'state_dict', 'meta'}
    state = loaded['state_dict']
    assert 'backbone.trunks.stage1_trunk.conv1.conv.weight' in state
    assert 'head.stages.later.2.beliefs.bias' in state
    for name, value in expected().items():
        (key,) = (key for key in state if key.endswith(f'.{name}'))
        assert torch.equal(state[key], value)
    assert loaded['meta'] == {
        'model': 'cpm_flic',
        'joints': [
            'left_shoulder', 'left_elbow', 'left_wrist', 'right_shoulder', 'right_elbow',
            'right_wrist', 'left_hip', 'right_hip', 'head',
        ],
        'source': 'pose_iter_40000.caffemodel',
        'sha256': hashlib.sha256(source.read_bytes()).hexdigest(),
    }  # fmt: skip


def test_create_model_takes_it(converted):
    state = create_model('cpm_flic', checkpoint=converted).state_dict()
    for name, value in expected().items():
        assert torch.equal(state[name], value), name


@torch.no_grad()
def test_mmpose_takes_it_and_gives_the_same_maps(converted):
    pytest.importorskip('mmengine')
    from mmengine.runner import load_checkpoint

    from cpm_plugin.mmpose.backbone import CPMBackbone
    from cpm_plugin.mmpose.head import CPMStageHead

    estimator = torch.nn.Module()
    estimator.backbone = CPMBackbone(center_map_sigma=21)
    estimator.head = CPMStageHead(
        128, num_keypoints=9, num_stages=4, background=True, center_map=True, joints='flic'
    )
    load_checkpoint(estimator, str(converted), map_location='cpu')
    image, center = map(torch.from_numpy, random_inputs(64, 48, 0))
    ours = create_model('cpm_flic', checkpoint=converted)(image, center)
    theirs = estimator.head(estimator.backbone(torch.cat([image, center], dim=1)))
    assert len(ours) == len(theirs) == 4
    for one, other in zip(ours, theirs):
        assert one.std() > 0.1
        torch.testing.assert_close(one, other)


def test_network_for_several_people(run_tool, tmp_path):
    """BODY_25, whose layers are convolutions and PReLUs."""
    layers = random_layers('openpose_body25', 5)
    source, out = tmp_path / 'pose_iter_584000.caffemodel', tmp_path / 'body25.pth'
    write_caffemodel(source, layers)
    done = run_tool('convert_caffe.py', source, out, '--model', 'openpose_body25')
    assert done.returncode == 0 and not done.stderr, done.stderr
    for shown in ('213 layers of openpose_body25', '26,166,084 weights', 'pelvis', 'left_heel'):
        assert shown in done.stdout
    state = create_model('openpose_body25', checkpoint=out).state_dict()
    for layer, module in layer_names('openpose_body25').items():
        for kind, blob in zip(('weight', 'bias'), layers[layer]):
            assert np.array_equal(state[f'{module}.{kind}'].numpy(), blob), layer


@pytest.fixture
def refused(run_tool):
    def refused(*arguments):
        """The message of a run that exits with 2, one line."""
        done = run_tool('convert_caffe.py', *arguments)
        assert done.returncode == 2
        assert not done.stdout
        return done.stderr

    return refused


def truncated(content):
    return content[: len(content) // 2]


def text(content):
    return b'404 not found\n'


def with_nan(content):
    """The last four bytes are the last bias."""
    return content[:-4] + np.float32(np.nan).tobytes()


CASES = {
    'truncated': (truncated, 'cpm_flic', "is truncated: .* inside layer 'Mconv"),
    'text': (text, 'cpm_flic', 'is text, not weights'),
    'nan': (with_nan, 'cpm_flic', 'Mconv5_stage4 bias has values that are not finite'),
    'another_model': (bytes, 'cpm_mpii', 'not the weights of cpm_mpii; missing: conv1_stage5'),
}


@pytest.mark.parametrize('change, model, message', CASES.values(), ids=CASES)
def test_refusals_leave_nothing(change, model, message, refused, source, tmp_path):
    bad, out = tmp_path / 'bad.caffemodel', tmp_path / 'new' / 'out.pth'
    bad.write_bytes(change(source.read_bytes()))
    shown = refused(bad, out, '--model', model)
    assert shown.startswith(f'convert_caffe.py: {bad}') and shown.count('\n') == 1
    assert re.search(message, shown)
    assert list(tmp_path.iterdir()) == [bad]


def test_missing_source_and_unknown_model(refused, source, tmp_path):
    out = tmp_path / 'out.pth'
    shown = refused(tmp_path / 'no', out, '--model', 'cpm_flic')
    assert shown == f'convert_caffe.py: {tmp_path / "no"}: no such file\n'
    shown = refused(source, out, '--model', 'cpm_6s')
    assert 'cpm_person' in shown
    shown = refused(source, out)
    assert '--model' in shown
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_overwritten(refused, source, tmp_path):
    out = tmp_path / 'out.pth'
    out.write_text('mine')
    shown = refused(source, out, '--model', 'cpm_flic')
    assert shown.startswith(f'convert_caffe.py: {out} exists') and shown.count('\n') == 1
    assert out.read_text() == 'mine' and list(tmp_path.iterdir()) == [out]


def test_an_output_below_a_file_is_refused(refused, source, tmp_path):
    (tmp_path / 'file').touch()
    out = tmp_path / 'file' / 'out.pth'
    shown = refused(source, out, '--model', 'cpm_flic')
    assert shown.startswith(f'convert_caffe.py: {out} cannot be written: {tmp_path / "file"} is no')
    assert shown.count('\n') == 1 and 'Errno' not in shown


def test_an_error_while_writing_leaves_nothing(refused, source, tmp_path, monkeypatch):
    fill_disk(monkeypatch)
    shown = refused(source, tmp_path / 'out.pth', '--model', 'cpm_flic')
    assert 'no space left on device' in shown
    assert not list(tmp_path.iterdir())


def test_help_has_an_example_and_says_where_the_weights_are(run_tool):
    done = run_tool('convert_caffe.py', '--help')
    assert done.returncode == 0
    assert 'python tools/convert_caffe.py ' in done.stdout and 'get_model.sh' in done.stdout
    assert 'makes its folder' in done.stdout
