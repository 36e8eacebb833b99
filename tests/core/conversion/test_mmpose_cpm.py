"""Names of MMPose's CPM and ours: a stock network written out by hand, both ways."""

import pytest
import torch
from cpm_testing.checkpoints import assert_same
from torch.nn import functional as F

from cpm_plugin.core import create_model
from cpm_plugin.core.conversion.mmpose_cpm import StockSizes, from_stock, stock_sizes, to_stock
from cpm_plugin.core.weights.checkpoints import from_mmpose

JOINTS, STAGES = 5, 3
TRUNK, REDUCED, FIRST, LATER = 4, 3, 6, 4  # widths
NARROW = {
    'num_keypoints': JOINTS,
    'num_stages': STAGES,
    'channels': TRUNK,
    'reduced_channels': REDUCED,
    'first_stage_channels': FIRST,
    'background': False,
    'center_map_sigma': None,
    'pool_padding': 1,
    'beliefs_first': True,
}
# stock's module: kernel, channels in, channels out
LAYERS = {
    'stem.0': (9, 3, TRUNK),
    'stem.2': (9, TRUNK, TRUNK),
    'stem.4': (9, TRUNK, TRUNK),
    'stem.6': (5, TRUNK, REDUCED),
    'stem.7': (9, REDUCED, FIRST),
    'stem.8': (1, FIRST, FIRST),
    'stem.9': (1, FIRST, JOINTS),
    'middle.0': (9, 3, TRUNK),
    'middle.2': (9, TRUNK, TRUNK),
    'middle.4': (9, TRUNK, TRUNK),
    **{f'middle_conv.{n}.0': (5, TRUNK, REDUCED) for n in (0, 1)},
    **{f'cpm_stages.{n}.model.0': (11, REDUCED + JOINTS, LATER) for n in (0, 1)},
    **{f'cpm_stages.{n}.model.{i}': (11, LATER, LATER) for n in (0, 1) for i in (1, 2)},
    **{f'out_convs.{n}.0': (1, LATER, LATER) for n in (0, 1)},
    **{f'out_convs.{n}.1': (1, LATER, JOINTS) for n in (0, 1)},
}
OUTPUTS = ('stem.9', 'out_convs.0.1', 'out_convs.1.1')


def stock_state(normalized=True):
    """Weights of a stock CPM of three stages, no two tensors alike."""
    torch.manual_seed(0)
    state = {}
    for layer, (kernel, seen, width) in LAYERS.items():
        name = f'backbone.{layer}'
        weight = torch.randn(width, seen, kernel, kernel) / (seen * kernel**2 / 2) ** 0.5
        state[f'{name}.conv.weight'] = weight
        if layer in OUTPUTS or not normalized:
            state[f'{name}.conv.bias'] = torch.randn(width) / 10
            continue
        state[f'{name}.bn.weight'] = torch.rand(width) + 0.5
        state[f'{name}.bn.bias'] = torch.randn(width) / 10
        state[f'{name}.bn.running_mean'] = torch.randn(width) / 10
        state[f'{name}.bn.running_var'] = torch.rand(width) + 0.5
        state[f'{name}.bn.num_batches_tracked'] = torch.tensor(len(state))
    return state


def stock_outputs(state, image):
    """What MMPose's CPM computes, of its definition in torch's functions."""

    def layer(name, x):
        p = {k.removeprefix(f'backbone.{name}.'): v for k, v in state.items()}
        x = F.conv2d(x, p['conv.weight'], p.get('conv.bias'), padding=LAYERS[name][0] // 2)
        if 'bn.weight' in p:
            x = F.batch_norm(
                x, p['bn.running_mean'], p['bn.running_var'], p['bn.weight'], p['bn.bias']
            )
        return x if name in OUTPUTS else x.relu()

    def trunk(name):
        x = image
        for number in (0, 2, 4):
            x = F.max_pool2d(layer(f'{name}.{number}', x), 3, stride=2, padding=1)
        return x

    x = trunk('stem')
    for number in (6, 7, 8, 9):
        x = layer(f'stem.{number}', x)
    outputs, shared = [x], trunk('middle')
    for n in (0, 1):
        x = torch.cat([x, layer(f'middle_conv.{n}.0', shared)], dim=1)
        for number in (0, 1, 2):
            x = layer(f'cpm_stages.{n}.model.{number}', x)
        x = layer(f'out_convs.{n}.1', layer(f'out_convs.{n}.0', x))
        outputs.append(x)
    return outputs


def narrow_model(normalized=True, **arguments):
    name = 'cpm_6s_bn' if normalized else 'cpm_6s'
    return create_model(name, **{**NARROW, **arguments}).eval()


def largest_difference(model, state, image):
    """Over the stages, in units of a stage's largest value."""
    with torch.no_grad():
        pairs = list(zip(model(image), stock_outputs(state, image), strict=True))
    for _, expected in pairs:
        assert 0.1 < expected.std() < 10
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize('normalized', [True, False], ids=['BN', 'no norm'])
def test_converted_weights_compute_what_stock_computes(normalized):
    state = stock_state(normalized)
    ours = from_stock(state)
    model = narrow_model(normalized)
    model.load_state_dict(from_mmpose(ours))
    assert largest_difference(model, state, 2 * torch.randn(2, 3, 45, 64)) < 1e-5
    assert_same(to_stock(ours), state)
    assert stock_sizes(ours) == StockSizes(
        STAGES, JOINTS, normalized, (TRUNK, REDUCED, FIRST, LATER)
    )


@pytest.mark.parametrize('argument', [{'pool_padding': 0}, {'beliefs_first': False}])
def test_both_arguments_matter(argument):
    state = stock_state()
    model = narrow_model(**argument)
    model.load_state_dict(from_mmpose(from_stock(state)))
    assert largest_difference(model, state, 2 * torch.randn(1, 3, 48, 64)) > 1e-2


def swapped(state, one, other):
    """The two modules' weights exchanged."""
    names = {one: other, other: one}
    return {
        next((k.replace(a, b) for a, b in names.items() if k.startswith(a)), k): v
        for k, v in state.items()
    }


@pytest.mark.parametrize(
    'one, other',
    [
        ('backbone.trunks.stage1_trunk.', 'backbone.trunks.shared_trunk.'),
        ('head.stages.later.0.', 'head.stages.later.1.'),
        ('head.stages.later.0.refine.1.', 'head.stages.later.0.refine.2.'),
    ],
)
def test_a_swap_would_be_seen(one, other):
    state = stock_state()
    model = narrow_model()
    model.load_state_dict(from_mmpose(swapped(from_stock(state), one, other)))
    assert largest_difference(model, state, 2 * torch.randn(1, 3, 48, 64)) > 1e-2


def test_preprocessor_is_dropped_and_missing_counters_start_at_0():
    state = stock_state()
    old = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    old['data_preprocessor.mean'] = torch.zeros(3, 1, 1)
    ours = from_stock(old)
    assert ours.keys() == from_stock(state).keys()
    counters = [v for k, v in ours.items() if k.endswith('num_batches_tracked')]
    assert len(counters) == len(LAYERS) - len(OUTPUTS)
    for counter in counters:
        assert counter.dtype == torch.long and counter == 0
    assert 'data_preprocessor.mean' in old and 'backbone.stem.0.bn.num_batches_tracked' not in old


@pytest.mark.parametrize('head', ['head', 'keypoint_head'])
@pytest.mark.parametrize('layer', ['multi_final_layers.2.weight', 'multi_deconv_layers.0.1.bias'])
def test_head_with_layers_of_its_own_is_refused(head, layer):
    state = {**stock_state(), f'{head}.{layer}': torch.zeros(1)}
    with pytest.raises(ValueError, match=rf'^{head}\.{layer}: .*final_layer=None'):
        from_stock(state)


def without(prefix):
    return lambda state: {k: v for k, v in state.items() if not k.startswith(prefix)}


def added(key):
    return lambda state: {**state, key: torch.zeros(1)}


STOCK_CHANGES = {
    'a tensor missing': (
        without('backbone.middle.2.bn.running_var'),
        r'missing: backbone\.middle\.2\.bn\.running_var$',
    ),
    'the first of the later stages missing': (
        without('backbone.out_convs.0.'),
        r'missing: backbone\.out_convs\.0\.0\.conv\.weight.*left over: .*\.1\.',
    ),
    'a bias before a norm': (
        added('backbone.stem.0.conv.bias'),
        r'; left over: backbone\.stem\.0\.conv\.bias$',
    ),
    'a loss with weights': (added('head.loss_module.x'), r'; left over: head\.loss_module\.x$'),
    'another head': (added('keypoint_head.x'), r'; left over: keypoint_head\.x$'),
    'another backbone': (
        lambda s: {'backbone.conv1.weight': torch.zeros(1)},
        r"no weights of MMPose's CPM; missing: backbone\.stem\.0\.conv\.weight.*"
        r'left over: backbone\.conv1\.weight$',
    ),
    'one stage': (
        lambda s: {k: v for k, v in s.items() if k.startswith(('backbone.stem', 'backbone.mid'))},
        r'two stages or more; missing: backbone\.cpm_stages\.0\.model',
    ),
    'nothing': (lambda s: {}, r'missing: backbone\.stem\.0\.conv\.weight'),
    'ours': (from_stock, r'^these are weights of our components already; to_stock .*--to-stock$'),
    'the backbone alone': (
        lambda s: {k.removeprefix('backbone.'): v for k, v in s.items()},
        r'left over: stem\.0.*\. Give the state dict of the whole estimator',
    ),
    'half normalized': (
        without('backbone.stem.2.bn.'),
        r'missing: backbone\.stem\.2\.bn\.weight, ',
    ),
}


@pytest.mark.parametrize('change, message', STOCK_CHANGES.values(), ids=STOCK_CHANGES)
def test_what_is_not_stock_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        from_stock(change(stock_state()))


OUR_CHANGES = {
    'a tensor missing': (
        without('head.stages.later.1.beliefs.bias'),
        r'missing: head\.stages\.later\.1\.beliefs\.bias$',
    ),
    'left over': (added('head.loss_module.x'), r'; left over: head\.loss_module\.x$'),
    'stock': (to_stock, r"^these are weights of MMPose's CPM already; from_stock .*without --to-"),
    'another network': (
        lambda s: {'backbone.conv1.weight': torch.zeros(1)},
        r'CPMBackbone and CPMStageHead; missing: .*left over: backbone\.conv1\.weight$',
    ),
    'the core model alone': (from_mmpose, r'left over: trunks\.stage1_trunk.*whole estimator'),
}


@pytest.mark.parametrize('change, message', OUR_CHANGES.values(), ids=OUR_CHANGES)
def test_what_is_not_ours_is_named(change, message):
    for convert in (to_stock, stock_sizes):
        with pytest.raises(ValueError, match=message):
            convert(change(from_stock(stock_state())))


def estimator_state(**arguments):
    """State dict of our network as MMPose's estimator has it."""
    prefix = {'trunks': 'backbone.', 'stages': 'head.'}
    state = narrow_model(**arguments).state_dict()
    return {prefix[key[:6]] + key: value for key, value in state.items()}


NOT_STOCK = {
    'center map': ({'center_map_sigma': 21.0}, r'sees 9 channels, not 3 .* 5 .*no center map'),
    'trunk kernel': ({'trunk_kernel_size': 7}, r'stage1_trunk\.conv1.*backbone\.stem\.0.*9x9'),
    'reduce kernel': ({'reduce_kernel_size': 3}, r'reduce\.conv\.weight.*5x5'),
    'refine kernel': ({'refine_kernel_size': 7}, r'refine\.0\.conv\.weight.*11x11'),
    'depth': ({'refine_depth': 4}, r'left over: .*refine\.4'),
    'one stage': (
        {'num_stages': 1},
        r'two stages or more; missing: backbone\.trunks\.shared_trunk',
    ),
}


@pytest.mark.parametrize('arguments, message', NOT_STOCK.values(), ids=NOT_STOCK)
def test_networks_that_stock_has_not_do_not_go_back(arguments, message):
    assert to_stock(estimator_state())
    with pytest.raises(ValueError, match=message):
        to_stock(estimator_state(**arguments))
