"""Kill a training again and again, resume it, and compare its weights with an undisturbed run's.

    python tools/dev/crash_test.py                # 20 kills, 6 to 12 minutes on 2 cores
    python tools/dev/crash_test.py --kills 2 --out /tmp/crashes

It trains a tiny network on generated images by tools/train.py, keeping one checkpoint. Half of the
kills (SIGKILL) happen while a checkpoint or last_checkpoint is written. The others happen at random
times, from a fixed seed. After each kill the run continues by --resume.

It prints a table, and writes the runs into the folder of --out.

Exit codes: 0 if all final weights and optimizer states are equal bit for bit; 1 if not; 2 for wrong
arguments.
"""

from __future__ import annotations

import argparse
import builtins
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = next((ROOT / 'configs').glob('*/*/figures/*.py'))
EPOCHS = 4
# What is interrupted, and at which call. In each save, write, fsync and replace of the checkpoint
# come first, then those of last_checkpoint. fsync is also called for the folder.
POINTS = (
    ('write', 1), ('write', 3), ('fsync', 5), ('before replace', 3), ('after replace', 3),
    ('write', 4), ('before replace', 4), ('after replace', 4), ('remove', 1), ('fsync', 9),
)  # fmt: skip


def die() -> None:
    """Kill this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def set_trap(what: str, number: int) -> None:
    """Make this process kill itself at a call inside ``cpm_plugin.core.weights.files``."""
    from cpm_plugin.core.weights import files
    from cpm_plugin.mmpose import checkpoint_hook

    count = 0

    def reached() -> bool:
        nonlocal count
        count += 1
        return count == number

    class Trapped:
        """The module ``os``, for that module alone."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, file: int) -> None:
            if what == 'fsync' and reached():
                die()
            os.fsync(file)

        def replace(self, source: Any, target: Any) -> None:
            here = what.endswith('replace') and reached()
            if here and what.startswith('before'):
                die()
            os.replace(source, target)
            if here:
                die()

    def open_half(path: Any, mode: str) -> Any:
        file = builtins.open(path, mode)  # noqa: SIM115  (the caller's with closes it)
        if mode == 'wb' and what == 'write' and reached():
            write = file.write

            def write_half(content: bytes) -> None:
                write(content[: len(content) // 2])
                file.flush()
                die()

            return _File(file, write_half)
        return file

    files.os = Trapped()
    files.open = open_half
    if what == 'remove':
        checkpoint_hook.SafeCheckpointHook._remove = lambda hook, path: die()


class _File:
    def __init__(self, file: Any, write: Any) -> None:
        self.file, self.write = file, write

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()


def command(data: Path, work_dir: Path, *more: str) -> list[str]:
    """Return the command of a training of a tiny network on the images in ``data``."""
    options = [
        f'train_cfg.max_epochs={EPOCHS}', 'train_cfg.val_interval=2', 'randomness.seed=5',
        'train_dataloader.batch_size=8', 'train_dataloader.num_workers=1',
        'val_dataloader.num_workers=1', 'model.backbone.channels=4', 'model.head.in_channels=4',
        'model.head.channels=4', 'model.head.first_stage_channels=4', 'model.head.dropout=0.5',
        'default_hooks.checkpoint.max_keep_ckpts=1', 'log_level=WARNING',
        *(f'{loader}_dataloader.dataset.data_root={data}/' for loader in ('train', 'val', 'test')),
    ]  # fmt: skip
    tail = [str(CONFIG), '--work-dir', str(work_dir), *more, '--cfg-options', *options]
    return [sys.executable, '-W', 'ignore', __file__, '--train', *tail]


def run(arguments: list[str], *, kill_after: float | None = None, trap: str = '') -> int:
    """Run a command; return its exit code, -9 if it was killed."""
    process = subprocess.Popen(
        arguments,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'CRASH_TRAP': trap},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    else:
        if process.returncode > 0:
            raise RuntimeError(f'the training failed: {errors[-2000:]}')
    return process.returncode


def final_state(work_dir: Path) -> dict[str, Any]:
    """Read the last checkpoint of a run."""
    path = work_dir / f'epoch_{EPOCHS}.pth'
    return torch.load(path, map_location='cpu', weights_only=False)  # our own file


def same(one: Any, other: Any) -> bool:
    """Return whether two nested states are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def train(arguments: list[str]) -> None:
    """Run ``tools/train.py`` in the child process, with the trap if there is one."""
    from cpm_plugin.mmpose.__main__ import run_script

    if trap := os.environ.get('CRASH_TRAP'):
        what, _, number = trap.rpartition(' ')
        set_trap(what, int(number))
    run_script('tools/train.py', arguments)


def main() -> int:
    """Run the program; return its exit code."""
    if sys.argv[1:2] == ['--train']:
        train(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--kills', type=int, default=20, help='number of kills, at least 1 (default: 20)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the random times (default: 0)')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='folder for the runs, which is kept (default: a temporary one)',
    )
    args = parser.parse_args()
    if args.kills < 1:
        parser.error(f'--kills {args.kills} must be at least 1')
    with tempfile.TemporaryDirectory() as scratch:
        return crash(args.out or Path(scratch), args.kills, args.seed)


def crash(out: Path, kills: int, seed: int) -> int:
    """Kill and resume trainings, and print the table; return the exit code."""
    data = out / 'figures'
    make = [sys.executable, str(ROOT / 'tools/make_figures.py'), str(data)]
    subprocess.run([*make, '--train', '48', '--val', '8', '--size', '96'], check=True)
    start = time.monotonic()
    if code := run(command(data, out / 'undisturbed')):
        raise RuntimeError(f'the undisturbed training ended with exit code {code}')
    seconds = time.monotonic() - start
    expected = final_state(out / 'undisturbed')
    points = [f'{what} {number}' for what, number in POINTS][: (kills + 1) // 2]
    times = random.Random(seed)
    print(f'an undisturbed run takes {seconds:.0f} s\n\n| killed at | resumed | equal |')
    print('| --- | --- | --- |')
    failed = 0
    for number in range(kills):
        work_dir = out / f'run_{number}'
        if number < len(points):
            shown = points[number]
            killed = run(command(data, work_dir), trap=shown) == -signal.SIGKILL
        else:
            after, killed = times.uniform(0.45, 0.95) * seconds, False
            while not killed:  # a faster run than the undisturbed one has ended by then
                shutil.rmtree(work_dir, ignore_errors=True)
                after *= 0.95
                killed = run(command(data, work_dir), kill_after=after) == -signal.SIGKILL
            shown = f'{after:.1f} s'
        run(command(data, work_dir, '--resume'))
        found = final_state(work_dir)
        equal = all(same(found[key], expected[key]) for key in ('state_dict', 'optimizer'))
        failed += not (killed and equal)
        print(f'| {shown}{"" if killed else " (was not killed)"} | yes | {equal} |', flush=True)
    print(f'\n{kills - failed} of {kills} resumed to equal weights')
    return int(failed > 0)


if __name__ == '__main__':
    sys.exit(main())
