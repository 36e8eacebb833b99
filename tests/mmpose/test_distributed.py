"""Two processes on a CPU train as one with the joined batch, and evaluate every image once."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from cpm_testing.training import make_figures, tiny_config
from mmengine.hooks import EMAHook
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner, get_priority
from torch import nn

from cpm_plugin.mmpose.hooks import ChannelsLastHook

PROGRAM = """
import json, sys
from pathlib import Path
import torch
from cpm_testing.training import tiny_config
from mmengine.runner import Runner
sys.path.insert(0, {tests!r})
from test_distributed import config
repo, data, out = map(Path, sys.argv[1:4])
torch.set_num_threads(1)
runner = Runner.from_cfg(config(repo, data, out, batch=4, launcher='pytorch'))
runner.train()
metrics = runner.val_loop.run()
if runner.rank == 0:
    (out / 'metrics.json').write_text(json.dumps(metrics))
from cpm_plugin.mmpose.compat import end_distributed
end_distributed()
"""


def config(repo, data, out, batch, **options):
    """20 iterations of 8 images without batch normalization, all that changes how it is done."""
    cfg = tiny_config(
        repo,
        data,
        out,
        **{
            'train_dataloader.batch_size': batch,
            'train_dataloader.sampler.shuffle': False,
            'model.backbone.norm_cfg': None,
            'model.head.norm_cfg': None,
            'find_unused_parameters': True,
            'optim_wrapper.accumulative_counts': 2,
            'param_scheduler': [],  # no warm-up
            'optim_wrapper.optimizer.type': 'SGD',  # Adam makes much of little gradients
            'optim_wrapper.optimizer.lr': 2.0,
            'train_cfg.max_epochs': 5,
            'train_cfg.val_interval': 5,
            'val_dataloader.batch_size': 1,
            **options,
        },
    )
    cfg.custom_hooks = [
        dict(type='ChannelsLastHook'),
        dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.1),
    ]
    return cfg


@pytest.mark.slow
def test_two_processes_train_and_evaluate_as_one(repo, tmp_path):
    data = make_figures(tmp_path / 'data', 32)
    runner = Runner.from_cfg(config(repo, data, tmp_path / 'one', batch=8))
    runner.train()
    expected = runner.val_loop.run()
    (tmp_path / 'two').mkdir()
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM.format(tests=str(repo / 'tests' / 'mmpose')))
    done = subprocess.run(
        [
            sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run', '--standalone',
            '--nproc_per_node=2', str(program), str(repo), str(data), str(tmp_path / 'two'),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': f'{repo}:{repo / "tests"}'},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    states = [
        torch.load(tmp_path / name / 'epoch_5.pth', map_location='cpu', weights_only=False)
        for name in ('one', 'two')
    ]
    for part in ('state_dict', 'ema_state_dict'):
        one, two = (state[part] for state in states)
        assert one.keys() == two.keys()
        assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5
    start = Runner.from_cfg(config(repo, data, tmp_path / 'start', batch=8)).model.state_dict()
    moved = max(float((start[key] - states[0]['state_dict'][key]).abs().max()) for key in start)
    assert moved > 1e-2  # so 1e-5 says something
    metrics = json.loads((tmp_path / 'two' / 'metrics.json').read_text())
    assert metrics['torso/num_images'] == 5  # an odd number: none is lost, none counted twice
    for key, value in expected.items():
        assert metrics[key] == pytest.approx(value, abs=0.05), key


def test_a_wrapped_model_is_wrapped_anew_in_the_new_order():
    """DistributedDataParallel has laid out its gradients by the old strides."""
    events = []

    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module
            order = module.weight.is_contiguous(memory_format=torch.channels_last)
            events.append('channels-last' if order else 'contiguous')

    MODEL_WRAPPERS.register_module(module=Wrapper, force=True)
    try:
        inner = nn.Conv2d(3, 4, 3)
        runner = SimpleNamespace(
            model=Wrapper(inner), cfg={}, wrap_model=lambda cfg, model: Wrapper(model)
        )
        ChannelsLastHook().before_run(runner)
    finally:
        MODEL_WRAPPERS.module_dict.pop('Wrapper')
    assert events == ['contiguous', 'channels-last']
    assert runner.model.module is inner


def test_the_wrapper_is_made_before_an_average_is_taken_of_the_model():
    """EMAHook copies the model in its own before_run."""
    assert get_priority(ChannelsLastHook.priority) < get_priority(EMAHook.priority)
