"""A resumed run ends with the weights of an undisturbed one, bit for bit."""

import pickle
import random

import numpy as np
import pytest
import torch
from cpm_testing.training import augmented, make_figures, tiny_config, train
from mmengine.dataset import ConcatDataset, DefaultSampler, InfiniteSampler
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from cpm_plugin.mmpose.reproducible_hook import Draw, DrawSampler, SeedSample, order_state


def test_a_draw_is_an_index_that_knows_its_epoch():
    draw = Draw(7, 3)
    assert draw == 7 and [10, 20, 30, 40, 50, 60, 70, 80][draw] == 80
    for one, index in ((draw - 5, 2), (draw % 4, 3), (draw + 1, 8), (pickle.loads(pickle.dumps(draw)), 7)):  # noqa: E501  # fmt: skip
        assert type(one) is Draw and (int(one), one.epoch) == (index, 3)


def test_draws_pass_a_concatenation_of_datasets():
    class Numbers(list):
        metainfo: dict = {}  # noqa: RUF012
        _fully_initialized = True

        def full_init(self):
            pass

        def __getitem__(self, index):
            return index

    both = ConcatDataset.__new__(ConcatDataset)
    both.datasets, both.cumulative_sizes, both._fully_initialized = [Numbers('abc'), Numbers('de')], [3, 5], True  # noqa: E501  # fmt: skip
    for index, inner in ((2, 2), (4, 1)):
        found = both[Draw(index, 9)]
        assert (int(found), found.epoch) == (inner, 9)


def test_epochs_of_a_sampler():
    sampler = DrawSampler(DefaultSampler(range(4), shuffle=True, seed=1))
    assert len(sampler) == 4
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        draws = list(sampler)
        assert sorted(draws) == [0, 1, 2, 3] and {draw.epoch for draw in draws} == {epoch}
        orders.append(draws)
    assert orders[0] != orders[1]  # the epoch reached MMEngine's sampler


def test_repeats_of_a_sample_in_a_pass_are_augmented_anew():
    """As of RepeatDataset, which takes the remainder of the index."""
    seed, drawn = SeedSample(3), []
    for index in (2, 6, 10):
        seed({'sample_idx': Draw(index, 1) % 4})
        drawn.append(numbers())
    assert len(set(drawn)) == 3
    seed({'sample_idx': Draw(2, 1)})
    assert numbers() == drawn[0]  # and a dataset alone as before


def test_the_epoch_is_that_of_the_sampler_inside():
    """MMEngine's loop by iterations tells it to that alone."""
    inner = DefaultSampler(range(3), shuffle=False)
    inner.set_epoch(5)
    assert {draw.epoch for draw in DrawSampler(inner)} == {5}


def test_passes_of_an_infinite_sampler():
    draws = iter(DrawSampler(InfiniteSampler(range(3), shuffle=False)))
    found = [(int(d), d.epoch) for d, _ in zip(draws, range(7))]
    assert found == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]


def test_a_fused_optimizer_continues_in_another_memory_order_with_the_same_updates():
    """As with ChannelsLastHook in the resumed run alone; without the order they differ by 1e-2."""
    ends = []
    rows, channels_last = torch.contiguous_format, torch.channels_last
    for fused, order in ((None, rows), (True, channels_last)):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(8, 4, 3, 3))
        wrapper = OptimWrapper(torch.optim.Adam([weight], 1e-2, weight_decay=1e-4, fused=fused))
        for step in range(6):
            if step == 3:
                weight.data = weight.data.to(memory_format=order)
                order_state(wrapper)
            gradient = torch.randn(8, 4, 3, 3)
            weight.grad = gradient.to(memory_format=order if step >= 3 else rows)
            wrapper.step()
        ends.append(weight.detach())
    assert torch.allclose(*ends, atol=1e-6, rtol=0)
    assert wrapper.optimizer.state[weight]['exp_avg'].is_contiguous(memory_format=channels_last)


@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
def test_a_fused_optimizer_makes_the_same_updates_to_rounding(order):
    ends = []
    for fused in (None, True):
        torch.manual_seed(0)
        conv = torch.nn.Conv2d(3, 8, 5, bias=False)
        layers = torch.nn.Sequential(conv, torch.nn.BatchNorm2d(8)).to(memory_format=order)
        optimizer = torch.optim.Adam(layers.parameters(), 1e-2, fused=fused)
        for _ in range(5):
            optimizer.zero_grad()
            layers(torch.randn(2, 3, 9, 9)).pow(3).mean().backward()
            assert all(one.grad.stride() == one.stride() for one in layers.parameters())
            optimizer.step()
        ends.append(torch.cat([weight.detach().flatten() for weight in layers.parameters()]))
    assert torch.allclose(*ends, atol=1e-6, rtol=0)  # weights moved by up to 5e-2


def numbers():
    return random.random(), np.random.random(), float(torch.rand(1))  # noqa: NPY002


def test_a_sample_draws_the_same_whatever_was_drawn_before():
    seed = SeedSample(5)
    found = {}
    for key in ((0, 1), (0, 2), (1, 1), (0, 1)):
        epoch, index = key
        seed({'sample_idx': Draw(index, epoch)})
        drawn = numbers()
        assert found.setdefault(key, drawn) == drawn
    assert len(set(found.values())) == 3
    other = SeedSample(6)
    other({'sample_idx': Draw(1, 0)})
    assert numbers() != found[0, 1]


def test_a_sample_without_a_draw_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    SeedSample(5)({'sample_idx': 3})
    assert torch.equal(torch.rand(1), expected)


class Interrupt(Exception):
    pass


class InterruptHook(Hook):
    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == 2 and batch_idx == 1:
            raise Interrupt


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, pytest.param(2, marks=pytest.mark.full)])
def test_a_resumed_run_is_the_undisturbed_one(workers, repo, tmp_path):
    data = make_figures(tmp_path / 'data', 8)
    loader = {
        'train_dataloader.num_workers': workers,
        'train_dataloader.persistent_workers': workers > 0,
    }

    def config(name, **more):
        return augmented(tiny_config(repo, data, tmp_path / name, **loader, **more))

    train(config('whole'))
    stopped = Runner.from_cfg(config('stopped'))
    stopped.register_hook(InterruptHook())
    with pytest.raises(Interrupt):
        stopped.train()
    # a config without a seed takes that of the run
    train(config('stopped', resume=True, randomness=dict(seed=None)))
    states = [
        torch.load(tmp_path / name / 'epoch_3.pth', map_location='cpu', weights_only=False)
        for name in ('whole', 'stopped')
    ]
    weights = [state['state_dict'] for state in states]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    moments = [state['optimizer']['state'][0]['exp_avg'] for state in states]
    assert torch.equal(*moments) and moments[0].abs().max() > 0
