"""Time our network beside stock MMPose's CPM, with the same weights, in one run.

    python tools/benchmark.py                    # everything; about 13 minutes on 2 cores
    python tools/benchmark.py --tasks forward --batch 1 4 --sizes 256x192 --runs 3
    python tools/benchmark.py --device cuda --precision bf16 --batch 32

Networks take turns, run by run, so that a computer whose speed drifts treats all alike; figures
are medians. "difference" is the largest between the beliefs of ours and of stock's over all
stages, in units of the stage's largest value. Operations are counted as those of direct
convolutions, for all networks alike, and put in relation to a large matrix product timed in
the same run. Peak memory is that of a process of its own that builds the network and runs it
twice (CPU), or of the allocator (GPU).

Appends to a CSV and prints a table.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import init_default_scope

from cpm_plugin.apps import benchmark

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    'device', 'threads', 'torch', 'commit', 'precision', 'task', 'batch', 'size', 'network',
    'runs', 'seconds', 'images_per_s', 'stock_over_this', 'difference', 'peak_MB', 'GFLOP',
    'peak_fraction',
)  # fmt: skip


def measure(
    arguments: argparse.Namespace, task: str, batch: int, size: str
) -> list[dict[str, Any]]:
    """A row a network for one task and size."""
    names = ['stock CPM', 'ours']
    if size == '256x192':  # the others cannot take 368
        names += arguments.others
    rows = benchmark.time_networks(
        names,
        task=task,
        batch=batch,
        size=size,
        device=arguments.device,
        precision=arguments.precision,
        runs=arguments.runs,
        quiet=arguments.quiet,
    )
    for row in rows:
        row['commit'] = arguments.commit
        memory = None if arguments.no_memory else memory_apart(arguments, row)
        row['peak_MB'] = '' if memory is None else f'{memory:.0f}'
    return rows


def memory_apart(arguments: argparse.Namespace, row: dict[str, Any]) -> float:
    """Peak MB of a process of its own that runs the network twice."""
    command = [sys.executable, __file__, '--device', arguments.device]
    command += ['--precision', arguments.precision, '--tasks', row['task']]
    command += ['--batch', str(row['batch']), '--sizes', row['size'], '--memory-of', row['network']]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f'the process for the memory of {row["network"]} failed: {done.stderr[-2000:]}'
        )
    return float(json.loads(done.stdout.splitlines()[-1]))


def own_memory(arguments: argparse.Namespace) -> float:
    return benchmark.peak_memory(
        arguments.memory_of,
        task=arguments.tasks[0],
        batch=arguments.batch[0],
        size=arguments.sizes[0],
        device=arguments.device,
        precision=arguments.precision,
    )


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
    parser.add_argument(
        '--precision', default='float32', choices=benchmark.DTYPES, help='bf16: autocast'
    )
    parser.add_argument(
        '--tasks', nargs='+', default=['forward', 'train'], choices=['forward', 'train']
    )
    parser.add_argument(
        '--batch',
        nargs='+',
        type=int,
        default=[1, 4],
        help='images; training takes the largest: %(default)s',
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
        default=list(benchmark.STOCK)[1:],
        help='other networks, with 256x192 only: %(default)s',
    )
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory')
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'results/benchmark.csv', help='appended to'
    )
    parser.add_argument('--quiet', action='store_true', help='no progress bars')
    parser.add_argument('--memory-of', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.others if name not in benchmark.STOCK]:
        parser.error(
            f'--others {", ".join(unknown)}: there are {", ".join(list(benchmark.STOCK)[1:])}'
        )
    if arguments.runs < 1 or min(arguments.batch) < 1:
        parser.error('--runs and --batch must be at least 1')
    if arguments.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: no GPU that this PyTorch can use')
    if wrong := [size for size in arguments.sizes if not re.fullmatch(r'[1-9]\d*x[1-9]\d*', size)]:
        parser.error(f'--sizes {", ".join(wrong)}: give height x width, such as 256x192')
    arguments.commit = commit()  # before --out is written
    init_default_scope('mmpose')
    if arguments.memory_of:
        print(json.dumps(own_memory(arguments)))
        return 0
    rows = [('forward', batch) for batch in arguments.batch if 'forward' in arguments.tasks]
    rows += [('train', max(arguments.batch))] * ('train' in arguments.tasks)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    shown = ('task', 'batch', 'size', 'network', 'seconds', 'images_per_s')
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
