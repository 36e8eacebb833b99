"""A training step that never waits for the device, on one from which nothing can be read.

PyTorch's ``meta`` device has no values. Everything that would wait for a GPU fails there: ``item``,
``tolist``, ``bool``, a mask as an index, a copy to the CPU. Copies from the CPU would wait, too.
"""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData, PixelData
from torch.utils._python_dispatch import TorchDispatchMode

from cpm_plugin.mmpose import finite_hook
from cpm_plugin.mmpose.finite_hook import FiniteHook
from cpm_plugin.mmpose.late_log_hook import LateLogHook

from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

SLIM = dict(norm_cfg=dict(type='BN'))
BACKBONE = dict(type='CPMBackbone', channels=8, kernel_size=5, center_map_sigma=21.0, **SLIM)
STAGES = dict(num_stages=2, channels=8, first_stage_channels=8, in_channels=8, **SLIM)
HEADS = {
    'beliefs': dict(
        type='CPMStageHead', num_keypoints=3, background=True, center_map=True, **STAGES
    ),
    'fields': dict(type='CPMPAFHead', joints='lsp', in_channels=8, num_stages=2),
}


class NoCopies(TorchDispatchMode):
    """Refuses copies from the CPU to the device, for which the CPU waits."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[1] if function is torch.ops.aten.copy_.default else args[0]
            if source.device != result.device:
                raise AssertionError(f'a copy from {source.device} to {result.device}')
        return result


class Unread:
    """In place of a result that is on its way from the device."""

    def __init__(self, bad, where):
        assert bad.device.type == 'meta' and bad.shape == (2,)
        self.where = where

    def what(self):
        return ''


class Fused(torch.optim.SGD):
    """In place of a fused optimizer, which refuses this device: told what to leave out."""

    _step_supports_amp_scaling = True

    def step(self, closure=None):
        told = self.found_inf
        assert told.device.type == 'meta' and told.shape == ()
        del self.found_inf
        super().step(closure)
        self.found_inf = told


def sample_of(kind):
    sample = PoseDataSample(metainfo={})
    fields = PixelData()
    joints = 3 if kind == 'beliefs' else 14
    fields.heatmaps = torch.ones(joints + 1, 4, 4, device='meta')
    if kind == 'fields':
        fields.affinity_fields = torch.ones(26, 4, 4, device='meta')
        fields.heatmap_mask = torch.ones(1, 4, 4, device='meta')
    sample.gt_fields = fields
    sample.gt_instance_labels = InstanceData(
        keypoint_weights=torch.ones(1, joints, device='meta'),
        background_weights=torch.ones(1, 1, device='meta'),
    )
    return sample


class Training:
    """A network on the device, with the hooks that see every iteration."""

    def __init__(self, kind, optimizer=Fused):
        backbone = BACKBONE if kind == 'beliefs' else dict(type='CPMBackbone', channels=8)
        config = dict(
            type='TopdownPoseEstimator', backbone=backbone, head=HEADS[kind],
            data_preprocessor=dict(type='PoseDataPreprocessor'),
        )  # fmt: skip
        self.kind = kind
        self.model = MODELS.build(config).to('meta').train()
        optimizer = optimizer(self.model.parameters(), 0.1)
        self.finite, self.log = FiniteHook(), LateLogHook()
        self.runner = SimpleNamespace(
            model=self.model, optim_wrapper=OptimWrapper(optimizer), epoch=0, iter=0, max_epochs=1,
            max_iters=10, hooks=[self.finite, self.log, LoggerHook(interval=10)],
            message_hub=MessageHub(f'{kind}'),
            train_dataloader=type('Batches', (list,), {'dataset': None})([None] * 10),
        )  # fmt: skip
        self.finite.before_train(self.runner)
        self.log.before_train(self.runner)

    def step(self, number):
        image = torch.ones(2, 3, 32, 32, device='meta')
        samples = [sample_of(self.kind) for _ in range(2)]
        with NoCopies():
            self.finite.before_train_iter(self.runner, number)
            losses = self.model(image, samples, mode='loss')
            loss, values = self.model.parse_losses(losses)
            self.runner.optim_wrapper.update_params(loss)
            self.log.after_train_iter(self.runner, number, outputs=values)


@pytest.fixture(autouse=True)
def unread(monkeypatch):
    monkeypatch.setattr(finite_hook, '_Result', Unread)


@pytest.mark.parametrize('kind', sorted(HEADS))
def test_steps_wait_for_nothing_until_the_log_is_written(kind):
    training = Training(kind)
    for number in range(9):
        training.step(number)
    with pytest.raises((RuntimeError, NotImplementedError), match='meta'):  # what a read does
        training.step(9)


def test_another_optimizer_waits_before_each_update():
    training = Training('beliefs', torch.optim.SGD)
    results = []

    class Read(Unread):
        def what(self):
            results.append(self.where)
            return ''

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finite_hook, '_Result', Read)
        training.step(0)
    assert results == ['epoch 1, iteration 1']


def test_values_of_the_log_that_are_read_would_be_seen():
    training = Training('beliefs')
    training.log._intervals = {1}
    with pytest.raises((RuntimeError, NotImplementedError), match='meta'):
        training.step(0)


def test_a_copy_from_the_cpu_would_be_seen():
    with pytest.raises(AssertionError, match='a copy from cpu to meta'), NoCopies():
        torch.ones(2).to('meta')
