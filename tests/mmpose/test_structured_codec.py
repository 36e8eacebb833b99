"""StructuredHeatmap: the structure moves peaks, and mistakes name its file."""

import numpy as np
import pytest
import torch
from cpm_testing.heads import gives, samples, slim_head

from cpm_plugin.core.structure import Structure, structured_maps
from cpm_plugin.mmpose import CPMHeatmap
from cpm_plugin.mmpose.structured_codec import read_structure

from mmpose.registry import KEYPOINT_CODECS

SIZES = dict(input_size=(64, 64), heatmap_size=(8, 8))
LEG = Structure(
    ('hip', 'knee', 'ankle'), (),
    (('hip', 'knee'), ('knee', 'ankle')), ((0, 0.3), (0, 0.3)), ((0.01, 0.01),) * 2,
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    (tmp_path / 'leg.json').write_text(LEG.to_json())
    return str(tmp_path / 'leg.json')


def codec(path, **arguments):
    return KEYPOINT_CODECS.build(
        dict(type='StructuredHeatmap', structure=path, **{**SIZES, **arguments})
    )


def test_decoding_is_that_of_the_max_marginals(path):
    maps = np.random.default_rng(0).random((3, 3, 8, 8)).astype(np.float32)
    one = codec(path, weight=0.7, floor=0.1)
    expected, scores = CPMHeatmap(**SIZES).batch_decode(
        structured_maps(maps, LEG, weight=0.7, floor=0.1).maps
    )
    plain, _ = CPMHeatmap(**SIZES).batch_decode(maps)
    keypoints, found = one.batch_decode(torch.as_tensor(maps))
    np.testing.assert_array_equal(keypoints, expected)
    np.testing.assert_array_equal(found, scores)
    assert np.abs(np.array(keypoints) - plain).max() > 8
    for index in range(3):
        single, _ = one.decode(maps[index])
        assert single.shape == (1, 3, 2) and single.dtype == np.float32
        np.testing.assert_allclose(single, keypoints[index], atol=1e-4)


def test_targets_are_those_of_the_plain_codec(path):
    points = np.array([[[10.0, 20], [30, 30], [40, 50]]])
    made = codec(path, sigma=9.0).encode(points)
    expected = CPMHeatmap(**SIZES, sigma=9.0).encode(points)
    assert made.keys() == expected.keys()
    np.testing.assert_array_equal(made['heatmaps'], expected['heatmaps'])


def test_a_head_decodes_the_stage_that_is_asked_for(path, monkeypatch):
    first, last = torch.rand(2, 2, 3, 8, 8)
    head = slim_head(decoder=dict(type='StructuredHeatmap', structure=path, weight=0.7, **SIZES))
    gives(head, [first, last], monkeypatch)
    for test_cfg, maps in ((dict(stage=1), first), (dict(stage=2), last), ({}, last)):
        found = head.predict(None, samples([[1, 1, 1]] * 2), test_cfg)
        expected, _ = codec(path, weight=0.7).batch_decode(maps)
        for instance, keypoints in zip(found, expected):
            np.testing.assert_allclose(instance.keypoints, keypoints, atol=1e-4)


def test_files_without_a_structure_are_named(tmp_path):
    with pytest.raises(ValueError, match=r'no\.json: no such file; write it with tools/fit'):
        read_structure(tmp_path / 'no.json')
    (tmp_path / 'bad.json').write_bytes(b'\xff{')
    with pytest.raises(ValueError, match=r'bad\.json: '):
        codec(str(tmp_path / 'bad.json'))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(weight=0), 'weight 0 must be positive'),
        (dict(floor=0), 'floor 0 must be positive'),
        (dict(sigma=0), 'sigma 0 must be positive'),
    ],
)
def test_arguments_out_of_range_are_refused_at_once(path, arguments, message):
    with pytest.raises(ValueError, match=message):
        codec(path, **arguments)


def test_other_joints_are_refused(path):
    with pytest.raises(ValueError, match='the structure has 3 joints'):
        codec(path).decode(np.ones((4, 8, 8)))
