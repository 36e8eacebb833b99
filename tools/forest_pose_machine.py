"""Train and test a pose machine of random forests: what pose machines were before CPM.

    python tools/forest_pose_machine.py CONFIG forests.csv
    python tools/forest_pose_machine.py CONFIG forests.csv --cfg-options \\
        'train_dataloader.dataset.image_range=(1,2000)' \\
        'test_dataloader.dataset.image_range=(8001,8300)'
    python tools/forest_pose_machine.py CONFIG forests.csv --settings stages=2 smoothing=1

It is that of Ramakrishna et al., Pose Machines (ECCV 2014), with one level of parts, the joints.
Forests classify cells of 8 x 8 pixels by gradients, colors and the place in the crop. From stage 2
on they also see the beliefs of the stage before. Stages are trained on the beliefs of forests that
have not seen the image.

It takes the crops, the decoder, the flip test and the TorsoPCKAccuracy of the config, and nothing
of its network. It prints a table, and writes OUT, the same as CSV: for each number of stages the
PCK at each of --thresholds, the AUC, and the CPU time for a person, without decoding.

The forests are not kept. scikit-learn would store them by pickle, which runs code of who wrote the
file. To keep them for your own use, see cpm_plugin.apps.forest_machine.

The same config, options and settings give the same figures. It needs scikit-learn, the extra
[forest].

Exit codes: 0 when done; 1 if the training or the test fails; 2 for wrong arguments, or a config
that it cannot use.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cpm_plugin.apps.arguments import OptionsAction, check_there, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', metavar='CONFIG', help='config with a CPMHeatmap and a TorsoPCKAccuracy'
    )
    parser.add_argument('out', metavar='OUT', type=Path, help='CSV file to write')
    parser.add_argument(
        '--settings',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='NAME=VALUE',
        help='settings of the forests, such as stages=2 trees=50 seed=1; all, with their defaults: '
        'ForestSettings in cpm_plugin/apps/forest_examples.py',
    )
    parser.add_argument(
        '--rounds',
        type=int,
        default=1,
        metavar='N',
        help='times that each person is read, with other augmentation (default: 1)',
    )
    parser.add_argument(
        '--thresholds',
        type=float,
        nargs='+',
        default=[0.1, 0.2],
        metavar='SHARE',
        help='of the PCK, as parts of the torso (default: 0.1 0.2)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='changes of the config, as in tools/test.py',
    )
    args = parser.parse_args(argv)
    try:
        check_there(args.config)
        if args.rounds < 1:
            raise ValueError(f'--rounds {args.rounds}: must be at least 1')
        require_packages(parser.prog)
        from cpm_plugin.apps.configs import named, read_config
        from cpm_plugin.apps.forest_data import open_test, read_cells
        from cpm_plugin.apps.forest_examples import read_settings
        from cpm_plugin.apps.forest_machine import ForestMachine
        from cpm_plugin.apps.outputs import check_file

        settings = read_settings(args.settings)
        machine = ForestMachine(settings)
        check_file(args.out)
        needs = ('model', 'train_dataloader', 'test_dataloader', 'test_evaluator')
        config = read_config(args.config, args.cfg_options, needs=needs)
        with named(args.config):
            test = open_test(config)
            cells = read_cells(config, settings, args.rounds, with_bar)
    except ValueError as error:
        parser.error(str(error))
    from mmengine.logging import MMLogger

    from cpm_plugin.apps.errors import FAILURES, one_line
    from cpm_plugin.apps.forest_data import score_stages
    from cpm_plugin.apps.measure import peak_megabytes
    from cpm_plugin.apps.outputs import write_text
    from cpm_plugin.apps.tables import table_row

    MMLogger.get_current_instance().setLevel('WARNING')  # the metric would log a table each time
    began = time.process_time()
    try:
        machine.fit(*cells, with_bar)
        trained = time.process_time() - began
        scores = score_stages(machine, test, args.thresholds, with_bar)
        rows = table_of(scores)
        write_text(args.out, ''.join(','.join(row) + '\n' for row in rows))
    except FAILURES as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 1
    print('\n'.join(map(table_row, [rows[0], ['---'] * len(rows[0]), *rows[1:]])))
    print(
        f'{len(cells.maps)} crops and {len(cells.examples.labels)} cells to train on in '
        f'{trained:.0f} s of CPU time; at most {peak_megabytes("cpu"):.0f} MB in use: {args.out}'
    )
    return 0


def with_bar(jobs: Sequence[Any], name: str) -> Iterable[Any]:
    """Pass jobs on, with a progress bar of this name."""
    from rich.console import Console
    from rich.progress import track

    return track(jobs, name, console=Console(stderr=True))


def table_of(scores: Sequence[Any]) -> list[list[str]]:
    """Return the rows of a table of stages: the header first."""
    header = ['stages', *(f'PCK@{thr:g}' for thr in scores[0].pck)]
    rows = [[*header, 'AUC', 'ms per person', 'people', 'keypoints']]
    for stage, score in enumerate(scores, start=1):
        figures = [*score.pck.values(), score.auc]
        times = f'{score.milliseconds:.1f}'
        counts = [str(score.people), str(score.keypoints)]
        rows.append([str(stage), *(f'{figure:.2f}' for figure in figures), times, *counts])
    return rows


if __name__ == '__main__':
    sys.exit(main())
