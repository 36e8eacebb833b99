"""Compare trained models, ours and stock MMPose's: accuracy, size, speed and memory.

    python tools/compare.py slim=cpm_slim_3s lite=cpm_lite0_3s
    python tools/compare.py ours=OURS.py:OURS.pth 'stock CPM=STOCK.py:STOCK.pth' --out-dir compared

A model is LABEL=CONFIG:CHECKPOINT, or LABEL=NAME of one in the package. Each is tested once on
its config's test set, by MMPose's test runner in a process of its own, then timed. Writes
compare.md, compare.csv and compare.png, accuracy against speed, into --out-dir. A part of the test
set is enough to try it: --cfg-options test_dataloader.dataset.indices=20.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from mmengine.config import DictAction
from rich.progress import track

from cpm_plugin.apps import compare as comparison
from cpm_plugin.apps.zoo import pose2d, write_text


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('models', nargs='+', help='LABEL=CONFIG:CHECKPOINT or LABEL=NAME')
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/compare'))
    parser.add_argument('--metric', help="of the drawing; default: the first model's first")
    parser.add_argument('--device', default='cpu', help='cpu or cuda, for the timing')
    parser.add_argument('--batch-size', type=int, default=8, help='of the timing (8)')
    parser.add_argument('--runs', type=int, default=5, help='of the timing (5); the median counts')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='as in tools/test.py'
    )
    parser.add_argument('--one', type=Path, help=argparse.SUPPRESS)  # where to write its figures
    args = parser.parse_args()
    try:
        models = dict(parse(model) for model in args.models)
        if len(models) != len(args.models):
            raise ValueError(f'labels must differ: {", ".join(args.models)}')
    except ValueError as error:
        parser.error(str(error))
    try:
        if args.one is not None:
            ((label, (config, checkpoint)),) = models.items()
            measure_one(label, config, checkpoint, args)
            return 0
        rows: dict[str, dict[str, float]] = {}
        args.out_dir.mkdir(parents=True, exist_ok=True)
        for label in track(models, description='tests'):
            rows[label] = measure_apart(label, args)
            # after each, so that nothing is lost if the next one fails
            write_text(args.out_dir / 'compare.md', comparison.as_markdown(rows))
            write_text(args.out_dir / 'compare.csv', comparison.as_csv(rows))
            metric = args.metric or next(iter(rows[next(iter(models))]))
            figure = comparison.draw(rows, metric, device_name(args.device))
            figure.savefig(args.out_dir / 'compare.png', dpi=120)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(comparison.as_markdown(rows))
    print(f'{device_name(args.device)}, batches of {args.batch_size}, torch {torch.__version__}')
    print(args.out_dir)
    return 0


def parse(model: str) -> tuple[str, tuple[Path, Path]]:
    label, equals, what = model.partition('=')
    if not (label and equals and what):
        raise ValueError(f'{model}: a model is LABEL=CONFIG:CHECKPOINT or LABEL=NAME')
    config, colon, checkpoint = what.rpartition(':')
    if not colon:
        try:
            found = pose2d(what)
        except ValueError as error:
            raise ValueError(f'{model}: {error}. For others give CONFIG:CHECKPOINT') from error
        return label, (Path(found['pose2d']), Path(found['pose2d_weights']))
    for path in (config, checkpoint):
        if not Path(path).is_file():
            raise ValueError(f'{model}: {path}: no such file')
    return label, (Path(config), Path(checkpoint))


def measure_apart(label: str, args: argparse.Namespace) -> dict[str, float]:
    """In a process of its own, so that its peak of memory is its own."""
    (model,) = (model for model in args.models if model.partition('=')[0] == label)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / 'figures.json'
        command = [sys.executable, sys.argv[0], '--one', str(out), *sys.argv[1:]]
        command = [part for part in command if part not in args.models or part == model]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not out.is_file():
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise ValueError(
                f'{label} could not be tested: {"".join(last).removeprefix("error: ")}'
            )
        return json.loads(out.read_text())


def measure_one(label: str, config: Path, checkpoint: Path, args: argparse.Namespace) -> None:
    row = comparison.evaluate(
        config,
        checkpoint,
        args.out_dir / label.replace('/', '_').replace(' ', '_'),
        options=args.cfg_options,
        device=args.device,
        batch_size=args.batch_size,
        runs=args.runs,
    )
    args.one.write_text(json.dumps(row))


def device_name(device: str) -> str:
    if device.startswith('cuda'):
        return torch.cuda.get_device_name(device)
    models = [
        line.partition(':')[2].strip()
        for line in Path('/proc/cpuinfo').read_text().splitlines()
        if line.startswith('model name')
    ]
    return f'{torch.get_num_threads()} threads of {models[0] if models else "a CPU"}'


if __name__ == '__main__':
    sys.exit(main())
