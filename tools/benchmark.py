"""Time our network and stock MMPose's CPM with the same weights, side by side.

    python tools/benchmark.py                    # everything; about 13 minutes on 2 cores
    python tools/benchmark.py --tasks forward --batch 1 4 --sizes 256x192 --runs 3
    python tools/benchmark.py --device cuda      # everything on a GPU, within 4 minutes

On a CPU the networks take turns, run by run. A computer whose speed changes over time therefore
treats all alike. On a GPU, or with --minutes, they come one after the other, in all ways to run
them (cpm_plugin/apps/gpu_benchmark.py), forward passes with CUDA graphs, too. Each row is printed
and written at once, and none begins that would not end in time, as far as can be told.

The times are medians. Columns:

    difference       largest difference of the belief maps of ours and of stock's over all stages,
                     relative to the largest value of the stage; on a GPU to stock's in float32
                     without TF32
    GFLOP            operations, counted as those of direct convolutions for all networks
    peak_fraction    speed relative to the product of large matrices, timed in the same run; on a
                     GPU in bfloat16 for all
    peak_MB          peak memory in 1e6 bytes: of a process that builds the network and runs it
                     twice (VmHWM of Linux), or of the GPU's allocator
    spread           time of the slowest run, relative to the quickest. Above 1.5 a warning says
                     that the times cannot be compared, as does one for a computer that is busy at
                     the start

It prints a table and appends the rows to the CSV file of --out.

Exit codes: 0 when done, or when the time is over; 1 for an error during the measurement (on a GPU,
it is told, the next rows are measured, and the code is 0); 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cpm_plugin.apps.arguments import require_packages

ROOT = Path(__file__).resolve().parents[1]
PRECISIONS = ('float32', 'bf16')  # benchmark.DTYPES
OTHERS = ('stock ResNet-50', 'stock HRNet-W32', 'stock Hourglass')  # benchmark.STOCK
GPU_MINUTES = 4.0
COLUMNS = (
    'device', 'threads', 'torch', 'commit', 'precision', 'task', 'batch', 'size', 'network',
    'runs', 'seconds', 'images_per_s', 'stock_over_this', 'difference', 'peak_MB', 'GFLOP',
    'peak_fraction', 'spread',
)  # fmt: skip


def measure(
    arguments: argparse.Namespace, task: str, batch: int, size: str
) -> list[dict[str, Any]]:
    """Measure all networks for one task, batch and size; return one row for each."""
    from cpm_plugin.apps import benchmark

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


def measure_all(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure all that the arguments ask for; yield rows as soon as they are there."""
    rows = [('forward', batch) for batch in arguments.batch if 'forward' in arguments.tasks]
    rows += [('train', max(arguments.batch))] * ('train' in arguments.tasks)
    if arguments.minutes is None:
        for (task, batch), size in itertools.product(rows, arguments.sizes):
            yield from measure(arguments, task, batch, size)
        return
    from cpm_plugin.apps import gpu_benchmark

    wanted = (*gpu_benchmark.OF_CPM, *arguments.others)
    for row in gpu_benchmark.time_ways(
        [way for way in gpu_benchmark.WAYS if way.kind in wanted],
        [
            gpu_benchmark.Shape(task, batch, size)
            for (task, batch), size in itertools.product(reversed(rows), arguments.sizes)
        ],
        device=arguments.device,
        runs=arguments.runs,
        limit=60 * arguments.minutes,
        tell=lambda text: print(f'note: {text}', file=sys.stderr, flush=True),
    ):
        yield {**row, 'commit': arguments.commit}


def memory_apart(arguments: argparse.Namespace, row: dict[str, Any]) -> float:
    """Return the peak MB of a new process that runs the network twice."""
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
    """Return the peak MB of this process, after two runs of the network."""
    from cpm_plugin.apps import benchmark

    return benchmark.peak_memory(
        arguments.memory_of,
        task=arguments.tasks[0],
        batch=arguments.batch[0],
        size=arguments.sizes[0],
        device=arguments.device,
        precision=arguments.precision,
    )


def columns_in(path: Path) -> list[str]:
    """Return the names of the columns of a CSV file."""
    with path.open(newline='') as file:
        return next(csv.reader(file), [])


def commit() -> str:
    """Return the name of the commit of this repository, or an empty text."""
    done = subprocess.run(
        ['git', '-C', ROOT, 'describe', '--always', '--dirty'],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--device', default='cpu', choices=['cpu', 'cuda'], help='device (default: %(default)s)'
    )
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        help='type to compute in; bf16 is autocast to bfloat16 (default: float32; on a GPU each '
        'way has its own)',
    )
    parser.add_argument(
        '--tasks',
        nargs='+',
        default=['forward', 'train'],
        choices=['forward', 'train'],
        help='a forward pass, or a training step with Adam (default: both)',
    )
    parser.add_argument(
        '--batch',
        nargs='+',
        type=int,
        help='images in a batch; training takes the largest (default: 1 4; on a GPU 1 32)',
    )
    parser.add_argument(
        '--sizes',
        nargs='+',
        default=['256x192', '368x368'],
        metavar='HEIGHTxWIDTH',
        help='sizes of the input in pixels (default: 256x192 368x368)',
    )
    parser.add_argument(
        '--runs',
        type=int,
        help='counted runs of each network, after a first one (default: 5; on a GPU 10)',
    )
    parser.add_argument(
        '--minutes',
        type=float,
        help='measure as on a GPU, row by row, within this time (default: on a GPU '
        f'{GPU_MINUTES:g}, else no limit)',
    )
    parser.add_argument(
        '--others',
        nargs='*',
        metavar='NETWORK',
        help=f'other networks, with 256x192 only (default: {", ".join(OTHERS)}; on a GPU without '
        'the last)',
    )
    parser.add_argument('--no-memory', action='store_true', help='do not measure peak memory')
    parser.add_argument(
        '--out',
        type=Path,
        default=ROOT / 'results/benchmark.csv',
        metavar='FILE.csv',
        help='file to append to (default: %(default)s)',
    )
    parser.add_argument('--quiet', action='store_true', help='show no progress bars')
    parser.add_argument('--memory-of', help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    complete(arguments, parser)
    if unknown := [name for name in arguments.others if name not in ('stock CPM', *OTHERS)]:
        parser.error(
            f'--others {", ".join(unknown)}: no such networks; there are {", ".join(OTHERS)}'
        )
    if arguments.runs < 1 or min(arguments.batch) < 1:
        parser.error('--runs and --batch must be at least 1')
    if arguments.minutes is not None and not arguments.minutes > 0:
        parser.error(f'--minutes {arguments.minutes:g}: must be more than 0')
    if wrong := [size for size in arguments.sizes if not re.fullmatch(r'[1-9]\d*x[1-9]\d*', size)]:
        parser.error(f'--sizes {", ".join(wrong)}: give height x width, such as 256x192')
    require_packages(parser.prog)
    from mmengine.registry import init_default_scope

    from cpm_plugin.apps.devices import check_device
    from cpm_plugin.apps.errors import FAILURES, one_line
    from cpm_plugin.apps.measure import load_warning, spread_warning
    from cpm_plugin.apps.outputs import check_file

    try:
        check_device(arguments.device)
        if not arguments.memory_of:
            check_file(arguments.out)
            if arguments.out.is_file() and columns_in(arguments.out) != list(COLUMNS):
                raise ValueError(
                    f'--out {arguments.out}: has other columns than these; give a new file'
                )
    except ValueError as error:
        parser.error(str(error))
    arguments.commit = commit()  # before --out is written, which would change the working tree
    init_default_scope('mmpose')
    if arguments.memory_of:
        print(json.dumps(own_memory(arguments)))
        return 0
    shown = ('task', 'batch', 'size', 'network', 'seconds', 'images_per_s')
    shown += ('stock_over_this', 'difference', 'peak_MB', 'peak_fraction', 'spread')
    if busy := load_warning():
        print(f'warning: {busy}', file=sys.stderr)
    print('| ' + ' | '.join(shown) + ' |')
    print('| --- ' * len(shown) + '|')
    try:
        for row in measure_all(arguments):
            append(arguments.out, row)
            print('| ' + ' | '.join(str(row[key]) for key in shown) + ' |', flush=True)
            if uneven := spread_warning(row['network'], float(row['spread'])):
                print(f'warning: {uneven}', file=sys.stderr)
    except FAILURES as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 1
    return 0


def complete(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Fill in the defaults that depend on the device; refuse what contradicts it."""
    if arguments.device == 'cuda' and arguments.minutes is None and not arguments.memory_of:
        arguments.minutes = GPU_MINUTES
    on_gpu = arguments.minutes is not None
    if on_gpu and arguments.precision:
        parser.error('--precision is for a CPU: on a GPU, or with --minutes, each way has its own')
    others, batch, runs = (OTHERS[:2], [1, 32], 10) if on_gpu else (OTHERS, [1, 4], 5)
    defaults = {'precision': 'float32', 'batch': batch, 'runs': runs, 'others': list(others)}
    for name, value in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def append(path: Path, row: dict[str, Any]) -> None:
    """Append a row to the CSV file, or make the file; raise ValueError if that fails."""
    from cpm_plugin.apps.outputs import write_text

    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, COLUMNS)
    old = path.read_bytes().decode() if path.exists() else ''
    if not old:
        writer.writeheader()
    writer.writerow(row)
    write_text(path, old + text.getvalue())


if __name__ == '__main__':
    sys.exit(main())
