"""The benchmark on a GPU, done on a CPU: order, limit of time, what is compared with what."""

import pytest
import torch
from torch import nn

from cpm_plugin.apps import gpu_benchmark
from cpm_plugin.apps.gpu_benchmark import WAYS, Shape, Way, time_ways
from cpm_plugin.core import FeatureTrunks, LargeKernelConv2d, TrunkSettings, build_network


class Tiny(nn.Module):
    """A convolution, and a stage of twice its output."""

    def __init__(self, kind, task):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = LargeKernelConv2d(3, 4, 5, padding=2)
        self.head = lambda maps: [maps, 2 * maps]
        self.kind = kind
        self.train(task == 'train')


@pytest.fixture
def built(monkeypatch):
    """Networks that are built, in place of real ones."""
    built = []

    def build(kind, task, device):
        if kind == 'stock HRNet-W32':
            raise RuntimeError('out of\nmemory')
        built.append(Tiny(kind, task))
        return built[-1]

    monkeypatch.setattr(gpu_benchmark, 'build', build)
    monkeypatch.setattr(gpu_benchmark, 'matrix_peak', lambda device, dtype: 1000.0)
    return built


def rows_of(ways, shapes, told=None, limit=100.0):
    told = [] if told is None else told
    settings = dict(device='cpu', runs=2, limit=limit, tell=told.append)
    return list(time_ways(ways, [Shape(*shape) for shape in shapes], **settings))


SHAPES = [('train', 2, '16x12'), ('train', 2, '8x8'), ('forward', 1, '16x12')]
FIRST, TUNED, DIRECT, FOURIER = WAYS[:4]


def test_rows_come_way_by_way_and_a_network_is_built_once_for_a_task(built):
    rows = rows_of([FIRST, DIRECT], SHAPES)
    assert [(row['network'], row['task'], row['batch'], row['size']) for row in rows] == [
        (name, *shape) for name in ('stock CPM', 'ours direct') for shape in SHAPES
    ]
    assert [(model.kind, model.training) for model in built] == [
        ('stock CPM', True), ('stock CPM', False), ('ours', True), ('ours', False),
    ]  # fmt: skip
    assert [row['precision'] for row in rows] == ['float32'] * 3 + ['bf16'] * 3


def test_what_a_row_says(built):
    one, other = rows_of([FIRST, TUNED], [('forward', 2, '16x12')])
    # two images; a multiplication and an addition; 25 taps, from 3 to 4 channels
    assert float(one['GFLOP']) == round(2 * 2 * 16 * 12 * 25 * 3 * 4 / 1e9)
    assert one['stock_over_this'] == '1.00' and one['difference'] == '0.0e+00'
    seconds = [float(row['seconds']) for row in (one, other)]
    assert float(other['images_per_s']) == pytest.approx(2 / seconds[1], rel=0.1)
    assert 1e-4 < float(other['difference']) < 2e-2  # bfloat16
    assert one['peak_MB'] == '' and one['runs'] == 2


def test_networks_are_run_in_their_way(built):
    rows_of([FIRST, TUNED, DIRECT, FOURIER], [('forward', 1, '16x12')])
    orders = [
        model.backbone.weight.is_contiguous(memory_format=torch.channels_last) for model in built
    ]
    assert orders == [False, True, True, True]
    assert [model.backbone.method for model in built] == ['direct'] * 3 + ['fourier']


def test_training_steps_leave_the_weights_for_the_next_row(built):
    rows_of([FIRST], [('train', 2, '16x12')])
    (model,) = built
    assert torch.equal(model.backbone.weight, Tiny('', 'train').backbone.weight)
    assert model.backbone.weight.grad.abs().max() > 0


def test_graphs_are_of_forward_passes_alone_and_of_half_precision(monkeypatch):
    torch.manual_seed(0)

    class Machine(nn.Module):
        def __init__(self):
            super().__init__()
            network = build_network(
                num_stages=2, channels=8, first_stage_channels=8, center_map_sigma=None
            )
            self.backbone, self.stages = network.trunks, network.stages

        def head(self, features):
            return self.stages(*features)

    built = []

    def build(kind, task, device):
        torch.manual_seed(0)
        built.append(Machine().eval())
        return built[-1]

    monkeypatch.setattr(gpu_benchmark, 'build', build)
    monkeypatch.setattr(gpu_benchmark, 'matrix_peak', lambda device, dtype: 1000.0)
    way = next(way for way in WAYS if way.graphs)
    rows = rows_of([FIRST, way], [('train', 1, '16x16'), ('forward', 1, '16x16')])
    assert [(row['network'], row['task'], row['precision']) for row in rows] == [
        ('stock CPM', 'train', 'float32'), ('stock CPM', 'forward', 'float32'),
        ('ours direct graphs', 'forward', 'fp16'),
    ]  # fmt: skip
    assert 1e-5 < float(rows[2]['difference']) < 1e-2
    (half,) = {weight.dtype for weight in built[-1].parameters()}
    assert half == torch.float16
    # What was not recorded is known, and would be no row on a GPU.
    assert gpu_benchmark._without_graph(built[-1]) == 'inputs on cpu: it takes one GPU'
    for part in (built[-1].backbone, built[-1].stages):
        part.forward.graphs.reason = None
    assert gpu_benchmark._without_graph(built[-1]) is None


def test_first_layers_are_joined_where_the_way_says_so(monkeypatch):
    def build(kind, task, device):
        return FeatureTrunks(TrunkSettings(channels=2, kernel_size=3))

    monkeypatch.setattr(gpu_benchmark, 'build', build)
    joint = [gpu_benchmark._build(way, 'train', 'cpu').joint_first_layers for way in WAYS]
    assert [way.network for way, is_so in zip(WAYS, joint) if is_so] == ['ours direct joint']


def test_others_are_measured_at_their_size_and_not_compared(built):
    ways = [FIRST, Way('stock Hourglass', 'stock Hourglass'), Way('stock R', 'stock R')]
    rows = rows_of(ways, [('forward', 1, '256x192'), ('forward', 1, '16x12')])
    assert [(row['network'], row['size']) for row in rows[2:]] == [
        ('stock Hourglass', '256x256'), ('stock R', '256x192'),
    ]  # fmt: skip
    assert {(row['difference'], row['stock_over_this']) for row in rows[2:]} == {('', '')}


def test_a_row_that_fails_is_told_and_the_next_ones_are_measured(built):
    told = []
    ways = [FIRST, Way('stock HRNet-W32', 'stock HRNet-W32'), TUNED]
    rows = rows_of(ways, [('forward', 1, '256x192')], told)
    assert [row['network'] for row in rows] == ['stock CPM', 'stock CPM tuned']
    assert told == [
        'peak, a product of large matrices in bfloat16: 1 TFLOP/s',
        'stock HRNet-W32, forward, 1 x 256x192: RuntimeError: out of memory',
    ]


def test_no_row_begins_that_would_not_end_in_time(built):
    told = []
    assert rows_of([FIRST, FOURIER], SHAPES[:1], told, limit=4.9) == [] and built == []
    assert told[1:] == [
        'stock CPM, train, 2 x 16x12: no time left',
        'ours fourier, train, 2 x 16x12: no time left',
    ]


def test_settings_of_cudnn_are_those_of_a_row_and_put_back(built, monkeypatch):
    seen = []

    def runner(model, image, task, dtype, **more):
        def call():
            flags = torch.backends.cudnn
            seen.append((dtype, flags.benchmark, flags.allow_tf32))
            return [torch.ones(1)]

        return call

    monkeypatch.setattr(gpu_benchmark, 'runner', runner)
    rows_of([FIRST, TUNED], [('forward', 1, '8x8')])
    whole, half = torch.float32, torch.bfloat16
    assert seen[0] == (whole, False, False)  # the maps that all are compared with
    assert set(seen[1:5]) == {(whole, False, True)}
    assert set(seen[5:]) == {(half, True, True)}
    assert not torch.backends.cudnn.benchmark and torch.backends.cudnn.allow_tf32


def test_compiled_networks_run_compiled(built, monkeypatch):
    compiled, compile_ = [], torch.compile

    def compile_quickly(function, **options):
        compiled.append(options)
        return compile_(function, backend='eager', **options)

    monkeypatch.setattr(torch, 'compile', compile_quickly)
    way = Way('ours fourier compiled', 'ours', method='fourier', compiled=True)
    rows = rows_of([FIRST, way], [('forward', 1, '8x8')])
    assert float(rows[1]['difference']) < 2e-2
    assert compiled == [{'dynamic': False}]
