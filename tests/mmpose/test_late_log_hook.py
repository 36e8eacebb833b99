"""The log without a wait: the values of MMEngine's hook, read when the log needs them."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.logging import MessageHub

from cpm_plugin.mmpose import late_log_hook
from cpm_plugin.mmpose.late_log_hook import LateLogHook


class Far(torch.Tensor):
    """A tensor of the CPU that says it is on a GPU, and notes when it is read."""

    reads = 0

    @property
    def device(self):
        return torch.device('cuda')

    def item(self):
        return self.tolist()

    def tolist(self):
        Far.reads += 1
        return self.as_subclass(torch.Tensor).tolist()


class Batches(list):
    dataset = None


class Run:
    """Two epochs of five batches, with a hook and a log."""

    def __init__(self, hook, interval=2, name='run'):
        Far.reads = 0
        self.hook = hook
        self.hub = MessageHub(name)
        self.runner = SimpleNamespace(
            hooks=[hook, LoggerHook(interval=interval)], epoch=0, iter=0, max_epochs=2,
            max_iters=10, message_hub=self.hub, train_dataloader=Batches([None] * 5),
        )  # fmt: skip
        hook.before_train(self.runner)

    def iterate(self, number, kind=Far):
        loss = torch.tensor(number + 0.1).as_subclass(kind)
        outputs = {'loss': loss, 'acc': torch.tensor(number / 3.0).as_subclass(kind), 'time': 7}
        self.runner.iter = number
        self.hook.after_train_iter(self.runner, number % 5, outputs=outputs)

    def values(self):
        return {
            name: buffer.data[0].tolist()
            for name, buffer in self.hub.log_scalars.items()
            if buffer.data[0].size
        }


def test_values_are_read_when_the_log_is_written_and_at_the_end_of_an_epoch():
    run, reads = Run(LateLogHook(), interval=2), []
    for number in range(10):
        run.iterate(number)
        reads.append(Far.reads)
    assert reads == [0, 1, 1, 2, 3, 3, 4, 4, 5, 6]  # the second epoch counts anew


def test_the_values_are_those_of_mmengine_in_their_order():
    late, stock = Run(LateLogHook(), name='late'), Run(RuntimeInfoHook(), name='stock')
    for run in (late, stock):
        for number in range(10):
            run.iterate(number)
    assert late.values() == stock.values() and Far.reads == 20 + 6
    assert len(late.values()['train/acc']) == 10


def test_values_of_several_types_are_not_rounded_to_one():
    outputs = {
        'count': torch.tensor(2**24 + 1), 'half': torch.tensor(0.1, dtype=torch.float16),
        'loss': torch.tensor(0.1), 'exact': torch.tensor(0.1, dtype=torch.float64), 'time': 7,
    }  # fmt: skip
    late, stock = Run(LateLogHook(), name='late'), Run(RuntimeInfoHook(), name='stock')
    for run, kind in ((late, Far), (stock, torch.Tensor)):
        for number in range(2):
            far = {
                name: value.as_subclass(kind) if isinstance(value, torch.Tensor) else value
                for name, value in outputs.items()
            }
            run.hook.after_train_iter(run.runner, number, outputs=far)
    assert late.values() == stock.values() and late.values()['train/count'] == [2**24 + 1] * 2
    assert list(late.values()) == list(stock.values()) and Far.reads == 4


def test_without_a_log_not_all_values_are_kept(monkeypatch):
    monkeypatch.setattr(late_log_hook, '_MOST_KEPT', 6)
    run = Run(LateLogHook(), interval=100)
    run.runner.train_dataloader = Batches([None] * 100)
    for number in range(5):  # three values each
        run.iterate(number)
    assert Far.reads == 2 and len(run.values()['train/loss']) == 4


def test_nothing_is_late_on_a_cpu():
    run = Run(LateLogHook(), interval=100)
    run.iterate(0, kind=torch.Tensor)
    assert run.values()['train/loss'] == [pytest.approx(0.1)] and run.values()['train/time'] == [7]


def test_a_checkpoint_and_the_end_of_a_training_have_all_values():
    run = Run(LateLogHook(), interval=100)
    for number in range(3):
        run.iterate(number)
    assert run.values() == {}
    checkpoint = {'message_hub': run.hub.state_dict()}  # as the runner makes it, before the hook
    run.hook.before_save_checkpoint(run.runner, checkpoint)
    saved = checkpoint['message_hub']['log_scalars']['train/loss'].data[0]
    assert saved.tolist() == run.values()['train/loss'] == pytest.approx([0.1, 1.1, 2.1])
    run.iterate(3)
    run.hub.update_info('loop_stage', 'train')
    run.hook.after_train(run.runner)
    assert len(run.values()['train/loss']) == 4
