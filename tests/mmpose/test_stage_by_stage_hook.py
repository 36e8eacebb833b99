"""Stages that are trained one after the other: what moves, what stays, and after a resume."""

import csv
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from cpm_testing.training import make_figures, tiny_config, train
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from cpm_plugin.mmpose.stage_by_stage_hook import StageByStageHook, parts_of_stages

PARTS = {  # of a tiny network with two stages
    1: ('backbone.trunks.stage1_trunk.', 'head.stages.first.'),
    2: ('backbone.trunks.shared_trunk.', 'head.stages.later.0.'),
}


class Snapshots(Hook):
    """State of the model before the training, and after each epoch."""

    states = []  # noqa: RUF012

    def before_train(self, runner):
        type(self).states = [state_of(runner)]

    def after_train_epoch(self, runner, metrics=None):
        self.states.append(state_of(runner))


def state_of(runner):
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


def moved(one, other):
    """Stages with parameters or batch statistics that differ."""
    return [
        stage
        for stage, places in PARTS.items()
        if any(not torch.equal(one[key], other[key]) for key in one if key.startswith(places))
    ]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_figures(tmp_path_factory.mktemp('stages') / 'data', 8)


@pytest.fixture(autouse=True)
def snapshots():
    HOOKS.register_module(module=Snapshots, force=True)
    yield
    HOOKS.module_dict.pop('Snapshots')


def config(repo, data, out, hook, epochs=3, **options):
    return tiny_config(
        repo, data, out,
        **{
            # what would move frozen weights that have a gradient of zeros
            'optim_wrapper.optimizer.weight_decay': 0.1,
            'optim_wrapper.optimizer.lr': 1e-2, 'param_scheduler': [],
            'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': epochs,
            'custom_hooks': [hook, dict(type='Snapshots')],
            **options,
        },
    )  # fmt: skip


STAGEWISE = dict(type='StageByStageHook', epochs=[1, 1])


def test_a_stage_moves_alone_and_then_all_do(repo, data, tmp_path):
    runner = train(config(repo, data, tmp_path, STAGEWISE))
    pairs = zip(Snapshots.states, Snapshots.states[1:])
    assert [moved(one, other) for one, other in pairs] == [[1], [2], [1, 2]]
    assert all(parameter.requires_grad for parameter in runner.model.parameters())
    assert runner.model.head.loss_module.stage_weights is None


def test_a_stage_learns_from_its_own_loss(repo, data, tmp_path):
    """Of the weights of the loss, that of the stage counts; the others' losses are 0."""
    factors = 'model.head.loss'
    loss = dict(type='IntermediateSupervisionLoss', stage_weights=[2.0, 3.0])
    seen = []

    class Losses(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append([float(outputs[f'loss_stage{stage}'].detach()) for stage in (1, 2)])

    HOOKS.register_module(module=Losses, force=True)
    try:
        for weights in (loss, dict(loss, stage_weights=[1.0, 1.0])):
            cfg = config(repo, data, tmp_path, STAGEWISE, **{factors: weights})
            cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.0)
            cfg.custom_hooks = [STAGEWISE, dict(type='Losses')]
            runner = train(cfg)
    finally:
        HOOKS.module_dict.pop('Losses')
    weighted, plain = seen[:6], seen[6:]  # two iterations an epoch
    assert [[value > 0 for value in pair] for pair in weighted] == (
        [[True, False]] * 2 + [[False, True]] * 2 + [[True, True]] * 2
    )
    for (one, two), (first, second) in zip(weighted, plain):
        assert (one, two) == pytest.approx((2 * first, 3 * second))
    assert runner.model.head.loss_module.stage_weights == (1.0, 1.0)


def test_a_training_that_is_resumed_in_a_stage_ends_with_the_same_weights(repo, data, tmp_path):
    hook = dict(type='StageByStageHook', epochs=[1, 2])
    train(config(repo, data, tmp_path / 'whole', hook))
    states = list(Snapshots.states)
    first = config(repo, data, tmp_path / 'parts', hook)
    whole = first.train_cfg.max_epochs

    class Stop(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 2:
                raise KeyboardInterrupt

    runner = Runner.from_cfg(first)
    runner.register_hook(Stop())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    second = config(repo, data, tmp_path / 'parts', hook, resume=True)
    assert second.train_cfg.max_epochs == whole
    train(second)
    assert len(Snapshots.states) == 2  # the third epoch alone
    assert moved(*Snapshots.states) == [2]
    for key, value in states[-1].items():
        assert torch.equal(value, Snapshots.states[-1][key]), key


def test_momentum_does_not_move_what_was_trained_before(repo, data, tmp_path):
    cfg = config(repo, data, tmp_path, STAGEWISE, epochs=2)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=1e-2, momentum=0.9, weight_decay=0.1)
    train(cfg)
    assert moved(*Snapshots.states[1:]) == [2]


def test_a_single_trunk_is_that_of_stage_1_and_what_is_frozen_stays_so():
    from mmpose.registry import MODELS

    head = dict(type='CPMStageHead', in_channels=4, num_keypoints=3, num_stages=3, channels=4)
    backbone = dict(type='CPMBackbone', encoder='movenet_thunder', channels=4, frozen_groups=2)
    model = MODELS.build(dict(
        type='TopdownPoseEstimator', data_preprocessor=dict(type='PoseDataPreprocessor'),
        backbone=backbone, head=head,
    ))  # fmt: skip
    parts = parts_of_stages(model)
    stages = model.head.stages
    assert parts == [[model.backbone, stages.first], [stages.later[0]], [stages.later[1]]]
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert frozen
    kept = set(frozen)  # by the config, which the hook leaves alone
    hook, runner = StageByStageHook([1, 1, 1]), runner_of(model, 4)
    hook.before_train(runner)
    for epoch in range(4):
        for parameter in model.parameters():  # as zero_grad(set_to_none=False) leaves it
            parameter.grad = torch.zeros_like(parameter)
        runner.epoch = epoch
        hook.before_train_epoch(runner)
        moving = {p for p in model.parameters() if p.requires_grad}
        assert all((p.grad is None) == (p not in moving) for p in set(model.parameters()) - kept)
        assert not any(p.requires_grad for p in frozen)
        learns = any(p.requires_grad for p in model.backbone.parameters())
        assert learns == (epoch in (0, 3))


def test_the_epochs_say_which_stage_is_trained():
    hook = StageByStageHook([2, 1])
    assert [hook.stage_in(epoch) for epoch in range(5)] == [1, 1, 2, None, None]


def runner_of(model, max_epochs, loop=None):
    from mmengine.runner import EpochBasedTrainLoop

    return SimpleNamespace(
        model=model, max_epochs=max_epochs, epoch=0,
        train_loop=(loop or EpochBasedTrainLoop).__new__(loop or EpochBasedTrainLoop),
        logger=SimpleNamespace(info=lambda text: None),
    )  # fmt: skip


def head_of(**options):
    from mmpose.registry import MODELS

    settings = dict(type='CPMStageHead', in_channels=4, num_keypoints=3, num_stages=2, channels=4)
    head = MODELS.build(dict(settings, **options))
    model = nn.Module()
    model.backbone, model.head = nn.Identity(), head
    return model


@pytest.mark.parametrize('epochs', [[], [0, 1], [1.5, 1], [True, 1]])
def test_epochs_are_whole_numbers(epochs):
    with pytest.raises(ValueError, match='must have a whole number of at least 1 for each stage'):
        StageByStageHook(epochs)


def weighted(*weights):
    return head_of(loss=dict(type='IntermediateSupervisionLoss', stage_weights=weights))


def other_loss():
    model = head_of()
    model.head.loss_module = nn.MSELoss()
    return model


@pytest.mark.parametrize(
    ('model', 'epochs', 'message'),
    [
        (head_of, [1, 1, 1], r'epochs=\[1, 1, 1\] has 3 numbers, the model 2 stages'),
        (head_of, [3, 2], r'epochs=\[3, 2\] are 5 together, the training has 4'),
        (partial(weighted, 0, 1), [1, 1], 'a stage of weight 0 would learn nothing'),
        (other_loss, [1, 1], 'needs an IntermediateSupervisionLoss, the head has MSELoss'),
        (nn.Identity, [1, 1], 'needs a CPMStageHead, the model has NoneType'),
    ],
)
def test_what_does_not_fit_is_named_before_the_training(model, epochs, message):
    with pytest.raises(ValueError, match=message):
        StageByStageHook(epochs).before_train(runner_of(model(), 4))


def test_a_training_by_iterations_is_refused():
    from mmengine.runner import IterBasedTrainLoop

    with pytest.raises(ValueError, match='needs a training by epochs, this has IterBased'):
        StageByStageHook([1, 1]).before_train(runner_of(head_of(), 1, IterBasedTrainLoop))


PROGRAM = """
import json, sys
from pathlib import Path
import torch
sys.path.insert(0, {tests!r})
import test_stage_by_stage_hook as here
from mmengine.runner import Runner
repo, data, out = map(Path, sys.argv[1:4])
torch.set_num_threads(1)
here.HOOKS.register_module(module=here.Snapshots, force=True)
found = []
for unused in (True, False):
    config = here.config(repo, data, out, here.STAGEWISE, **{{'find_unused_parameters': unused}})
    config.launcher = 'pytorch'
    config.custom_hooks.append(dict(type='GradientFlowHook', interval=1))
    try:
        Runner.from_cfg(config).train()
        states = [{{k.removeprefix('module.'): v for k, v in s.items()}}
                  for s in here.Snapshots.states]
        found.append([here.moved(one, other) for one, other in zip(states, states[1:])])
    except ValueError as error:
        found.append(str(error))
if torch.distributed.get_rank() == 0:
    (out / 'found.json').write_text(json.dumps(found))
from cpm_plugin.mmpose.compat import end_distributed
end_distributed()
"""


@pytest.mark.slow
def test_two_processes_train_stage_by_stage(repo, data, tmp_path):
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent)))
    done = subprocess.run(
        [
            sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run', '--standalone',
            '--nproc_per_node=2', str(program), str(repo), str(data), str(tmp_path),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': f'{repo}:{repo / "tests"}'},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / 'gradient_flow.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    counts = {(row['iter'], row['layer']): bool(row['mean']) for row in rows}
    assert len(counts) == len(rows)  # of one process
    assert {moves for (i, name), moves in counts.items() if i == '1' and 'later' in name} == {False}
    assert {moves for (i, name), moves in counts.items() if i == '1' and 'first' in name} == {True}
    together, refused = json.loads((tmp_path / 'found.json').read_text())
    assert together == [[1], [2], [1, 2]]
    assert 'set find_unused_parameters=True' in refused
