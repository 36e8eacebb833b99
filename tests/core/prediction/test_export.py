"""Exported networks compute the same for other batches, and say what their users have to know."""

import json

import numpy as np
import pytest
import torch

from cpm_plugin.core import LSP, create_model, decode_peaks, optimize_for_inference
from cpm_plugin.core.prediction import export
from cpm_plugin.core.prediction.export import METADATA, describe_network, export_network


@pytest.fixture(scope='module')
def network():
    return create_model('cpm_slim_3s', pretrained=True)


IMAGE = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(2)) - 0.5


def assert_same(network, found):
    with torch.no_grad():
        expected = optimize_for_inference(network)(IMAGE)[-1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_torchscript(network, tmp_path):
    assert export_network(network, tmp_path / 'a.pt', format='torchscript') < 1e-5
    extra = {METADATA: ''}
    loaded = torch.jit.load(tmp_path / 'a.pt', _extra_files=extra)
    assert_same(network, loaded(IMAGE))
    assert json.loads(extra[METADATA]) == describe_network(network)


def test_pt2(network, tmp_path):
    assert export_network(network, tmp_path / 'a.pt2', format='pt2') < 1e-5
    extra = {METADATA: ''}
    loaded = torch.export.load(tmp_path / 'a.pt2', extra_files=extra)
    assert_same(network, loaded.module()(IMAGE))
    assert json.loads(extra[METADATA]) == describe_network(network)


def test_onnx(network, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    assert export_network(network, tmp_path / 'a.onnx') < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / 'a.onnx')
    (found,) = session.run(['beliefs'], {'image': IMAGE.numpy()})
    assert_same(network, torch.from_numpy(found))
    about = session.get_modelmeta().custom_metadata_map[METADATA]
    assert json.loads(about) == describe_network(network)


def assert_decoded(network, found):
    """Keypoints of a file are those of the network, though found in other belief maps."""
    with torch.no_grad():
        points, scores = decode_peaks(network.eval()(IMAGE)[-1][:, :14])
    np.testing.assert_allclose(found[0], points, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found[1], scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize('format', ['torchscript', 'pt2'])
def test_keypoints_in_place_of_belief_maps(format, network, tmp_path):
    path, extra = tmp_path / 'a', {METADATA: ''}
    assert export_network(network, path, format=format, decode=True) < 1e-5
    if format == 'pt2':
        run = torch.export.load(path, extra_files=extra).module()
    else:
        run = torch.jit.load(path, _extra_files=extra)
    assert_decoded(network, run(IMAGE))
    about = json.loads(extra[METADATA])
    assert about == describe_network(network, decode=True)
    assert about['outputs'] == {'keypoints': ['batch', 14, 2], 'scores': ['batch', 14]}
    assert about['decoded'] is True


def test_keypoints_by_onnxruntime(network, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    assert export_network(network, tmp_path / 'a.onnx', decode=True) < 1e-5
    session = onnxruntime.InferenceSession(tmp_path / 'a.onnx')
    assert [output.name for output in session.get_outputs()] == ['keypoints', 'scores']
    assert_decoded(network, session.run(['keypoints', 'scores'], {'image': IMAGE.numpy()}))
    about = session.get_modelmeta().custom_metadata_map[METADATA]
    assert json.loads(about) == describe_network(network, decode=True)


def test_float16_gives_keypoints_in_float32(network, tmp_path):
    path = tmp_path / 'a.pt'
    assert export_network(network, path, format='torchscript', half=True, decode=True) < 2e-2
    points, scores = torch.jit.load(path)(IMAGE.half())
    assert points.dtype == scores.dtype == torch.float32


def test_a_file_with_other_keypoints_is_not_left(network, tmp_path, monkeypatch):
    def other(model, image, part, extra, outputs):
        part.write_bytes(b'x')
        return lambda batch: (model(batch)[0] + 0.5, model(batch)[1])

    monkeypatch.setattr(export, '_write_pt2', other)
    with pytest.raises(ValueError, match='computes something else'):
        export_network(network, tmp_path / 'a.pt2', format='pt2', decode=True)
    assert not list(tmp_path.iterdir())


def test_what_a_user_has_to_know(network):
    about = describe_network(network)
    assert about['joints'] == list(LSP.names) and about['background'] is True
    assert about['skeleton'][0] == [LSP.index(name) for name in LSP.links[0]]
    assert about['input']['shape'] == ['batch', 3, 128, 128]
    assert (about['stride'], about['cell_0_center']) == (8, 3.5)
    assert about['outputs'] == {'beliefs': ['batch', 15, 'height', 'width']}
    assert about['decoded'] is False


def test_a_file_that_computes_something_else_is_not_left(network, tmp_path, monkeypatch):
    def other(model, image, part, extra, outputs):
        part.write_bytes(b'x')
        return lambda batch: model(batch) * 1.01

    monkeypatch.setattr(export, '_write_pt2', other)
    with pytest.raises(ValueError, match=r'computes something else, a difference of 1\.0e-02'):
        export_network(network, tmp_path / 'a.pt2', format='pt2')
    assert not list(tmp_path.iterdir())


def test_other_shapes_and_nan_are_infinitely_different():
    maps = torch.ones(2, 3)
    assert export.beliefs_apart(maps[:1], maps) == np.inf
    assert export.beliefs_apart(maps * np.nan, maps) == np.inf
    assert export.beliefs_apart(maps.half() * 0.5, maps * 2) == 0.75


def test_the_worst_batch_counts():
    model = lambda batch: torch.ones(len(batch), 2)  # noqa: E731
    late = lambda batch: model(batch) * (1.5 if len(batch) == 5 else 1)  # noqa: E731
    image = torch.zeros(2, 3, 4, 4)
    assert export.difference(late, model, image, torch.float32, export.beliefs_apart) == 0.5


def test_mistakes_are_named(network, tmp_path):
    (tmp_path / 'there.pt').touch()
    for arguments, message in (
        ((network, tmp_path / 'a.x', 'caffe'), "format='caffe': there are onnx, torchscript, pt2"),
        ((network, tmp_path / 'there.pt', 'torchscript'), 'exists; give the name of a new file'),
        ((create_model('cpm_slim_3s', num_keypoints=3), tmp_path / 'a', 'pt2'), 'no joints or no'),
    ):
        with pytest.raises(ValueError, match=message):
            export_network(*arguments[:2], format=arguments[2])
