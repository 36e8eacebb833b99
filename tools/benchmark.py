"""Time our network beside stock MMPose's CPM, with the same weights, in one run.

    python tools/benchmark.py                    # everything; about 13 minutes on 2 cores
    python tools/benchmark.py --tasks forward --batch 1 4 --sizes 256x192 --runs 3
    python tools/benchmark.py --device cuda --precision bf16 --batch 32

Networks take turns, run by run, so that a machine whose speed drifts treats all alike; figures
are medians. "difference" is the largest between the beliefs of ours and of stock's over all
stages, in units of the stage's largest value. Operations are counted as those of direct
convolutions, for all networks alike, and put in relation to a large matrix product timed in
the same run. Peak memory is that of a process of its own that builds the network and runs it
twice (CPU), or of the allocator (GPU).

Appends to a CSV and prints a table.
"""

from __future__ import annotations

import argparse
import copy
import csv
import itertools
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

import cpm_plugin.mmpose  # noqa: F401  (stock modules can be imported after this only)
from cpm_plugin.core import optimize_for_inference
from cpm_plugin.core.stock import from_stock

from mmengine.hub import get_config  # isort: skip
from mmengine.registry import init_default_scope  # isort: skip
from mmpose.registry import MODELS  # isort: skip

ROOT = Path(__file__).resolve().parents[1]
TOPDOWN = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_'
OURS = ROOT / f'configs/{TOPDOWN}cpm-stock-6s_8xb64-210e_coco-256x192.py'
STOCK = {
    'stock CPM': 'cpm_8xb64-210e_coco-256x192',
    'stock ResNet-50': 'res50_8xb64-210e_coco-256x192',
    'stock HRNet-W32': 'hrnet-w32_8xb64-210e_coco-256x192',
    'stock Hourglass': 'hourglass52_8xb32-210e_coco-256x256',
}
OWN_SIZES = {'stock Hourglass': '256x256'}  # whose width must be a multiple of 128
DTYPES = {'float32': torch.float32, 'bf16': torch.bfloat16}
COLUMNS = (
    'device', 'threads', 'torch', 'commit', 'precision', 'task', 'batch', 'size', 'network',
    'runs', 'seconds', 'pictures_per_s', 'stock_over_this', 'difference', 'peak_MB', 'GFLOP',
    'peak_fraction',
)  # fmt: skip


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
        model = MODELS.build(Config.fromfile(OURS).model)
        model.load_state_dict(state)
        model.to(memory_format=torch.channels_last)
    model.to(device)
    model.train(task == 'train')
    if name == 'ours' and task == 'forward':
        optimize_for_inference(model, inplace=True)
    return model


def maps(model: nn.Module, image: Tensor) -> list[Tensor]:
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
        sum((belief.float() - 0.1).square().mean() for belief in found).backward()
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
            sum(belief.sum() for belief in found).backward()
    return counter.get_total_flops() / 1e9


def difference(ours: nn.Module, stock: nn.Module, image: Tensor, dtype: torch.dtype) -> float:
    """Of the beliefs of all stages, relative to the largest of each; in training mode with the
    batch's statistics."""
    pairs = zip(*(runner(model, image, 'forward', dtype)() for model in (ours, stock)))
    return max(relative(one, other) for one, other in pairs)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def peak_memory(
    arguments: argparse.Namespace, network: str, task: str, batch: int, size: str
) -> float:
    """MB of a process that runs the network twice."""
    command = [
        sys.executable,
        __file__,
        '--device',
        arguments.device,
        '--precision',
        arguments.precision,
    ]
    command += ['--tasks', task, '--batch', str(batch), '--sizes', size, '--memory-of', network]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'the process for the memory of {network} failed: {done.stderr[-2000:]}')
    return float(json.loads(done.stdout.splitlines()[-1]))


def print_memory(arguments: argparse.Namespace) -> None:
    task, batch, size = arguments.tasks[0], arguments.batch[0], arguments.sizes[0]
    model = build(arguments.memory_of, task, arguments.device)
    call = runner(model, picture(batch, size, arguments.device), task, DTYPES[arguments.precision])
    call()
    call()
    if arguments.device != 'cpu':
        print(json.dumps(torch.cuda.max_memory_allocated() / 1e6))
        return
    # not getrusage's, which begins with that of the process that started this one
    status = Path('/proc/self/status').read_text()
    peak = next(line for line in status.splitlines() if line.startswith('VmHWM'))
    print(json.dumps(int(peak.split()[1]) * 1024 / 1e6))


def picture(batch: int, size: str, device: str) -> Tensor:
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


def measure(
    arguments: argparse.Namespace, task: str, batch: int, size: str
) -> list[dict[str, Any]]:
    """A row a network for one task and size."""
    device, dtype = arguments.device, DTYPES[arguments.precision]
    names = ['stock CPM', 'ours']
    if size == '256x192':  # the others cannot take 368
        names += arguments.others
    models = {name: build(name, task, device) for name in names}
    sizes = {name: OWN_SIZES.get(name, size) for name in names}
    images = {name: picture(batch, sizes[name], device) for name in names}
    error = difference(models['ours'], models['stock CPM'], images['ours'], dtype)
    calls = {name: runner(models[name], images[name], task, dtype) for name in names}
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in tqdm(range(arguments.runs), f'{task} {batch} x {size}', disable=arguments.quiet):
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    medians = {name: statistics.median(values) for name, values in times.items()}
    flops = {
        name: gigaflops(models['stock CPM' if name == 'ours' else name], images[name].shape, task)
        for name in names
    }
    del models, calls
    peak = matrix_peak(device, dtype)
    rows = []
    for name in names:
        memory = (
            None if arguments.no_memory else peak_memory(arguments, name, task, batch, sizes[name])
        )
        rows.append(
            {
                'device': device_name(device),
                'threads': torch.get_num_threads(),
                'torch': torch.__version__,
                'commit': arguments.commit,
                'precision': arguments.precision,
                'task': task,
                'batch': batch,
                'size': sizes[name],
                'network': name,
                'runs': arguments.runs,
                'seconds': f'{medians[name]:.4f}',
                'pictures_per_s': f'{batch / medians[name]:.2f}',
                'stock_over_this': f'{medians["stock CPM"] / medians[name]:.2f}',
                'difference': f'{error:.1e}' if name == 'ours' else '',
                'peak_MB': '' if memory is None else f'{memory:.0f}',
                'GFLOP': f'{flops[name]:.0f}',
                'peak_fraction': f'{flops[name] / medians[name] / peak:.2f}',
            }
        )
    return rows


def commit() -> str:
    done = subprocess.run(
        ['git', '-C', ROOT, 'describe', '--always', '--dirty'],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--precision', default='float32', choices=DTYPES, help='bf16: autocast')
    parser.add_argument(
        '--tasks', nargs='+', default=['forward', 'train'], choices=['forward', 'train']
    )
    parser.add_argument(
        '--batch',
        nargs='+',
        type=int,
        default=[1, 4],
        help='pictures; training takes the largest: %(default)s',
    )
    parser.add_argument(
        '--sizes', nargs='+', default=['256x192', '368x368'], help='height x width: %(default)s'
    )
    parser.add_argument(
        '--runs', type=int, default=5, help='counted runs of each, after a first one: %(default)s'
    )
    parser.add_argument(
        '--others',
        nargs='*',
        default=list(STOCK)[1:],
        help='other networks, with 256x192 only: %(default)s',
    )
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory')
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'results/benchmark.csv', help='appended to'
    )
    parser.add_argument('--quiet', action='store_true', help='no progress bars')
    parser.add_argument('--memory-of', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.others if name not in STOCK]:
        parser.error(f'--others {", ".join(unknown)}: there are {", ".join(list(STOCK)[1:])}')
    if arguments.runs < 1 or min(arguments.batch) < 1:
        parser.error('--runs and --batch must be at least 1')
    if arguments.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: no GPU that this PyTorch can use')
    if wrong := [size for size in arguments.sizes if not re.fullmatch(r'[1-9]\d*x[1-9]\d*', size)]:
        parser.error(f'--sizes {", ".join(wrong)}: give height x width, such as 256x192')
    arguments.commit = commit()  # before --out is written
    init_default_scope('mmpose')
    if arguments.memory_of:
        print_memory(arguments)
        return 0
    rows = [('forward', batch) for batch in arguments.batch if 'forward' in arguments.tasks]
    rows += [('train', max(arguments.batch))] * ('train' in arguments.tasks)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    shown = ('task', 'batch', 'size', 'network', 'seconds', 'pictures_per_s')
    shown += ('stock_over_this', 'difference', 'peak_MB', 'peak_fraction')
    print('| ' + ' | '.join(shown) + ' |')
    print('| --- ' * len(shown) + '|')
    for (task, batch), size in itertools.product(rows, arguments.sizes):
        for row in measure(arguments, task, batch, size):
            new = not arguments.out.exists()
            with arguments.out.open('a', newline='') as file:
                writer = csv.DictWriter(file, COLUMNS)
                if new:
                    writer.writeheader()
                writer.writerow(row)
            print('| ' + ' | '.join(str(row[key]) for key in shown) + ' |', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
