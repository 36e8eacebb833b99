"""A warm-up that never reaches the full learning rate is told before the training."""

from types import SimpleNamespace

import pytest
import torch
from cpm_testing.logs import keep_log
from mmengine.optim import ConstantLR, CosineAnnealingLR, LinearLR, OptimWrapper

from cpm_plugin.mmpose import warm_up_hook
from cpm_plugin.mmpose.warm_up_hook import WarmUpHook


def optimizer():
    return OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0))


def warnings_of(monkeypatch, kind=LinearLR, max_epochs=5, max_iters=40, **options):
    log = keep_log(monkeypatch, warm_up_hook)
    schedulers = kind if isinstance(kind, list | dict) else [kind(optimizer(), **options)]
    runner = SimpleNamespace(
        param_schedulers=schedulers, max_epochs=max_epochs, max_iters=max_iters
    )
    WarmUpHook().before_train(runner)
    return log


@pytest.mark.parametrize(
    ('options', 'told'),
    [
        (dict(end=39, by_epoch=False), None),
        (dict(end=40, by_epoch=False), 'after 40 iterations, and the training after 40'),
        (dict(end=100, by_epoch=False), 'after 100 iterations, and the training after 40'),
        (dict(end=2, by_epoch=True), None),
        (dict(end=6, by_epoch=True), 'after 6 epochs, and the training after 5'),
        (dict(end=1, by_epoch=False, start_factor=0.5), 'its factor stays 0.5 to the end'),
        (dict(end=100, by_epoch=False, start_factor=1.0, end_factor=0.1), None),  # no warm-up
    ],
)
def test_warm_ups_that_never_end(options, told, monkeypatch):
    log = warnings_of(monkeypatch, **options)
    assert len(log) == (told is not None)
    assert told is None or (told in log[0] and 'LinearLR, lr' in log[0])
    if told and 'ends' in log[0]:  # two epochs of two would not be shorter
        unit = 'epochs' if options['by_epoch'] else 'iterations'
        assert log[0].endswith(f'; or train longer than {options["end"]} {unit}')


def test_what_a_single_step_does():
    """MMEngine's factor then stays, which is why the hook warns; with two steps it is 1."""
    for steps, factor in ((1, 0.25), (2, 1.0)):
        wrapper = optimizer()
        scheduler = LinearLR(wrapper, start_factor=0.25, begin=0, end=steps, by_epoch=False)
        for _ in range(5):
            wrapper.optimizer.step()
            scheduler.step()
        assert wrapper.optimizer.param_groups[0]['lr'] == factor


def test_other_schedulers(monkeypatch):
    log = warnings_of(monkeypatch, ConstantLR, factor=0.1, end=50, by_epoch=False)
    assert 'ConstantLR' in log[0] and 'after 50 iterations' in log[0]
    assert warnings_of(monkeypatch, CosineAnnealingLR, T_max=90, end=90, by_epoch=False) == []
    several = {name: [LinearLR(optimizer(), end=90, by_epoch=False)] for name in 'ab'}
    assert len(warnings_of(monkeypatch, several)) == 2
    log = keep_log(monkeypatch, warm_up_hook)
    WarmUpHook().before_train(SimpleNamespace(param_schedulers=None))  # a training without
    assert log == []
