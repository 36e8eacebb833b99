"""Initial weights, gradients and learning of the whole network."""

import numpy as np
import pytest
import torch
from cpm_testing.networks import (
    NARROW,
    VARIANTS,
    losses_of,
)
from torch import nn

from cpm_plugin.core import (
    JointSet,
    build_network,
    decode_peaks,
    ideal_belief_maps,
    stage_losses,
    torso_pck,
)


@pytest.mark.parametrize(
    'options',
    [*VARIANTS.values(), {'norm_layer': lambda channels: nn.GroupNorm(2, channels)}],
    ids=[*VARIANTS, 'group_norm'],
)
def test_every_parameter_gets_a_gradient_from_the_first_step(options):
    torch.manual_seed(0)
    if 'norm_layer' in options:
        options = {**options, 'first_stage_channels': 6}
    model = build_network(**{**NARROW, **options})
    losses_of(model, options.get('in_channels', 3)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.count_nonzero() > 0, name
    for stage in model.stages.later:  # behind the features: each belief and the center map
        grad = stage.refine[0].conv.weight.grad[:, 4:]
        assert grad.shape[1] == model.stages.out_channels + (
            model.trunks.center_map_sigma is not None
        )
        assert (grad.abs().amax(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize('stage', [1, 2, 3])
def test_loss_of_a_stage_trains_what_is_before_it_and_nothing_after(stage):
    torch.manual_seed(0)
    model = build_network(**NARROW)
    losses_of(model)[stage - 1].backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    reached = ['trunks.stage1_trunk.', 'stages.first.']
    if stage > 1:
        reached += ['trunks.shared_trunk.', *(f'stages.later.{t}.' for t in range(stage - 1))]
    expected = {n for n, _ in model.named_parameters() if n.startswith(tuple(reached))}
    assert trained == expected


def test_learns_four_images_by_heart():
    """A blob of one color per joint, anywhere: the mean pose is no help."""
    joints = JointSet(('left_shoulder', 'right_shoulder', 'left_hip', 'right_hip'))
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    rng = np.random.default_rng(0)
    points = rng.uniform(4, 59, (4, 4, 2))
    labeled = np.ones((4, 4))
    pixels = np.arange(64)
    x = np.exp(-((pixels - points[..., :1]) ** 2) / 32)
    y = np.exp(-((pixels - points[..., 1:]) ** 2) / 32)
    images = torch.from_numpy(np.einsum('nkh,nkw,kc->nchw', y, x, colors)).float() - 0.5
    targets = torch.from_numpy(
        np.stack([ideal_belief_maps(p[None], np.ones((1, 4)), (8, 8)) for p in points])
    )
    torch.manual_seed(0)
    model = build_network(
        num_keypoints=4, num_stages=3, background=False, channels=12, reduced_channels=8,
        first_stage_channels=16, trunk_kernel_size=5, reduce_kernel_size=3,
        first_stage_kernel_size=3, refine_kernel_size=5, norm_layer=nn.BatchNorm2d,
    )  # fmt: skip

    def pck():
        model.eval()
        with torch.no_grad():
            found, _ = decode_peaks(model(images)[-1].numpy())
        model.train()
        return torso_pck(found, points, labeled, joints).mean

    assert pck() < 50
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = []
    for _ in range(80):
        optimizer.zero_grad()
        losses = stage_losses(model(images), targets)
        losses.sum().backward()
        optimizer.step()
        history.append(losses.detach())
    assert (history[-1] < 0.1 * history[0]).all()  # at every stage
    assert pck() == 100


@pytest.mark.parametrize('norm_layer', [None, nn.BatchNorm2d])
def test_tiled_convolutions_train_the_whole_network_as_direct_ones(norm_layer):
    """In float64, where rounding cannot flip a ReLU: beliefs and every gradient."""
    models = []
    for method in ('direct', 'tiled'):
        torch.manual_seed(0)
        model = build_network(
            num_keypoints=3, num_stages=3, channels=4, first_stage_channels=8,
            norm_layer=norm_layer, conv_method=method,
        ).double()  # fmt: skip
        beliefs = model(torch.rand(2, 3, 96, 80, dtype=torch.float64) - 0.5)
        sum((belief - 0.1).square().sum() for belief in beliefs).backward()
        models.append((model, beliefs))
    (direct, expected), (tiled, found) = models
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    tiles = [layer.last_choice for layer in tiled.modules() if hasattr(layer, 'last_choice')]
    assert sum(choice is not None and choice.tile is not None for choice in tiles) == 16
    for (name, one), other in zip(tiled.named_parameters(), direct.parameters(), strict=True):
        scale = float(other.grad.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-9 * scale)
