"""Time our network beside stock MMPose's CPM and other stock networks, with the same weights."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

import cpm_plugin.mmpose  # noqa: F401

from ..core.conversion.mmpose_cpm import from_stock
from ..core.models.inference import optimize_for_inference
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
OWN_SIZES = {'stock Hourglass': '256x256'}  # whose width must be a multiple of 128
DTYPES = {'float32': torch.float32, 'bf16': torch.bfloat16}


def build(name: str, task: str, device: str) -> nn.Module:
    """A network with the weights that its namesake has in every process of this program."""
    torch.manual_seed(0)
    kind = 'stock CPM' if name == 'ours' else name
    model = MODELS.build(get_config(f'mmpose::{TOPDOWN}{STOCK[kind]}.py').model)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):  # with stock's own start all maps are nearly 0
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
    """Belief maps of every stage, as the head's loss sees them."""
    found = model.head(model.backbone(image))
    return list(found) if isinstance(found, list | tuple) else [found]


def runner(model: nn.Module, image: Tensor, task: str, dtype: torch.dtype) -> Callable[[], Any]:
    """A forward pass, or a step of training with Adam."""
    low = torch.autocast(image.device.type, dtype) if dtype != torch.float32 else nullcontext()
    if task == 'forward':

        def forward() -> list[Tensor]:
            with torch.no_grad(), low:
                return maps(model, image)

        return forward
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with low:
            found = maps(model, image)
        torch.stack([(belief.float() - 0.1).square().mean() for belief in found]).sum().backward()
        optimizer.step()

    return step


def seconds(call: Callable[[], Any], device: str) -> float:
    if device != 'cpu':
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """GFLOP/s of a large square matrix product."""
    size = 2048 if device == 'cpu' else 8192
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    best = min(seconds(lambda: matrix @ matrix, device) for _ in range(10))
    return 2 * size**3 / best / 1e9


def gigaflops(model: nn.Module, shape: tuple[int, ...], task: str) -> float:
    """Of direct convolutions, without memory or arithmetic."""
    model = copy.deepcopy(model).to('meta')
    with FlopCounterMode(display=False) as counter:
        found = maps(model, torch.empty(shape, device='meta'))
        if task == 'train':
            torch.stack([belief.sum() for belief in found]).sum().backward()
    return counter.get_total_flops() / 1e9


def difference(ours: nn.Module, stock: nn.Module, image: Tensor, dtype: torch.dtype) -> float:
    """Of the beliefs of all stages, relative to the largest of each; in training mode with the
    batch's statistics."""
    pairs = zip(*(runner(model, image, 'forward', dtype)() for model in (ours, stock)))
    return max(relative(one, other) for one, other in pairs)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def random_image(batch: int, size: str, device: str) -> Tensor:
    height, width = map(int, size.split('x'))
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1)).to(
        device
    )


def device_name(device: str) -> str:
    if device != 'cpu':
        return torch.cuda.get_device_name()
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return 'cpu'


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
    """Time networks in turns, run by run, so that a computer whose speed drifts treats all alike.

    Args:
        names: ``'stock CPM'``, ``'ours'`` and others of ``STOCK``.
        task: ``'forward'`` or ``'train'``.
        batch: Images at a time.
        size: Height x width of the input, such as ``'256x192'``.
        device: ``'cpu'`` or ``'cuda'``.
        precision: One of ``DTYPES``.
        runs: Counted runs, after a first one; figures are their medians.

    Returns:
        A row a network.
    """
    dtype = DTYPES[precision]
    models = {name: build(name, task, device) for name in names}
    sizes = {name: OWN_SIZES.get(name, size) for name in names}
    images = {name: random_image(batch, sizes[name], device) for name in names}
    error = difference(models['ours'], models['stock CPM'], images['ours'], dtype)
    calls = {name: runner(models[name], images[name], task, dtype) for name in names}
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in tqdm(range(runs), f'{task} {batch} x {size}', disable=quiet):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    medians = {name: statistics.median(values) for name, values in times.items()}
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
        }
        for name in names
    ]


def peak_memory(
    name: str, *, task: str, batch: int, size: str, device: str, precision: str
) -> float:
    """Peak MB of this process, or of the GPU's allocator, after two runs of a network."""
    call = runner(
        build(name, task, device), random_image(batch, size, device), task, DTYPES[precision]
    )
    call()
    call()
    if device != 'cpu':
        return torch.cuda.max_memory_allocated() / 1e6
    # not getrusage's, which begins with that of the process that started this one
    status = Path('/proc/self/status').read_text()
    peak = next(line for line in status.splitlines() if line.startswith('VmHWM'))
    return int(peak.split()[1]) * 1024 / 1e6
