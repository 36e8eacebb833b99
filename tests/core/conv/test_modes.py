"""What a layer can tell of what PyTorch does around it."""

import pytest
import torch
from torch import nn

from cpm_plugin.core.conv.modes import is_autocast, is_compiled, is_recorded, is_transformed


class Asks(nn.Module):
    """It returns a number for each answer."""

    def forward(self, x):
        return x + 1000 * is_recorded(x) + 100 * is_compiled(x) + 10 * is_autocast('cpu')


def test_nothing_is_recorded():
    assert Asks()(torch.zeros(1)).item() == 0
    assert is_recorded('no tensor') and not is_compiled('no tensor')


def test_compile_is_told_from_export():
    x = torch.zeros(1)
    assert torch.compile(Asks(), backend='eager')(x).item() == 1100
    for strict in (False, True):
        exported = torch.export.export(Asks(), (x,), strict=strict)
        assert exported.module()(x).item() == 1000


def test_a_trace_is_recorded_and_not_compiled():
    traced = torch.jit.trace(Asks(), torch.zeros(1), check_trace=False)
    assert traced(torch.zeros(1)).item() == 1000


def test_autocast_is_seen_within_and_when_compiled():
    x = torch.zeros(1)
    with torch.autocast('cpu', torch.bfloat16):
        assert Asks()(x).item() == 10
        assert torch.compile(Asks(), backend='eager')(x).item() == 1110


@pytest.mark.parametrize('transform', [torch.func.vmap, torch.func.grad])
def test_transforms_are_seen_within(transform):
    seen = []
    transform(lambda x: seen.append(is_transformed()) or x.sum())(torch.zeros(3))
    with torch.autograd.forward_ad.dual_level():
        seen.append(is_transformed())
    assert seen == [True, True] and not is_transformed()
