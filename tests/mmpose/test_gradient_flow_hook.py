"""Magnitudes of gradients: worked out by hand, whatever happens between the loss and the update."""

import csv
import math
from types import SimpleNamespace

import pytest
import torch
from cpm_testing.training import make_figures, tiny_config, train
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from cpm_plugin.mmpose.finite_hook import FiniteHook, NotFiniteError
from cpm_plugin.mmpose.gradient_flow_hook import (
    COLUMNS,
    FILE,
    GradientFlowHook,
    layers_of,
    magnitudes,
)


class TwoLayers(nn.Module):
    """(w2 @ w1 @ x).sum(), defined in the reverse order, with a bias and a layer not used."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(1, 1)
        self.second = nn.Linear(2, 1, bias=False)
        self.norm = nn.LayerNorm(2)
        self.first = nn.Linear(2, 2)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
            self.first.bias.zero_()
            self.second.weight.copy_(torch.tensor([[10.0, 0.0]]))

    def forward(self, x):
        return self.second(self.first(x)).sum()


# For x = (1, -3): w1 @ x = (-5, -9), the gradient of w2. That of w1 is w2.T @ x.T.
X = torch.tensor([[1.0, -3.0]])
FIRST, SECOND = [[10, -30], [0, 0]], [[-5, -9]]


class Training:
    """Iterations of two layers behind the hook."""

    def __init__(self, folder, hook, begin=0, wrapper=OptimWrapper, **options):
        self.model, self.hook = TwoLayers(), hook
        optimizer = torch.optim.SGD(self.model.parameters(), 0.0)
        self.wrapper = wrapper(optimizer, **options)
        self.runner = SimpleNamespace(
            optim_wrapper=self.wrapper, model=self.model, epoch=0, iter=begin,
            work_dir=str(folder), message_hub=SimpleNamespace(runtime_info={}),
        )  # fmt: skip
        hook.before_train(self.runner)
        self.path = folder / FILE

    def update(self, factor=1.0):
        self.wrapper.update_params(factor * self.model(X))
        self.hook.after_train_iter(self.runner, self.runner.iter)
        self.runner.iter += 1

    def rows(self):
        with self.path.open(newline='') as file:
            return list(csv.DictReader(file))


def numbers(row):
    return [float(row[name] or 'nan') for name in COLUMNS[COLUMNS.index('values') :]]


def test_two_layers_by_hand(tmp_path):
    training = Training(tmp_path, GradientFlowHook(interval=1))
    training.update()
    first, second, unused = training.rows()
    assert [(r['depth'], r['layer'], r['stage']) for r in (first, second, unused)] == [
        ('0', 'first', ''), ('1', 'second', ''), ('2', 'unused', ''),
    ]  # fmt: skip
    assert (first['epoch'], first['iter']) == ('1', '1')
    # of 0, 0, 10, 30 the percentiles between two neighbors are linear
    assert numbers(first) == pytest.approx([4, 10, 0, 0, 5, 15, 27, 0.5, 0])
    assert numbers(second) == pytest.approx([2, 7, 5.2, 6, 7, 8, 8.8, 0, 0])
    assert unused['values'] == '1' and set(list(unused.values())[6:]) == {''}


def test_only_iterations_of_the_interval_are_recorded_and_the_update_is_made(tmp_path):
    training = Training(tmp_path, GradientFlowHook(interval=2))
    steps = []
    step = training.wrapper.optimizer.step
    training.wrapper.optimizer.step = lambda *_, **__: (steps.append(1), step())
    for _ in range(5):
        training.update()
    assert [row['iter'] for row in training.rows()[::3]] == ['2', '4']
    assert len(steps) == 5


def test_accumulated_gradients_are_recorded_once_as_their_sum(tmp_path):
    training = Training(tmp_path, GradientFlowHook(interval=3), accumulative_counts=2)
    for factor in (1, 3, 5, 7, 1, 1):
        training.update(factor)
    rows = training.rows()[1::3]
    # iterations 3 and 4 are an update; each loss counts half
    assert [(row['iter'], float(row['mean'])) for row in rows] == [('4', 42), ('6', 7)]


def test_clipping_comes_after(tmp_path):
    options = dict(clip_grad=dict(max_norm=0.1))
    training = Training(tmp_path, GradientFlowHook(interval=1), **options)
    training.update()
    assert float(training.rows()[1]['mean']) == 7


class ScaledWrapper(OptimWrapper):
    """Mixed precision as MMEngine's, whose own wants a GPU."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()


def test_the_scale_of_the_loss_is_taken_out_and_the_gradient_left_as_it_is(tmp_path):
    training = Training(tmp_path, GradientFlowHook(interval=1), wrapper=ScaledWrapper)
    seen = []
    training.wrapper.optimizer.register_step_pre_hook(
        lambda *_: seen.append(training.model.second.weight.grad.tolist())
    )
    training.update()
    assert numbers(training.rows()[0])[1] == 10 and numbers(training.rows()[1])[1] == 7
    assert seen == [SECOND]  # what the scaler gives to the optimizer


def test_a_gradient_that_is_not_finite_is_recorded_before_it_stops_the_training(tmp_path):
    hook = GradientFlowHook(interval=1)
    training = Training(tmp_path, FiniteHook())
    hook.before_train(training.runner)
    training.hook = hook

    class Breaks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * torch.tensor([[float('nan'), 1.0]])

    training.model.first.register_forward_hook(lambda _, __, output: Breaks.apply(output))
    with pytest.raises(NotFiniteError):
        training.update()
    first, second, _ = training.rows()
    assert numbers(first) == [4, *[0] * 6, 0.5, 0.5]  # of those that are finite: w2 has a 0
    assert numbers(second)[-1] == 0 and numbers(second)[1] == 7


def test_nothing_finite_leaves_the_statistics_empty():
    weight = nn.Parameter(torch.ones(1, 2))
    weight.grad = torch.tensor([[float('inf'), float('nan')]])
    found = magnitudes(weight)
    assert found.pop('values') == 2
    assert (found.pop('zeros'), found.pop('not_finite')) == (0, 1)
    assert set(found.values()) == {''}


def test_percentiles_are_those_of_numpy():
    import numpy as np

    weight = nn.Parameter(torch.ones(7, 9))
    weight.grad = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))
    found = magnitudes(weight, scale=2.0)
    sizes = weight.grad.abs().numpy().astype(float) / 2
    for percent in (5, 25, 50, 75, 95):
        assert found[f'p{percent}'] == pytest.approx(np.percentile(sizes, percent), rel=1e-5)
    assert found['mean'] == pytest.approx(sizes.mean(), rel=1e-5)


def test_a_module_that_is_not_called_stands_with_the_one_around_it():
    model = nn.ModuleDict({'b': nn.MultiheadAttention(2, 1), 'a': nn.Linear(2, 2)})
    model.register_parameter('own', nn.Parameter(torch.zeros(1, 2)))
    names = [name for name, _ in layers_of(model, {'': 0, 'a': 1, 'b': 2})]
    assert names == ['own', 'a.weight', 'b.in_proj_weight', 'b.out_proj.weight']


def test_a_resumed_training_continues_the_file_and_a_new_one_begins_it(tmp_path):
    training = Training(tmp_path, GradientFlowHook(interval=1))
    for _ in range(3):
        training.update()
    with training.path.open('a') as file:
        file.write('1,1')  # cut off
    resumed = Training(tmp_path, GradientFlowHook(interval=1), begin=2)
    assert [row['iter'] for row in resumed.rows()[::3]] == ['1', '2']
    resumed.update()
    assert [row['iter'] for row in resumed.rows()[::3]] == ['1', '2', '3']
    assert [row['iter'] for row in Training(tmp_path, GradientFlowHook()).rows()] == []


def test_stages_and_layers_of_a_training_are_in_their_order(repo, tmp_path):
    """With a BatchNorm and a bfloat16 wrapper; values are those that the optimizer has seen."""
    data = make_figures(tmp_path / 'data', 8)
    config = tiny_config(
        repo, data, tmp_path / 'run',
        **{
            'optim_wrapper.type': 'Bfloat16OptimWrapper', 'train_cfg.max_epochs': 2,
            'train_cfg.val_interval': 2,
            'custom_hooks': [dict(type='GradientFlowHook', interval=2)],
        },
    )  # fmt: skip
    runner = train(config)
    with (tmp_path / 'run' / FILE).open(newline='') as file:
        rows = list(csv.DictReader(file))
    last = [row for row in rows if row['iter'] == '4']
    assert {(row['epoch'], row['iter']) for row in rows} == {('1', '2'), ('2', '4')}
    layers = [row['layer'] for row in last]
    assert layers[:2] == [f'backbone.trunks.stage1_trunk.conv{n}.conv' for n in (1, 2)]
    assert layers[3] == 'backbone.trunks.shared_trunk.conv1.conv'
    assert layers[-1] == 'head.stages.later.0.beliefs'
    assert [row['stage'] for row in last] == [''] * 6 + ['1'] * 4 + ['2'] * 6
    weights = dict(runner.model.named_parameters())
    assert len(last) == sum(value.ndim == 4 for value in weights.values())
    assert [int(r['values']) for r in last] == [weights[f'{n}.weight'].numel() for n in layers]
    assert all(float(row['mean']) > 0 and float(row['not_finite']) == 0 for row in last)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match='interval=0 must be at least 1'):
        GradientFlowHook(interval=0)
    wrapper = OptimWrapperDict(a=OptimWrapper(torch.optim.SGD([nn.Parameter(torch.ones(1))], 1)))
    with pytest.raises(ValueError, match='the training has OptimWrapperDict; leave the hook out'):
        GradientFlowHook().before_train(SimpleNamespace(optim_wrapper=wrapper))


def test_values_have_six_digits():
    weight = nn.Parameter(torch.ones(1, 1))
    weight.grad = torch.full((1, 1), 1 / 3)
    assert magnitudes(weight)['mean'] == 0.333333
    assert not math.isnan(magnitudes(weight)['p50'])
