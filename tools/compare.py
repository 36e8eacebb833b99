"""Compare trained models, ours and stock MMPose's: accuracy, size, speed and memory.

    python tools/compare.py slim=cpm_slim_3s movenet=cpm_movenet_3s
    python tools/compare.py ours=OURS.py:OURS.pth 'stock CPM=STOCK.py:STOCK.pth' --out-dir compared
    python tools/compare.py slim=cpm_slim_3s --cfg-options test_dataloader.dataset.indices=20

A model is LABEL=CONFIG:CHECKPOINT, or LABEL=NAME for a model in the package, which needs LSP
Extended in data/lspet. First all test sets and networks are loaded, so that nothing is measured
where one of them is missing or does not fit. Then all networks are timed, in turns, so that other
work on the computer slows all of them. Then each model is tested once on the test set of its
config, by MMPose's test runner in a process of its own. A warning says if the test sets or the
metrics are not the same. The last example takes only a part of the test set, to try the program.

It prints a table and writes into --out-dir:

    compare.md     the table
    compare.csv    the same values as CSV
    compare.png    a drawing of accuracy against speed
    LABEL/         the logs of the test

The columns after those of accuracy:

    M parameters       parameters in millions
    G multiply-adds    of one image, in 1e9, counted as those of direct convolutions
    images/s           through the network alone, in batches; the median of the runs
    spread             time of the slowest run, relative to the quickest. Above 1.5 a warning says
                       that images/s cannot be compared, as does one for a computer that is busy at
                       the start
    peak MB            peak memory in 1e6 bytes, of the model's process in the test and a batch
                       (VmHWM of Linux), or of the GPU's allocator in a batch

Exit codes: 0 when done; 1 if a model cannot be loaded or tested, or a file not be written (what was
tested before is kept); 2 for wrong arguments or configs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cpm_plugin.apps.arguments import OptionsAction, check_packaged, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'models', nargs='+', metavar='MODEL', help='LABEL=CONFIG:CHECKPOINT or LABEL=NAME'
    )
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('work_dirs/compare'),
        metavar='FOLDER',
        help='folder to write into (default: %(default)s)',
    )
    parser.add_argument(
        '--metric', help='metric of the drawing (default: the first one of the first model)'
    )
    parser.add_argument(
        '--device', default='cpu', help='device of the timing: cpu or cuda (default: %(default)s)'
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images in a batch of the timing (default: 8)'
    )
    parser.add_argument(
        '--runs', type=int, default=5, help='timed runs, whose median counts (default: 5)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='changes of all configs, as in tools/test.py',
    )
    # The process of one model writes its results into this file.
    parser.add_argument('--one', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.argv = sys.argv[1:] if argv is None else argv
    try:
        named = dict(split(model) for model in args.models)
        if len(named) != len(args.models):
            raise ValueError(f'labels must differ: {", ".join(args.models)}')
        for name in ('batch_size', 'runs'):
            if getattr(args, name) < 1:
                raise ValueError(
                    f'--{name.replace("_", "-")} {getattr(args, name)}: must be at least 1'
                )
    except ValueError as error:
        parser.error(str(error))
    require_packages(parser.prog)
    import torch
    from rich.progress import track

    from cpm_plugin.apps import compare as comparison
    from cpm_plugin.apps import compare_report as report
    from cpm_plugin.apps.configs import read_config
    from cpm_plugin.apps.devices import check_device
    from cpm_plugin.apps.errors import FAILURES, one_line
    from cpm_plugin.apps.measure import device_name, load_warning, spread_warning
    from cpm_plugin.apps.outputs import check_folder, write_figure, write_text

    try:
        models = {label: files_of(*pair) for label, pair in named.items()}
        check_device(args.device)
        check_folder(args.out_dir)
        configs = {  # here, where their warnings are seen
            label: read_config(config, args.cfg_options, needs=('model', 'test_dataloader'))
            for label, (config, _) in models.items()
            if args.one is None
        }
    except ValueError as error:
        parser.error(str(error))
    try:
        if args.one is not None:
            ((label, (config, checkpoint)),) = models.items()
            measure_one(label, config, checkpoint, args)
            return 0
        sets = {label: comparison.test_set(config) for label, config in configs.items()}
        for warning in (load_warning(), comparison.other_test_sets(sets)):
            if warning:
                print(f'warning: {warning}', file=sys.stderr)
        hardware = device_name(args.device)
        if args.device == 'cpu':
            hardware = f'{torch.get_num_threads()} threads of {hardware}'
        for label, config in configs.items():
            with about(label):
                comparison.check_test_data(config)
        args.out_dir.mkdir(parents=True, exist_ok=True)
        times = time_all(models, args)
        rows: dict[str, dict[str, float]] = {}
        for label in track(models, description='tests'):
            rows[label] = {**measure_apart(label, args), **times[label]}
            # After each model, so that nothing is lost if the next one fails.
            write_text(args.out_dir / 'compare.md', report.as_markdown(rows))
            write_text(args.out_dir / 'compare.csv', report.as_csv(rows))
            metric = args.metric or next(iter(rows[next(iter(models))]))
            figure = report.draw(rows, metric, hardware)
            write_figure(args.out_dir / 'compare.png', figure, dpi=120)
    except FAILURES as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 1
    print(report.as_markdown(rows))
    for label, row in rows.items():
        if uneven := spread_warning(label, row['spread']):
            print(f'warning: {uneven}', file=sys.stderr)
    print(f'{hardware}, batches of {args.batch_size}, torch {torch.__version__}')
    print(args.out_dir)
    return 0


def split(model: str) -> tuple[str, tuple[str, str]]:
    """Split LABEL=CONFIG:CHECKPOINT, or LABEL=NAME, for which the checkpoint is ''.

    Raise ValueError if it is wrong or a file is missing.
    """
    label, equals, what = model.partition('=')
    if not (label and equals and what):
        raise ValueError(f'{model}: a model is LABEL=CONFIG:CHECKPOINT or LABEL=NAME')
    parts = what.split(':')
    pairs = [(':'.join(parts[:n]), ':'.join(parts[n:])) for n in range(1, len(parts))]
    for pair in pairs:  # a path can have a colon, too
        if all(Path(path).is_file() for path in pair):
            return label, pair
    for path in pairs[-1] if pairs else ():
        if not Path(path).is_file():
            raise ValueError(f'{model}: {path}: no such file')
    try:
        check_packaged(what)
    except ValueError as error:
        raise ValueError(f'{model}: {error}. For others give CONFIG:CHECKPOINT') from error
    return label, (what, '')


def files_of(config: str, checkpoint: str) -> tuple[Path, Path]:
    """Return config and checkpoint; raise ValueError if those of a NAME cannot be used."""
    from cpm_plugin.apps.zoo import pose2d

    if checkpoint:
        return Path(config), Path(checkpoint)
    found = pose2d(config)
    return Path(found['pose2d']), Path(found['pose2d_weights'])


@contextmanager
def about(what: str) -> Iterator[None]:
    """Put the name of a model in front of the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{what}: {error}') from error


def time_all(
    models: Mapping[str, tuple[Path, Path]], args: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Time all networks in turns; see ``time_networks``."""
    from rich.progress import track

    from cpm_plugin.apps import compare as comparison

    networks = {}
    for label, files in models.items():
        with about(f'{label}, {files[1]}'):
            networks[label] = comparison.load_network(
                *files, options=args.cfg_options, device=args.device
            )
    rounds = track(range(args.runs), description='times')
    return comparison.time_networks(networks, args.batch_size, rounds, args.device)


def measure_apart(label: str, args: argparse.Namespace) -> dict[str, float]:
    """Measure a model in a new process, so that the peak of memory is that of the model."""
    (model,) = (model for model in args.models if model.partition('=')[0] == label)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / 'figures.json'
        command = [sys.executable, __file__, '--one', str(out), *args.argv]
        command = [part for part in command if part not in args.models or part == model]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 or not out.is_file():
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            if done.returncode < 0:  # the kernel ends a process for which there is no memory
                last = [f'its process was ended by signal {-done.returncode}; was the memory full?']
            raise ValueError(
                f'{label} could not be tested: {"".join(last).removeprefix("error: ")}'
            )
        return json.loads(out.read_text())


def measure_one(label: str, config: Path, checkpoint: Path, args: argparse.Namespace) -> None:
    """Measure a model in this process, and write the results to the file of ``--one``."""
    from cpm_plugin.apps import compare as comparison

    row = comparison.evaluate(
        config,
        checkpoint,
        args.out_dir / label.replace('/', '_').replace(' ', '_'),
        options=args.cfg_options,
        device=args.device,
        batch_size=args.batch_size,
    )
    args.one.write_text(json.dumps(row))


if __name__ == '__main__':
    sys.exit(main())
