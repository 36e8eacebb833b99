"""MoveNet's encoder as a trunk: what it gives the stages, and what is frozen."""

import pytest
import torch
from torch import nn

from cpm_plugin.core import create_model, optimize_for_inference
from cpm_plugin.core.models.encoder_trunk import EncoderTrunk
from cpm_plugin.core.models.encoders import MobileEncoder
from cpm_plugin.core.models.settings import TrunkSettings


def test_features_at_stride_8_for_all_stages_alike():
    trunk = EncoderTrunk(TrunkSettings(encoder='movenet_thunder', channels=5, center_map_sigma=7.0))
    levels = trunk.encoder(torch.rand(1, 3, 48, 40))
    assert [tuple(level.shape) for level in levels] == [
        (1, 56, 6, 5),
        (1, 168, 3, 3),
        (1, 560, 2, 2),
    ]
    first, shared, center = trunk(torch.rand(2, 3, 48, 40))
    assert first is shared
    assert first.shape == (2, 5, 6, 5)
    assert center.shape == (2, 1, 6, 5)


def test_features_are_the_sum_of_the_levels():
    trunk = EncoderTrunk(TrunkSettings(encoder='movenet_thunder', channels=2))
    for number, lateral in enumerate(trunk.lateral):
        nn.init.zeros_(lateral.conv.weight)
        nn.init.constant_(lateral.conv.bias, 10.0**number)
    assert (trunk(torch.rand(1, 3, 32, 32))[0] == 111).all()


def test_frozen_groups_keep_their_weights():
    trunk = EncoderTrunk(
        TrunkSettings(encoder='movenet_thunder', channels=4, frozen_groups=2),
        norm_layer=nn.BatchNorm2d,
    ).train()
    before = {key: value.clone() for key, value in trunk.encoder.state_dict().items()}
    optimizer = torch.optim.SGD(trunk.parameters(), 0.1)
    features = trunk(torch.rand(2, 3, 64, 64))[0]
    (features * torch.rand_like(features)).sum().backward()
    optimizer.step()
    after = trunk.encoder.state_dict()
    moved = {key for key in after if not torch.equal(after[key], before[key])}
    frozen = ('stem.', 'blocks.0.', 'blocks.1.', 'blocks.2.')
    assert moved == {key for key in after if not key.startswith(frozen)}
    with pytest.raises(ValueError, match='frozen_groups=8 must be 0, nothing frozen, to 7'):
        MobileEncoder('movenet_thunder', frozen_groups=8)


def test_gradients_reach_all_of_the_named_network():
    model = create_model('cpm_movenet_3s').train()
    sum(beliefs.square().mean() for beliefs in model(torch.rand(2, 3, 64, 64))).backward()
    assert [name for name, p in model.named_parameters() if not p.grad.abs().sum() > 0] == []


def test_bfloat16_on_a_cpu_gives_what_float32_does():
    trunk = EncoderTrunk(
        TrunkSettings(encoder='movenet_thunder', channels=4), norm_layer=nn.BatchNorm2d
    ).eval()
    image = torch.rand(1, 3, 64, 64)
    exact = trunk(image)[0]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rough = trunk(image)[0]
    assert torch.allclose(rough.float(), exact, rtol=0.1, atol=0.05 * float(exact.abs().max()))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            {'encoder': 'resnet'},
            "no encoder 'resnet'; there are: movenet_lightning, movenet_thunder",
        ),
        (
            {'encoder': 'movenet_thunder', 'in_channels': 1},
            'in_channels=1 has no effect with encoder',
        ),
    ],
)
def test_arguments_that_do_not_go_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model('cpm_6s', channels=4, **arguments)


def test_optimized_for_inference_it_has_no_norms_and_the_same_beliefs():
    torch.manual_seed(0)
    model = create_model('cpm_movenet_3s', channels=8, first_stage_channels=8).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    for layer in (model.stages.first, *model.stages.later):
        nn.init.normal_(layer.beliefs.weight)
    fast = optimize_for_inference(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in fast.modules())
    image = torch.rand(2, 3, 64, 48) - 0.5
    with torch.no_grad():
        for one, other in zip(model(image), fast(image), strict=True):
            assert one.abs().max() > 0.1
            torch.testing.assert_close(other, one, atol=1e-4 * float(one.abs().max()), rtol=0)
