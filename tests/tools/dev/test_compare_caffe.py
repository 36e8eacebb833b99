"""The comparison with a deploy file: says yes to the same network and no to another."""

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from random_caffe import random_layers, write_caffemodel

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'dev' / 'compare_caffe.py'
HAS_IMPORTER = hasattr(cv2.dnn, 'readNetFromCaffe')
needs_importer = pytest.mark.skipif(
    not HAS_IMPORTER, reason=f'OpenCV {cv2.__version__} has no importer of Caffe nets'
)
HEADER = 'input: "data"\ninput_dim: 1\ninput_dim: 4\ninput_dim: 368\ninput_dim: 368\n'


class Deploy:
    """Text of a net for FLIC, as the paper's figure 2 and section 3 describe it."""

    def __init__(self):
        self.text = HEADER

    def layer(self, name, kind, *bottoms, top=None, extra=''):
        below = ''.join(f' bottom: "{bottom}"' for bottom in bottoms)
        self.text += (
            f'layer {{ name: "{name}" type: "{kind}"{below} top: "{top or name}" {extra}}}\n'
        )
        return top or name

    def conv(self, name, bottom, channels, kernel, relu=True):
        size = f'num_output: {channels} kernel_size: {kernel} pad: {kernel // 2}'
        self.layer(name, 'Convolution', bottom, extra=f'convolution_param {{ {size} }} ')
        if relu:
            self.layer(f'relu_{name}', 'ReLU', name, top=name)
        return name

    def pool(self, name, bottom, size):
        return self.layer(name, 'Pooling', bottom, extra=f'pooling_param {{ {size} }} ')

    def trunk(self, stage):
        bottom = 'image'
        for n in (1, 2, 3):
            bottom = self.conv(f'conv{n}_stage{stage}', bottom, 128, 9)
            size = 'pool: MAX kernel_size: 3 stride: 2'
            bottom = self.pool(f'pool{n}_stage{stage}', bottom, size)
        return bottom


def flic_deploy():
    net = Deploy()
    slices = 'top: "center_map" slice_param { slice_point: 3 axis: 1 } '
    net.layer('image', 'Slice', 'data', extra=slices)
    center = net.pool('center', 'center_map', 'pool: AVE kernel_size: 9 stride: 8')
    bottom = net.trunk(1)
    for n, channels, kernel in ((4, 32, 5), (5, 512, 9), (6, 512, 1)):
        bottom = net.conv(f'conv{n}_stage1', bottom, channels, kernel)
    beliefs = net.conv('conv7_stage1', bottom, 10, 1, relu=False)
    shared = net.trunk(2)
    for stage in (2, 3, 4):
        reduced = net.conv(f'conv{4 if stage == 2 else 1}_stage{stage}', shared, 32, 5)
        bottom = net.layer(f'concat{stage}', 'Concat', reduced, beliefs, center)
        for n, kernel in ((1, 11), (2, 11), (3, 11), (4, 1)):
            bottom = net.conv(f'Mconv{n}_stage{stage}', bottom, 128, kernel)
        beliefs = net.conv(f'Mconv5_stage{stage}', bottom, 10, 1, relu=False)
    return net.text


@pytest.fixture(scope='module')
def main():
    spec = importlib.util.spec_from_file_location('compare_caffe', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def run(main, tmp_path, monkeypatch, capfd):
    """Runs the tool on a deploy text; its exit code and what it prints."""

    def run(deploy, *arguments):
        (tmp_path / 'deploy.prototxt').write_text(deploy)
        words = ['compare_caffe.py', tmp_path / 'deploy.prototxt', '--model', 'cpm_flic']
        monkeypatch.setattr(sys, 'argv', list(map(str, [*words, *arguments])))
        try:
            code = main()
        except SystemExit as stopped:
            code = stopped.code
        shown = capfd.readouterr()
        return code, shown.out + shown.err

    return run


def rows(shown):
    """(size, stage, deviation, difference) of each row of the table."""
    lines = [line.strip('| ').split(' | ') for line in shown.splitlines() if 'x' in line[:12]]
    return [(size, int(s), float(d), float(f)) for size, s, _, d, f in (x for x in lines if x[1:])]


@needs_importer
def test_same_network(run, tmp_path):
    code, shown = run(flic_deploy(), '--size', '40x48', '33x41', '--golden', tmp_path / 'a.json')
    assert code == 0 and shown.count('| size | stage |') == 1, shown
    found = rows(shown)
    assert [row[:2] for row in found] == [(s, t) for s in ('40x48', '33x41') for t in range(1, 5)]
    assert all(0.05 < deviation < 10 and difference < 1e-5 for *_, deviation, difference in found)
    golden = json.loads((tmp_path / 'a.json').read_text())['cpm_flic']
    assert golden['size'] == [40, 48] and len(golden['largest']) == 4
    assert [(c['y'], c['x']) for c in golden['cells']] == [
        (y, x) for y in (0, 2, 4) for x in (0, 3, 5)
    ]
    assert np.shape([cell['stages'] for cell in golden['cells']]) == (9, 4, 10)


@needs_importer
def test_weights_of_a_file(run, tmp_path):
    write_caffemodel(tmp_path / 'flic', random_layers('cpm_flic', 3), legacy=True)
    code, shown = run(flic_deploy(), '--size', '32x40', '--weights', tmp_path / 'flic')
    assert code == 0 and str(tmp_path / 'flic') in shown
    assert len(rows(shown)) == 4


OTHERS = {
    'order': ('"conv1_stage4" bottom: "Mconv5_stage3"', '"Mconv5_stage3" bottom: "conv1_stage4"'),
    'no_relu': ('type: "ReLU" bottom: "Mconv4_stage4"', 'type: "AbsVal" bottom: "Mconv4_stage4"'),
    'average_pool': ('pool: AVE', 'pool: MAX'),
}


@needs_importer
@pytest.mark.parametrize('ours, theirs', OTHERS.values(), ids=OTHERS)
def test_another_network(ours, theirs, run):
    deploy = flic_deploy()
    assert deploy.count(ours) == 1
    code, shown = run(deploy.replace(ours, theirs), '--size', '40x48')
    assert code == 1
    assert max(difference for *_, difference in rows(shown)) > 1e-3


@needs_importer
def test_what_cannot_be_compared_is_said_in_a_line(run, tmp_path):
    for deploy, arguments, message in (
        ('input: "data"\n', (), 'deploy.prototxt is no deploy file'),
        (HEADER + 'nonsense', (), 'deploy file? ('),
        (flic_deploy(), ('--model', 'cpm_mpii', '--size', '40x48'), 'weights of cpm_mpii; is it'),
        (flic_deploy(), ('--model', 'cpm_person', '--size', '40x48'), 'weights of cpm_person; is'),
        (flic_deploy(), ('--weights', tmp_path / 'no'), 'no: no such file'),
        (flic_deploy(), ('--weights', tmp_path / 'no', '--golden', 'a'), 'leave out --weights'),
        (flic_deploy(), ('--size', '40'), 'HEIGHTxWIDTH'),
        (flic_deploy(), ('--size', '36x40'), 'compare_caffe.py: image of 36 x 40 pixels'),
    ):
        code, shown = run(deploy, *arguments)
        assert code == 2 and message in shown.splitlines()[-1], shown
        assert '|' not in shown and '[ERROR' not in shown and 'error: (-' not in shown, shown


@needs_importer
def test_missing_deploy_file_is_named(main, tmp_path, monkeypatch, capfd):
    words = ['compare_caffe.py', str(tmp_path / 'no.prototxt'), '--model', 'cpm_flic']
    monkeypatch.setattr(sys, 'argv', words)
    with pytest.raises(SystemExit):
        main()
    assert capfd.readouterr().err == f'compare_caffe.py: {words[1]} is no file\n'


@pytest.mark.skipif(HAS_IMPORTER, reason='this OpenCV has an importer')
def test_opencv_without_an_importer_is_named(run):
    code, shown = run(flic_deploy())
    assert code == 2 and f'OpenCV {cv2.__version__} has no importer' in shown
