"""Training in bfloat16: what runs in it, and what does not."""

import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

import cpm_plugin.mmpose  # noqa: F401


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


def test_accumulation_of_gradients_goes_on_working():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1)
    wrapper = _wrapper(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 2)
    for value in (1.0, 3.0):
        with wrapper.optim_context(model):
            loss = model(torch.tensor([[value]])).sum()
        wrapper.update_params(loss)
    assert model.weight.item() == 1 - 0.5 * (1 + 3) / 2
