"""Training in bfloat16: what runs in it, and what does not."""

from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from cpm_testing.logs import keep_log
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

import cpm_plugin.mmpose  # noqa: F401
from cpm_plugin.core.models.loss import stage_losses
from cpm_plugin.mmpose import optim

from mmpose.registry import MODELS  # isort: skip


def _wrapper(model, **kwargs):
    return OPTIM_WRAPPERS.build(
        dict(
            type='Bfloat16OptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
            **kwargs,
        )
    )


def test_forward_is_in_bfloat16_and_the_update_in_float32():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1 + 2**-10)  # rounds to 1 in bfloat16
    wrapper = _wrapper(model)
    with wrapper.optim_context(model):
        output = model(torch.tensor([[3.0]]))
    assert output.dtype == torch.bfloat16
    assert output.item() == 3
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    assert model.weight.item() == 1 + 2**-10 - 0.5 * 3
    assert model(torch.tensor([[3.0]])).dtype == torch.float32  # outside


@pytest.mark.parametrize('fast', [True, False])
def test_it_warns_once_of_a_cpu_that_is_slow_in_it(monkeypatch, fast):
    monkeypatch.setattr(optim, '_cpu_has_bfloat16', lambda: fast)
    said = keep_log(monkeypatch, optim)
    model = nn.Linear(1, 1)
    wrapper = _wrapper(model)
    for _ in range(2):
        with wrapper.optim_context(model):
            pass
    assert [text.split()[-1] for text in said] == (
        [] if fast else ['optim_wrapper.type=OptimWrapper']
    )


def test_whether_this_cpu_is_fast_in_it_is_known():
    instructions = Path('/proc/cpuinfo').read_text().split()
    if 'avx2' not in instructions:
        pytest.skip('not an x86 processor of today')
    assert optim._cpu_has_bfloat16() == (
        {'avx512bw', 'avx512vl', 'avx512dq'} <= {*instructions} or 'avx_ne_convert' in instructions
    )


class _Distributed(nn.Linear):
    """What MMEngine asks of one: not to exchange gradients between updates."""

    exchanges = True

    @contextmanager
    def no_sync(self):
        self.exchanges = False
        yield
        self.exchanges = True

    def forward(self, x):
        self.seen.append((self.exchanges, torch.is_autocast_enabled('cpu')))
        return super().forward(x)


def test_gradients_that_accumulate_are_not_exchanged_before_the_last():
    model = _Distributed(1, 1, bias=False)
    model.seen = []
    wrapper = _wrapper(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    for _ in range(2):
        with wrapper.optim_context(model):
            loss = model(torch.ones(1, 1)).sum()
        wrapper.update_params(loss)
    assert model.seen == [(False, True), (True, True)]


def test_a_network_trains_in_it():
    torch.manual_seed(0)
    kinds = dict(channels=8, norm_cfg=dict(type='BN'))
    model = nn.Sequential(
        MODELS.build(dict(type='CPMBackbone', kernel_size=9, **kinds)),
        MODELS.build(
            dict(type='CPMStageHead', in_channels=8, num_keypoints=3, num_stages=2, **kinds)
        ),
    )
    wrapper = _wrapper(model)
    image, target = torch.rand(2, 3, 64, 48), torch.rand(2, 3, 8, 6)

    def losses():
        return stage_losses(model(image), target)

    exact = losses().detach()
    with wrapper.optim_context(model):
        found = losses()
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)  # so it was in bfloat16
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0)
    found.sum().backward()
    for name, value in model.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name
        assert value.grad.dtype == torch.float32
