"""Timing of our network, stock MMPose's CPM and other stock networks, side by side."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

import cpm_plugin.mmpose  # noqa: F401

from ..core.conversion.mmpose_cpm import from_stock
from ..core.models.inference import optimize_for_inference
from .measure import device_name, operations, peak_megabytes, seconds, time_in_turns
from .zoo import config_file

from mmpose.registry import MODELS

TOPDOWN = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_'
OURS = f'configs/{TOPDOWN}cpm-stock-6s_8xb64-210e_coco-256x192.py'
STOCK = {
    'stock CPM': 'cpm_8xb64-210e_coco-256x192',
    'stock ResNet-50': 'res50_8xb64-210e_coco-256x192',
    'stock HRNet-W32': 'hrnet-w32_8xb64-210e_coco-256x192',
    'stock Hourglass': 'hourglass52_8xb32-210e_coco-256x256',
}
OWN_SIZES = {'stock Hourglass': '256x256'}  # its width must be a multiple of 128
DTYPES = {'float32': torch.float32, 'bf16': torch.bfloat16}


def build(name: str, task: str, device: str) -> nn.Module:
    """Build a network with weights that are the same in every process.

    ``'ours'`` and ``'stock CPM'`` have the same weights and compute the same.

    Args:
        name: ``'ours'`` or a key of ``STOCK``.
        task: ``'forward'`` or ``'train'``.
        device: ``'cpu'`` or ``'cuda'``.

    Returns:
        The network, in evaluation or training mode. For ``'forward'``, ours is optimized for
            inference.
    """
    torch.manual_seed(0)
    kind = 'stock CPM' if name == 'ours' else name
    model = MODELS.build(get_config(f'mmpose::{TOPDOWN}{STOCK[kind]}.py').model)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):  # stock's own initialization makes all maps nearly 0
            nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
    if name == 'ours':
        state = from_stock(model.state_dict())
        model = MODELS.build(Config.fromfile(config_file(OURS)).model)
        model.load_state_dict(state)
        model.to(memory_format=torch.channels_last)
    model.to(device)
    model.train(task == 'train')
    if name == 'ours' and task == 'forward':
        optimize_for_inference(model, inplace=True)
    return model


def maps(model: Any, image: Tensor) -> list[Tensor]:
    """Compute the belief maps of every stage, as the loss of the head gets them.

    Args:
        model: A ``TopdownPoseEstimator``.
        image: (N, 3, H, W).

    Returns:
        Belief maps (N, C, h, w) of each stage; one tensor for a network without stages.
    """
    found = model.head(model.backbone(image))
    return list(found) if isinstance(found, list | tuple) else [found]


def runner(
    model: nn.Module,
    image: Tensor,
    task: str,
    dtype: torch.dtype,
    *,
    run: Callable[[nn.Module, Tensor], list[Tensor]] = maps,
    rate: float = 1e-6,
) -> Callable[[], Any]:
    """Make a function that runs a network once.

    Args:
        model: Network to run.
        image: (N, 3, H, W).
        task: ``'forward'`` for a forward pass, ``'train'`` for a training step with Adam.
        dtype: Type to compute in; other types than float32 by autocast.
        run: ``maps``, or what ``torch.compile`` makes of it.
        rate: Learning rate of a training step. With 0 the weights stay as they are.

    Returns:
        Function without arguments. For ``'forward'`` it returns the belief maps.
    """
    low = torch.autocast(image.device.type, dtype) if dtype != torch.float32 else nullcontext()
    if task == 'forward':

        def forward() -> list[Tensor]:
            with torch.no_grad(), low:
                return run(model, image)

        return forward
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with low:
            found = run(model, image)
        torch.stack([(belief.float() - 0.1).square().mean() for belief in found]).sum().backward()
        optimizer.step()

    return step


def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """Measure the speed of the product of two large square matrices.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        dtype: Type of the matrices.

    Returns:
        GFLOP/s, the best of 10 runs.
    """
    size = 2048 if device == 'cpu' else 8192
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    best = min(seconds(lambda: matrix @ matrix, device) for _ in range(10))
    return 2 * size**3 / best / 1e9


def gigaflops(model: nn.Module, shape: tuple[int, ...], task: str) -> float:
    """Count the operations of direct convolutions, without allocating memory or computing.

    Args:
        model: Network.
        shape: Shape of its input.
        task: ``'forward'`` or ``'train'``, which includes the backward pass.

    Returns:
        Operations in 1e9, with a multiplication and an addition as two.
    """

    def run(model: nn.Module) -> None:
        found = maps(model, torch.empty(shape, device='meta'))
        if task == 'train':
            torch.stack([belief.sum() for belief in found]).sum().backward()

    return operations(copy.deepcopy(model).to('meta'), run) / 1e9


def difference(ours: nn.Module, stock: nn.Module, image: Tensor, dtype: torch.dtype) -> float:
    """Compare the belief maps of two networks in a forward pass.

    In training mode the networks use the statistics of the batch.

    Args:
        ours: One network.
        stock: Other network, with the same weights.
        image: (N, 3, H, W).
        dtype: Type to compute in.

    Returns:
        Largest difference over all stages, relative to the largest value of the stage.
    """
    pairs = zip(*(runner(model, image, 'forward', dtype)() for model in (ours, stock)))
    return max(relative(one, other) for one, other in pairs)


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())


def random_image(batch: int, size: str, device: str) -> Tensor:
    """Make a batch of random images, always the same ones.

    Args:
        batch: Number of images, N.
        size: Height x width, such as ``'256x192'``.
        device: ``'cpu'`` or ``'cuda'``.

    Returns:
        (N, 3, height, width), from a normal distribution.
    """
    height, width = map(int, size.split('x'))
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1)).to(
        device
    )


def time_networks(
    names: Sequence[str],
    *,
    task: str,
    batch: int,
    size: str,
    device: str,
    precision: str,
    runs: int,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Time networks in turns, run by run.

    A computer whose speed changes over time therefore treats all networks alike.

    Args:
        names: ``'stock CPM'``, ``'ours'`` and others of ``STOCK``.
        task: ``'forward'`` or ``'train'``.
        batch: Number of images in a batch.
        size: Height x width of the input, such as ``'256x192'``.
        device: ``'cpu'`` or ``'cuda'``.
        precision: One of ``DTYPES``.
        runs: Number of counted runs, after a first one. The results are their medians.
        quiet: Show no progress bar.

    Returns:
        One row for each network, by column name. ``spread`` is the time of the slowest run,
            relative to the quickest.
    """
    dtype = DTYPES[precision]
    models = {name: build(name, task, device) for name in names}
    sizes = {name: OWN_SIZES.get(name, size) for name in names}
    images = {name: random_image(batch, sizes[name], device) for name in names}
    error = difference(models['ours'], models['stock CPM'], images['ours'], dtype)
    calls = {name: runner(models[name], images[name], task, dtype) for name in names}
    # not among the rows of the program, which may go into a file
    bar = Console(stderr=True)
    rounds = track(range(runs), f'{task} {batch} x {size}', console=bar, disable=quiet)
    timings = time_in_turns(calls, rounds, device)
    medians = {name: timing.median for name, timing in timings.items()}
    flops = {
        name: gigaflops(models['stock CPM' if name == 'ours' else name], images[name].shape, task)
        for name in names
    }
    del models, calls
    peak = matrix_peak(device, dtype)
    return [
        {
            'device': device_name(device),
            'threads': torch.get_num_threads(),
            'torch': torch.__version__,
            'precision': precision,
            'task': task,
            'batch': batch,
            'size': sizes[name],
            'network': name,
            'runs': runs,
            'seconds': f'{medians[name]:.4f}',
            'images_per_s': f'{batch / medians[name]:.2f}',
            'stock_over_this': f'{medians["stock CPM"] / medians[name]:.2f}',
            'difference': f'{error:.1e}' if name == 'ours' else '',
            'GFLOP': f'{flops[name]:.0f}',
            'peak_fraction': f'{flops[name] / medians[name] / peak:.2f}',
            'spread': f'{timings[name].spread:.2f}',
        }
        for name in names
    ]


def peak_memory(
    name: str, *, task: str, batch: int, size: str, device: str, precision: str
) -> float:
    """Measure the memory that a network needs, in two runs of it.

    Args:
        name: ``'ours'`` or a key of ``STOCK``.
        task: ``'forward'`` or ``'train'``.
        batch: Number of images in a batch.
        size: Height x width of the input.
        device: ``'cpu'`` or ``'cuda'``.
        precision: One of ``DTYPES``.

    Returns:
        Peak MB (1e6 bytes); see ``measure.peak_megabytes``.
    """
    call = runner(
        build(name, task, device), random_image(batch, size, device), task, DTYPES[precision]
    )
    call()
    call()
    return peak_megabytes(device)
