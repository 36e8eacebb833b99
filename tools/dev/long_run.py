"""Train for thousands of iterations, and watch memory, open files and workers.

    python tools/dev/long_run.py                     # 2,000 iterations, 4 to 8 minutes on 2 cores
    python tools/dev/long_run.py --iterations 200
    python tools/dev/long_run.py --only-signals

It trains a small network on generated images by tools/train.py, with 2 workers, and with validation
and a checkpoint every 250 iterations.

It prints the memory and the open files of the trainer and of its workers over time. Then it prints
how soon all processes have ended after Ctrl-C, SIGTERM and SIGKILL. It leaves no files.

Exit codes: 0 if all processes end in time and, from a fifth of the run to its end, memory grows by
less than 5 % and the number of open files by at most 20 %; 1 if not; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIG = next((ROOT / 'configs').glob('*/*/figures/*.py'))

# Seconds until all processes have ended. After Ctrl-C, PyTorch waits for its workers.
LIMITS = {signal.SIGINT: 10.0, signal.SIGTERM: 2.0, signal.SIGKILL: 2.0}


def start(data: Path, work_dir: Path, iterations: int) -> subprocess.Popen:
    """Start a training in a process of its own."""
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    epochs = max(1, iterations // 8)  # 64 images, 8 at a time
    options = [
        'train_dataloader.batch_size=8', 'randomness.seed=1', 'model.backbone.channels=8',
        'model.head.in_channels=8', 'model.head.channels=8', 'model.head.first_stage_channels=8',
        f'train_cfg.max_epochs={epochs}', 'train_cfg.val_interval=31', 'param_scheduler=[]',
        'default_hooks.checkpoint.interval=31', 'log_level=WARNING',
        *(f'{name}.dataset.data_root={data}/' for name in loaders),
        *(f'{name}.num_workers=2' for name in loaders),
        *(f'{name}.persistent_workers=True' for name in loaders),
    ]  # fmt: skip
    command = [sys.executable, '-W', 'ignore', str(ROOT / 'tools/train.py'), str(CONFIG)]
    return subprocess.Popen(
        [*command, '--work-dir', str(work_dir), '--cfg-options', *options],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have started."""
    parents: dict[int, list[int]] = {}
    for status in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = status.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process still runs."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def usage(pid: int) -> tuple[float, int]:
    """Return the resident memory of a process in MB, with what is shared, and its open files."""
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))
    return resident / 1024, len(os.listdir(f'/proc/{pid}/fd'))


def watch(process: subprocess.Popen, every: float) -> Iterator[tuple[float, ...]]:
    """Yield seconds, MB and files of the trainer, and MB and files of all its workers."""
    begin = time.monotonic()
    while process.poll() is None:
        try:
            workers = [usage(pid) for pid in descendants(process.pid)]
            trainer = usage(process.pid)
        except (OSError, ValueError):  # one has just ended
            continue
        memory, files = (sum(column) for column in zip(*workers)) if workers else (0.0, 0)
        yield time.monotonic() - begin, *trainer, memory, files
        time.sleep(every)


def long_run(data: Path, work_dir: Path, iterations: int) -> bool:
    """Train and print the table; return whether memory and open files stay the same."""
    process = start(data, work_dir, iterations)
    seen = list(watch(process, every=max(0.5, iterations / 2000)))
    if process.returncode:
        print(f'the training ended with exit code {process.returncode}')
        return False
    print('| time | trainer, MB | its files | workers, MB | their files |')
    print('| --- | --- | --- | --- | --- |')
    windows = [middle(seen, part) for part in (0.2, 0.35, 0.5, 0.65, 0.8)]
    for seconds, *row in windows:
        print(f'| {seconds:.0f} s | {row[0]:.0f} | {row[1]:.0f} | {row[2]:.0f} | {row[3]:.0f} |')
    first, last = windows[0], windows[-1]
    memory = all(last[i] < 1.05 * first[i] for i in (1, 3))
    # Workers of the validation come and go, which changes the number of open files.
    return memory and all(last[i] <= 1.2 * first[i] for i in (2, 4))


def middle(seen: list[tuple[float, ...]], part: float) -> list[float]:
    """Return the medians of 15 % of the samples, beginning at a part of the run."""
    window = seen[int(part * len(seen)) : int((part + 0.15) * len(seen)) + 1]
    return [statistics.median(column) for column in zip(*window)]


def ends(data: Path, work_dir: Path, number: signal.Signals) -> bool:
    """Return whether a signal to a trainer ends it and its workers in time."""
    process = start(data, work_dir, 100_000)
    before: list[int] = []
    while process.poll() is None and len(before) < 2:  # until it trains
        time.sleep(0.5)
        before = descendants(process.pid)
    time.sleep(3)
    before = [process.pid, *descendants(process.pid)]
    process.send_signal(number)
    begin = time.monotonic()
    left = before
    while left and time.monotonic() - begin < 15:
        time.sleep(0.1)
        process.poll()
        left = [pid for pid in before if is_alive(pid)]
    seconds = time.monotonic() - begin
    shown = f'{len(left)} left' if left else f'all gone after {seconds:.1f} s'
    print(f'{number.name}: {len(before)} processes, {shown}', flush=True)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left and seconds < LIMITS[number]


def main() -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--iterations', type=int, default=2000, help='iterations, at least 64 (default: 2000)'
    )
    parser.add_argument('--only-signals', action='store_true', help='leave the long run out')
    args = parser.parse_args()
    if args.iterations < 64:
        parser.error(f'--iterations {args.iterations} must be at least 64')
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        make = [sys.executable, str(ROOT / 'tools/make_figures.py'), str(out / 'figures')]
        subprocess.run([*make, '--train', '64', '--val', '8', '--size', '96'], check=True)
        fine = args.only_signals or long_run(out / 'figures', out / 'long', args.iterations)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            fine = ends(out / 'figures', out / number.name, number) and fine
    return int(not fine)


if __name__ == '__main__':
    sys.exit(main())
