"""The first layers of two trunks as one: the values of each by itself, and when it is not done."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cpm_plugin.core import (
    FeatureTrunks,
    LargeKernelConv2d,
    TrunkSettings,
    create_model,
    optimize_for_inference,
)
from cpm_plugin.core.models.joint_first_layers import check_joint, joint_features, joint_layer

NORMS = {
    'no norm': None,
    'batch norm': nn.BatchNorm2d,
    'no running statistics': partial(nn.BatchNorm2d, track_running_stats=False),
    'no weights': partial(nn.BatchNorm2d, affine=False, momentum=0.25, eps=0.01),
}


def trunks_of(norm=nn.BatchNorm2d, *, joint=True, **settings):
    """Trunks with weights and statistics that differ in all channels."""
    torch.manual_seed(0)
    settings = {'channels': 4, 'kernel_size': 5, 'center_map_sigma': 9.0, **settings}
    trunks = FeatureTrunks(TrunkSettings(joint_first_layers=joint, **settings), norm)
    with torch.no_grad():
        for name, value in trunks.state_dict().items():
            if value.ndim == 1:
                value.uniform_(0.5, 1.5) if 'var' in name else value.normal_()
    return trunks


def image_of(dtype=torch.float32, count=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 24, 32, dtype=dtype, generator=generator)


def plain(trunks):
    other = copy.deepcopy(trunks)
    other.joint_first_layers = False
    return other


@pytest.fixture
def widths(monkeypatch):
    """Numbers of outputs of the convolutions that are computed, in their order."""
    widths, convolve = [], LargeKernelConv2d.convolve

    def noted(self, x, weight, bias, **options):
        widths.append(len(weight))
        return convolve(self, x, weight, bias, **options)

    monkeypatch.setattr(LargeKernelConv2d, 'convolve', noted)
    return widths


JOINT, APART = [8, 4, 4, 4, 4], [4] * 6


def assert_same(found, expected, **tolerance):
    tolerance = {'rtol': 0, 'atol': 1e-12, **tolerance}
    torch.testing.assert_close(found, expected, **tolerance)


@pytest.mark.parametrize('pool_padding', [0, 1])
@pytest.mark.parametrize('training', [True, False], ids=['training', 'evaluation'])
@pytest.mark.parametrize('norm', NORMS)
def test_values_gradients_and_statistics(norm, training, pool_padding, widths):
    joint = trunks_of(NORMS[norm], pool_padding=pool_padding).double().train(training)
    apart = plain(joint)
    assert list(joint.state_dict()) == list(apart.state_dict())
    results = []
    for trunks, expected_widths in ((joint, JOINT), (apart, APART)):
        image = image_of(torch.float64).requires_grad_()
        for _ in range(2):  # the second pass sees the statistics of the first
            widths.clear()
            features = trunks(image)
            assert widths == expected_widths
        sum(((number + 1) * f.sin()).sum() for number, f in enumerate(features)).backward()
        gradients = [parameter.grad for parameter in trunks.parameters()]
        results.append((features, image.grad, gradients, dict(trunks.state_dict())))
    assert_same(*results)
    if norm == 'batch norm':
        counts = [value for name, value in results[0][3].items() if name.endswith('tracked')]
        started = [value for name, value in trunks_of().state_dict().items() if 'tracked' in name]
        steps = 2 if training else 0
        assert [int(n - m) for n, m in zip(counts, started)] == [steps] * 6


def test_statistics_are_written_in_place():
    """A weight average or a process group may hold the tensors."""
    trunks = trunks_of()
    held = [(buffer, buffer.clone()) for buffer in trunks.shared_trunk.conv1.norm.buffers()]
    trunks(image_of())
    for (buffer, before), now in zip(held, trunks.shared_trunk.conv1.norm.buffers()):
        assert buffer is now and not torch.equal(buffer, before)


def test_one_normalization_and_one_pool(monkeypatch):
    seen = []
    for name in ('batch_norm', 'max_pool2d', 'relu'):
        function = getattr(F, name)

        def noted(x, *args, name=name, function=function, **options):
            seen.append((name, tuple(x.shape)))
            return function(x, *args, **options)

        monkeypatch.setattr(F, name, noted)
    trunks = trunks_of()
    layers = check_joint(trunks.stage1_trunk, trunks.shared_trunk)
    found = joint_layer(image_of(), *layers)
    assert seen == [
        ('batch_norm', (2, 8, 24, 32)), ('max_pool2d', (2, 8, 24, 32)), ('relu', (2, 8, 12, 16)),
    ]  # fmt: skip
    assert [tuple(part.shape) for part in found] == [(2, 4, 12, 16)] * 2


@pytest.mark.parametrize('method', ['direct', 'tiled', 'fourier'])
def test_methods_of_the_convolution(method, widths):
    """16 channels, which row-Fourier takes, too."""
    trunks = trunks_of(None, in_channels=16, channels=16).double()
    for layer in trunks.modules():
        if isinstance(layer, LargeKernelConv2d):
            layer.method = method
    image = torch.randn(1, 16, 24, 32, dtype=torch.float64)
    for mode in (True, False):
        trunks.train(mode)
        with torch.set_grad_enabled(mode):
            assert_same(trunks(image), plain(trunks)(image), atol=1e-10)
        assert widths == [32, *[16] * 10]
        widths.clear()
    one, other = (
        trunk.conv1.conv.last_choice for trunk in (trunks.stage1_trunk, trunks.shared_trunk)
    )
    assert one is other
    found = (None, None) if one is None else (one.tile, one.row)
    assert [value is not None for value in found] == [method == 'tiled', method == 'fourier']


def test_new_weights_are_seen_though_old_ones_were_kept():
    trunks = trunks_of(None).eval()
    for trunk in (trunks.stage1_trunk, trunks.shared_trunk):
        trunk.conv1.conv.method = 'tiled'
        trunk.conv1.conv.frozen = True
    with torch.no_grad():
        for _ in range(2):
            assert_same(trunks(image_of()), plain(trunks)(image_of()), atol=1e-5)
            trunks.shared_trunk.conv1.conv.weight.data.mul_(2)


def test_bfloat16_and_channels_last(widths):
    trunks = trunks_of().to(memory_format=torch.channels_last)
    image = image_of().to(memory_format=torch.channels_last)
    apart = plain(trunks)
    with torch.autocast('cpu', torch.bfloat16):
        found, expected = trunks(image), apart(image)
    assert widths == JOINT + APART
    for one, other in zip(found, expected):
        assert one.dtype == other.dtype and one.stride() == other.stride()
        assert_same(one, other, atol=0.02 * float(other.detach().abs().max()))
    assert trunks.shared_trunk.conv1.norm.running_mean.dtype == torch.float32
    assert_same(dict(trunks.state_dict()), dict(apart.state_dict()), atol=1e-2)


def test_parts_keep_the_memory_order():
    trunks = trunks_of().to(memory_format=torch.channels_last)
    image = image_of().to(memory_format=torch.channels_last)
    for part in joint_layer(image, *check_joint(trunks.stage1_trunk, trunks.shared_trunk)):
        assert part.is_contiguous(memory_format=torch.channels_last)


def test_compiled_in_one_graph():
    trunks = trunks_of()
    expected, apart = plain(trunks)(image_of()), plain(trunks)
    apart(image_of())
    assert_same(torch.compile(trunks, backend='eager', fullgraph=True)(image_of()), expected)
    assert_same(dict(trunks.state_dict()), dict(apart.state_dict()), atol=1e-6)


@pytest.mark.parametrize('optimized', [False, True])
def test_exported_for_other_batches(optimized):
    trunks = trunks_of().eval()
    expected = plain(trunks)(image_of(count=5))
    if optimized:  # batch normalization is folded, and recorded trunks have no bands
        trunks = optimize_for_inference(trunks)
    shapes = ({0: torch.export.Dim('batch')},)
    exported = torch.export.export(trunks, (image_of(),), dynamic_shapes=shapes)
    calls = [node for node in exported.graph.nodes if 'aten.conv2d' in str(node.target)]
    assert len(calls) == 5
    assert_same(exported.module()(image_of(count=5)), expected, rtol=1e-5, atol=1e-5)


def test_a_symbolic_trace_is_that_of_trunks_apart():
    trunks = trunks_of().eval()
    traced = torch.fx.symbolic_trace(trunks)
    assert_same(traced(image_of()), trunks(image_of()), atol=1e-5)


@torch.no_grad()
def test_optimized_trunks_stay_apart_on_a_cpu_alone(widths):
    trunks = optimize_for_inference(trunks_of(channels=8))
    expected = plain(trunks)(image_of())
    for found, other in zip(trunks(image_of()), expected):
        assert torch.equal(found, other)
    assert widths == [8] * 8  # the first layers, in bands, are none of these
    widths.clear()
    trunks.to('meta')(torch.empty(2, 3, 24, 32, device='meta'))
    assert widths == [16, 8, 8, 8, 8]


@pytest.mark.parametrize(
    'watch',
    [
        lambda module, call: module.register_forward_pre_hook(lambda *_: call()),
        lambda module, call: module.register_forward_hook(lambda *_: call()),
        lambda module, call: module.register_full_backward_hook(lambda *_: call()),
    ],
    ids=['before', 'after', 'backward'],
)
@pytest.mark.parametrize('name', ['', 'conv1', 'conv1.conv', 'conv1.norm', 'pool1'])
def test_hooks_are_called(watch, name, widths):
    trunks, calls = trunks_of(), []
    handle = watch(trunks.shared_trunk.get_submodule(name), lambda: calls.append(name))
    for module in trunks.modules():  # full backward hooks and ReLU in place do not go together
        if isinstance(module, nn.ReLU):
            module.inplace = False
    trunks(image_of())[1].sum().backward()
    assert calls == [name] and widths == APART
    handle.remove()
    widths.clear()
    trunks(image_of())
    assert calls == [name] and widths == JOINT


def test_hooks_of_all_modules_are_called(widths):
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(module))
    try:
        trunks = trunks_of()
        trunks(image_of())
    finally:
        handle.remove()
    assert trunks.stage1_trunk.conv1.norm in seen and widths == APART


def test_a_replaced_forward_is_called():
    trunks = trunks_of()
    trunks.shared_trunk.pool1.forward = lambda x: F.avg_pool2d(x, 2)
    shared = trunks(image_of())[1]
    assert_same(shared, trunks.shared_trunk(image_of()))
    del trunks.shared_trunk.pool1.forward
    assert float((trunks(image_of())[1] - shared).abs().max()) > 0.1


def test_a_trunk_in_evaluation_mode_keeps_its_statistics(widths):
    """``StageByStageHook`` sets one alone to it."""
    trunks = trunks_of()
    trunks.shared_trunk.eval()
    before = copy.deepcopy(trunks.shared_trunk.state_dict())
    trunks(image_of())
    assert widths == APART
    assert_same(dict(trunks.shared_trunk.state_dict()), dict(before))


def test_a_trunk_without_gradients_needs_no_backward_pass(widths):
    trunks = trunks_of(None)
    trunks.stage1_trunk.requires_grad_(False)
    features, shared, _ = trunks(image_of())
    assert widths == APART
    assert not features.requires_grad and shared.requires_grad


REFUSED = {
    'kernel': (
        lambda trunk: setattr(trunk.conv1, 'conv', LargeKernelConv2d(3, 4, 3, padding=1)),
        r'first layers with weight of \(4, 3, 5, 5\) and of \(4, 3, 3, 3\)',
    ),
    'stride': (
        lambda trunk: setattr(trunk.conv1.conv, 'stride', (2, 2)),
        r'first layers with conv\.stride of \(1, 1\) and of \(2, 2\)',
    ),
    'method': (
        lambda trunk: setattr(trunk.conv1.conv, 'method', 'direct'),
        r'first layers with conv\.method of auto and of direct',
    ),
    'eps': (
        lambda trunk: setattr(trunk.conv1.norm, 'eps', 0.5),
        r'first layers with norm\.eps of 1e-05 and of 0\.5',
    ),
    'no norm': (
        lambda trunk: delattr(trunk.conv1, 'norm'),
        r'first layers with norm of BatchNorm2d and of NoneType',
    ),
    'norm without weights': (
        lambda trunk: setattr(trunk.conv1, 'norm', nn.BatchNorm2d(4, affine=False)),
        r'first layers with norm with weight of True and of False',
    ),
    'pool': (
        lambda trunk: setattr(trunk.pool1, 'padding', 1),
        r'first layers with pool\.padding of 0 and of 1',
    ),
    'average': (
        lambda trunk: setattr(trunk, 'pool1', nn.AvgPool2d(3, 2)),
        'ReLU and AvgPool2d, not ReLU and MaxPool2d',
    ),
    'wrapped': (
        lambda trunk: setattr(trunk.conv1, 'conv', nn.Sequential(trunk.conv1.conv)),
        'Sequential, not a LargeKernelConv2d of one group',
    ),
    'more': (
        lambda trunk: trunk.conv1.add_module('dropout', nn.Dropout()),
        'a first layer with dropout',
    ),
    'synchronized': (
        lambda trunk: setattr(trunk.conv1, 'norm', nn.SyncBatchNorm(4)),
        'SyncBatchNorm, not BatchNorm2d or none',
    ),
}


@pytest.mark.parametrize('change', REFUSED)
def test_layers_that_cannot_be_one_are_refused(change):
    trunks = trunks_of()
    apply, message = REFUSED[change]
    apply(trunks.shared_trunk)
    remedy = r'\. It needs two trunks .* or set joint_first_layers=False$'
    with pytest.raises(ValueError, match=f'^joint_first_layers=True: {message}{remedy}'):
        trunks(image_of())


def test_other_normalizations_are_refused_when_they_are_built():
    for norm, found in (
        (lambda channels: nn.GroupNorm(2, channels), 'GroupNorm, not BatchNorm2d'),
        (lambda channels: nn.BatchNorm2d(channels, momentum=None), 'momentum=None, not a number'),
    ):
        with pytest.raises(ValueError, match=f'joint_first_layers=True: .*{found}'):
            trunks_of(norm)
        trunks_of(norm, joint=False)


def test_other_modules_are_refused():
    with pytest.raises(ValueError, match='a trunk of type Conv2d without such a layer'):
        joint_features(nn.Conv2d(3, 4, 3), trunks_of().shared_trunk, image_of())


def test_a_setting_of_named_models(widths):
    model = create_model('cpm_slim_3s', joint_first_layers=True)
    other = create_model('cpm_slim_3s')
    other.load_state_dict(model.state_dict())
    image = image_of(count=1)
    widths.clear()
    found = model(image)
    assert widths[0] == 2 * widths[1]
    assert_same(found, other(image), atol=1e-4)
