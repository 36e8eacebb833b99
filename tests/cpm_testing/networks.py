"""Narrow networks of random weights, and a second implementation of their forward pass."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from cpm_plugin.core import build_network, stage_losses

NARROW = {
    'num_keypoints': 3,
    'num_stages': 3,
    'channels': 6,
    'reduced_channels': 4,
    'first_stage_channels': 5,
    'trunk_kernel_size': 5,
    'reduce_kernel_size': 3,
    'first_stage_kernel_size': 5,
    'refine_kernel_size': 7,
}
VARIANTS = {
    'default': {},
    'one_stage': {'num_stages': 1},
    'no_background': {'background': False},
    'no_center_map': {'center_map_sigma': None},
    'small_center_map': {'center_map_sigma': 9.0, 'num_stages': 2},
    'batch_norm': {'norm_layer': nn.BatchNorm2d},
    'gray': {'in_channels': 1, 'num_stages': 2},
}


def network(**options):
    """A narrow network with weights and statistics as random as possible, in double."""
    torch.manual_seed(1)
    model = build_network(**{**NARROW, **options}).double().eval()
    for name, value in model.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 2)
        elif value.dtype.is_floating_point:
            fan_in = value[0].numel() if value.ndim == 4 else 4
            value.normal_(std=math.sqrt(2 / fan_in))
    return model


def random_image(height=40, width=49, *, count=2, channels=3, dtype=torch.double):
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, channels, height, width, generator=generator).to(dtype) - 0.5


def random_norms(model):
    """Statistics of batch norms with which they matter."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.2)
            layer.running_var.uniform_(0.5, 1.5)


# A second implementation of the forward pass, from the names and values of the state dict


def block(state, prefix, x):
    weight = state[f'{prefix}.conv.weight']
    x = F.conv2d(x, weight, state.get(f'{prefix}.conv.bias'), padding=(weight.shape[-1] - 1) // 2)
    if f'{prefix}.norm.weight' in state:
        mean, var, scale, shift = (
            state[f'{prefix}.norm.{name}'][:, None, None]
            for name in ('running_mean', 'running_var', 'weight', 'bias')
        )
        x = (x - mean) / torch.sqrt(var + 1e-5) * scale + shift
    return x * (x > 0)


def max_pool(x):
    """3x3, stride 2, windows clipped at the right and lower border."""
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2)


def trunk(state, prefix, x):
    for number in (1, 2, 3):
        x = max_pool(block(state, f'{prefix}.conv{number}', x))
    return x


def center_pool(heat, height, width):
    """Means over 9x9 windows 8 pixels apart; at the border over what there is."""
    means = [
        [heat[..., 8 * v : 8 * v + 9, 8 * u : 8 * u + 9].mean(dim=(-2, -1)) for u in range(width)]
        for v in range(height)
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in means], dim=-2)


def beliefs_of(state, prefix, x):
    return F.conv2d(x, state[f'{prefix}.beliefs.weight'], state[f'{prefix}.beliefs.bias'])


def reference(state, image, heat, num_stages, dropout=0.0):
    x = trunk(state, 'trunks.stage1_trunk', image)
    for layer in ('reduce', 'conv1', 'conv2'):
        x = block(state, f'stages.first.{layer}', x)
        if layer != 'reduce':  # 'C','C','D','C','D','C' of genProto.py
            x = F.dropout(x, dropout)
    outputs = [beliefs_of(state, 'stages.first', x)]
    if num_stages > 1:
        shared = trunk(state, 'trunks.shared_trunk', image)
    for later in range(num_stages - 1):
        prefix = f'stages.later.{later}'
        seen = [block(state, f'{prefix}.reduce', shared), outputs[-1]]
        if heat is not None:
            seen.append(center_pool(heat, *shared.shape[2:]))
        x = torch.cat(seen, dim=1)
        for layer in range(4):
            x = block(state, f'{prefix}.refine.{layer}', x)
        outputs.append(beliefs_of(state, prefix, x))
    return outputs


# The authors' VGG networks

VGG_STAGES = {
    'trunk_kernel_size': 9,  # the default, which has no effect
    'reduced_channels': None,
    'first_stage_kernel_size': None,
    'refine_depth': 5,
    'beliefs_first': True,
}


def losses_of(model, channels=3):
    torch.manual_seed(2)
    beliefs = model(random_image(48, 48, channels=channels, dtype=torch.float))
    return stage_losses(beliefs, torch.rand_like(beliefs[0]))
