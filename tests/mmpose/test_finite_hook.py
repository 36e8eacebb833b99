"""A loss or gradient that is not finite stops the training before the weights are spoiled."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import nn

from cpm_plugin.mmpose import finite_hook
from cpm_plugin.mmpose.finite_hook import FiniteHook, NotFiniteError


class Training:
    """A linear layer and batch normalization behind the hook, one update at a time."""

    def __init__(self, hook, optimizer=torch.optim.SGD, **wrapper):
        self.hook = hook
        self.model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        optimizer = optimizer(self.model.parameters(), 0.1)
        self.runner = SimpleNamespace(
            optim_wrapper=OptimWrapper(optimizer, **wrapper), model=self.model, epoch=1, iter=6,
            message_hub=MessageHub.get_instance(f'hub {id(self)}'),
            logger=SimpleNamespace(warning=self.note),
        )  # fmt: skip
        self.notes = []
        hook.before_train(self.runner)

    def note(self, text):
        self.notes.append(text)

    def update(self, value=1.0, factor=1.0, image='images/bad.jpg'):
        sample = SimpleNamespace(metainfo={'img_path': image})
        self.hook.before_train_iter(self.runner, 0, {'data_samples': [sample]})
        loss = factor * (self.model(torch.rand(4, 2) * value) ** 3).sum()
        self.runner.optim_wrapper.update_params(loss)

    def state(self):
        return {key: value.clone() for key, value in self.model.state_dict().items()}


def unchanged(one, other):
    return all(torch.equal(one[key], other[key]) for key in one if 'num_batches' not in key)


def test_a_loss_that_is_not_finite_stops_and_says_where():
    training = Training(FiniteHook())
    training.update()
    weights = training.model[0].weight.detach().clone()
    training.runner.message_hub.update_info('last_ckpt', 'work/epoch_1.pth')
    with pytest.raises(NotFiniteError) as error:
        training.update(factor=float('nan'))
    for part in (
        'epoch 2, iteration 7', 'the loss is not finite', 'images/bad.jpg', 'work/epoch_1.pth',
        'smaller learning rate',
    ):  # fmt: skip
        assert part in str(error.value)
    assert torch.equal(training.model[0].weight, weights)


def test_a_gradient_that_is_not_finite_stops_although_the_loss_is():
    training = Training(FiniteHook())

    class Breaks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float('inf')

    loss = Breaks.apply(training.model(torch.rand(4, 2))).sum()
    with pytest.raises(NotFiniteError, match='the gradient is not finite'):
        training.runner.optim_wrapper.update_params(loss)


def test_skip_leaves_the_update_and_the_statistics_out_and_counts():
    training = Training(FiniteHook(action='skip', max_skipped=2))
    training.update()
    before = training.state()
    training.update(value=float('nan'))
    training.update(factor=float('inf'))
    assert unchanged(before, training.state())
    assert all(value.isfinite().all() for value in before.values())
    training.update()  # a good one: the row begins anew
    assert not unchanged(before, training.state())
    training.update(value=float('nan'))
    training.hook.after_train(training.runner)
    assert training.notes == ['FiniteHook left out 3 updates in all']
    training.update(value=float('nan'))
    with pytest.raises(NotFiniteError, match='3 times in a row'):
        training.update(value=float('nan'))


def test_accumulated_gradients_are_seen_at_the_update():
    training = Training(FiniteHook(), accumulative_counts=2)
    training.runner.optim_wrapper.initialize_count_status(training.model, 0, 4)
    training.update(value=float('nan'), image='images/first.jpg')
    with pytest.raises(NotFiniteError, match=r'images/first\.jpg, images/bad\.jpg'):
        training.update()


def test_statistics_are_those_before_the_first_of_accumulated_batches():
    training = Training(FiniteHook(action='skip'), accumulative_counts=2)
    training.runner.optim_wrapper.initialize_count_status(training.model, 0, 6)
    training.update()
    training.update()
    before = training.state()
    training.update(value=float('nan'))
    training.update()
    assert unchanged(before, training.state())
    training.update()
    training.update()
    assert not unchanged(before, training.state())
    assert all(value.isfinite().all() for value in training.state().values())


@pytest.fixture
def late(monkeypatch):
    """A training with a fused optimizer, whose results are read later, as on a GPU."""
    monkeypatch.setattr(FiniteHook, '_is_late', lambda self, wrapper, like: True)
    return Training(FiniteHook(), partial(torch.optim.Adam, fused=True))


@pytest.mark.parametrize('wrong', ['loss', 'gradient'])
def test_a_late_result_stops_one_update_later_and_the_optimizer_changed_nothing(late, wrong):
    late.update()
    before = late.state()
    momentum = late.runner.optim_wrapper.optimizer.state[late.model[0].weight]['exp_avg'].clone()
    late.runner.iter = 7
    if wrong == 'loss':
        late.update(factor=float('nan'))
    else:
        weight = late.model[0].weight
        hook = weight.register_hook(lambda gradient: gradient * float('inf'))
        late.update()
        hook.remove()
    state = late.runner.optim_wrapper.optimizer.state[late.model[0].weight]
    assert torch.equal(late.state()['0.weight'], before['0.weight'])
    assert torch.equal(state['exp_avg'], momentum) and state['step'] == 1
    late.runner.iter = 8
    text = rf'epoch 2, iteration 8: the {wrong} is not finite.*images/bad\.jpg\. Last'
    with pytest.raises(NotFiniteError, match=text):
        late.update(image='images/next.jpg')
    assert torch.equal(late.state()['0.weight'], before['0.weight'])


def test_late_results_that_are_finite_let_updates_go_on(late):
    before = late.state()
    late.update()
    late.update()
    state = late.runner.optim_wrapper.optimizer.state[late.model[0].weight]
    assert state['step'] == 2 and not unchanged(before, late.state())
    late.hook.before_save_checkpoint(late.runner, {})
    late.hook.after_train(late.runner)
    assert not hasattr(late.runner.optim_wrapper.optimizer, 'found_inf')


@pytest.mark.parametrize('when', ['before_save_checkpoint', 'after_train'])
def test_no_checkpoint_is_saved_and_no_training_ends_before_the_last_result_is_read(late, when):
    late.update(factor=float('nan'))
    arguments = (late.runner, {}) if when == 'before_save_checkpoint' else (late.runner,)
    with pytest.raises(NotFiniteError, match='iteration 7: the loss'):
        getattr(late.hook, when)(*arguments)


@pytest.mark.parametrize('is_cuda', [False, True])
def test_a_copy_is_read_when_it_has_arrived_and_waits_where_nothing_tells(monkeypatch, is_cuda):
    """MPS copies without a wait, too, and has no event of CUDA."""
    done = []
    event = SimpleNamespace(record=done.append, synchronize=lambda: done.append('arrived'))
    monkeypatch.setattr(torch.cuda, 'Event', lambda: event)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: f'stream of {device}')

    def copy(device, non_blocking):
        done.append(non_blocking)
        return torch.tensor([0.0, 1.0])

    result = finite_hook._Result(SimpleNamespace(to=copy, is_cuda=is_cuda, device='cuda:1'), 'here')
    assert result.what() == 'gradient'
    assert done == ([True, 'stream of cuda:1', 'arrived'] if is_cuda else [False])


def test_results_are_late_only_where_the_optimizer_leaves_updates_out_on_a_gpu():
    weights = [nn.Parameter(torch.zeros(1))]
    fused, plain = (
        SimpleNamespace(optimizer=torch.optim.Adam(weights, fused=fused)) for fused in (True, None)
    )
    here, far = torch.zeros(1), torch.zeros(1, device='meta')
    stop, skip = FiniteHook(), FiniteHook(action='skip')
    assert stop._is_late(fused, far)
    assert not any(
        hook._is_late(wrapper, where)
        for hook, wrapper, where in ((stop, fused, here), (stop, plain, far), (skip, fused, far))
    )


def test_a_gradient_scaler_sees_a_loss_that_is_not_finite_in_the_gradients(monkeypatch):
    """It leaves a step out for its gradients alone; here the loss alone is infinite."""

    class Scaler(OptimWrapper):
        stepped = None

        def step(self, **kwargs):
            (weight,) = self.param_groups[0]['params']
            Scaler.stepped = bool(weight.grad.isfinite().all())

    monkeypatch.setattr(FiniteHook, '_is_late', lambda self, wrapper, like: True)
    monkeypatch.setattr(finite_hook, 'AmpOptimWrapper', Scaler)
    hook, weight = FiniteHook(), nn.Parameter(torch.ones(1))
    wrapper = Scaler(torch.optim.Adam([weight], fused=True))
    hook.before_train(SimpleNamespace(optim_wrapper=wrapper, epoch=0, iter=0))
    wrapper.update_params(weight.sum())
    assert Scaler.stepped
    wrapper.update_params(weight.sum() + float('inf'))
    assert not Scaler.stepped


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'action': 'warn'}, "action='warn' must be one of stop, skip"),
        ({'max_skipped': -1}, 'max_skipped=-1 must not be negative'),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FiniteHook(**options)
