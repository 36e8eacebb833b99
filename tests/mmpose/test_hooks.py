"""ChannelsLastHook: another order in memory, the same values."""

from types import SimpleNamespace

import torch
from mmpose.registry import HOOKS, MODELS


def test_weights_become_channels_last_and_outputs_stay():
    model = MODELS.build(
        dict(type='CPMBackbone', channels=8, kernel_size=5, norm_cfg=dict(type='BN'))
    )
    model.eval()
    image = torch.rand(2, 3, 48, 64)
    with torch.no_grad():
        before = model(image)
        weights = [value for value in model.state_dict().values() if value.ndim == 4]
        copies = [value.clone() for value in weights]
        HOOKS.build(dict(type='ChannelsLastHook')).before_run(SimpleNamespace(model=model))
        after = model(image)
    changed = [value for value in model.state_dict().values() if value.ndim == 4]
    assert len(changed) == 6
    for value, copy in zip(changed, copies, strict=True):
        assert value.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(value, copy)
    assert any(
        not copy.is_contiguous(memory_format=torch.channels_last) for copy in copies
    )  # so it did something
    assert after[0].is_contiguous(memory_format=torch.channels_last)
    for one, other in zip(before, after, strict=True):
        assert one.abs().max() > 0.1
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
