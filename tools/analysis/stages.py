"""Show how the stages of a trained CPM refine their belief maps.

    python tools/analysis/stages.py CONFIG CHECKPOINT
    python tools/analysis/stages.py CONFIG CHECKPOINT --person 7 --out stages.png
    python tools/analysis/stages.py CONFIG CHECKPOINT --examples 5 --out examples/stages.png
    python tools/analysis/stages.py CONFIG CHECKPOINT \\
        --cfg-options test_dataloader.dataset.indices=20

It runs the test set of the config, all of it also with --person. The last example takes only a part
of it. It prints three tables:

- The PCK relative to the torso for every stage. If the config's evaluator has a TorsoPCKAccuracy,
  that is at its thr, and the last row is what tools/test.py prints; else at 0.2. With a
  StructuredHeatmap as decoder, the last row is with the structure, of the stage of test_cfg.
- How many joints were wrong at stage 1 and right at the last stage, and the reverse.
- Double counting: how often a stage puts both ankles, knees, wrists or elbows at the same place. Of
  people whose two labels are more than twice --near torsos apart, those whose predictions are at
  most --near torsos apart.

A dataset without shoulders and hips has no torso: then it only draws, by default person 0.

It writes the image of --out: for one person of the test set, the belief maps of each stage and the
skeleton found in them. Without --person it is the person whose joints the later stages corrected
most. That is an example of what they do, and not of the average image.

--examples N also draws the N people with most joints repaired, the N with most broken, and the N
with most pairs separated: at the same place at stage 1, and both right at the last. With a
StructuredHeatmap, the images also show what it makes of its stage. They lie beside --out:
stages_repaired_1_person_17.png.

Exit codes: 0 when done; 1 if the model or the data cannot be loaded, or the image not be written; 2
for wrong arguments, or a config that it cannot use.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cpm_plugin.apps.arguments import OptionsAction, check_there, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG', help='config with a CPMStageHead')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint of the model')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('stages.png'),
        metavar='IMAGE',
        help='image to write (default: %(default)s)',
    )
    parser.add_argument(
        '--person',
        type=int,
        metavar='NUMBER',
        help='number of the person in the test set, from 0 (default: see above)',
    )
    parser.add_argument(
        '--examples', type=int, default=0, metavar='N', help='see above (default: %(default)s)'
    )
    parser.add_argument(
        '--near',
        type=float,
        default=0.2,
        metavar='SHARE',
        help='largest distance of one place, as a fraction of the torso (default: %(default)s)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        default={},
        metavar='KEY=VALUE',
        help='changes of the config, as in tools/test.py',
    )
    parser.add_argument(
        '--device', default='cpu', help='device: cpu or cuda:0 (default: %(default)s)'
    )
    args = parser.parse_args(argv)
    try:
        if args.examples < 0:
            raise ValueError(f'--examples {args.examples}: must not be negative')
        if not 0 < args.near < float('inf'):
            raise ValueError(f'--near {args.near}: must be positive')
        check_there(args.config)
        if not Path(args.checkpoint).is_file():
            raise ValueError(f'{args.checkpoint}: no such file')
        require_packages(parser.prog)
        from cpm_plugin.apps.configs import build_model, named, read_config
        from cpm_plugin.apps.devices import check_device
        from cpm_plugin.apps.outputs import check_figure

        check_device(args.device)
        check_figure(args.out)
        config = read_config(args.config, args.cfg_options, needs=('model', 'test_dataloader'))
    except ValueError as error:
        parser.error(str(error))
    from mmengine.runner import Runner

    from cpm_plugin.apps.errors import FAILURES, one_line
    from cpm_plugin.apps.results import torso_thresholds
    from cpm_plugin.mmpose.head import CPMStageHead

    try:
        model = build_model(config, args.checkpoint, args.device)
        with named(args.config):
            loader = Runner.build_dataloader(config.test_dataloader)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    head, count = type(getattr(model, 'head', None)), len(loader.dataset)
    if not issubclass(head, CPMStageHead):
        parser.error(f'{args.config}: its head is {head.__name__}, not CPMStageHead')
    if args.person is not None and not 0 <= args.person < count:
        parser.error(f'--person {args.person}: the test set has 0 to {count - 1}')
    if not count:
        parser.error(f'{args.config}: its test set has nobody; see test_dataloader.dataset')
    try:
        show(model, loader, torso_thresholds(config.get('test_evaluator')) or [0.2], args)
    except FAILURES as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 1
    return 0


def show(model: Any, loader: Any, thresholds: list[float], args: argparse.Namespace) -> None:
    """Print the tables, and write the images."""
    from mmengine.dataset import pseudo_collate
    from rich.progress import track

    from cpm_plugin.apps.outputs import write_figure
    from cpm_plugin.apps.stage_figures import person_figure
    from cpm_plugin.apps.stage_report import changes_table, doubled_table
    from cpm_plugin.apps.stages import people_with_most, predict_stages
    from cpm_plugin.core.evaluation.pck import format_table
    from cpm_plugin.mmpose.metrics import check_torso, joints_of

    def draw(path: Path, person: int) -> None:
        figure = person_figure(model, pseudo_collate([loader.dataset[person]]), meta)
        write_figure(path, figure, dpi=110)

    meta = loader.dataset.metainfo
    joints = joints_of(meta)
    try:
        check_torso(joints)
    except ValueError as error:
        print(f'no PCK of the stages: {error}')
        person, thresholds, predictions = args.person or 0, [], None
    else:
        predictions = predict_stages(model, track(loader, description='stages on the test set'))
        person = predictions.most_helped(joints) if args.person is None else args.person
    draw(args.out, person)
    for threshold in thresholds:
        print(format_table(predictions.pck(joints, threshold), threshold))
        changes = predictions.changes(joints, threshold)
        print(f'\nJoints by PCK@{threshold:g}, at stage 1 and at the last stage:\n')
        print(changes_table(changes, joints) + '\n')
    if predictions is not None:
        print(f'Pairs put at the same place, within {args.near:g} of the torso:\n')
        print(doubled_table(predictions.doubled(joints, args.near), args.near))
        changes = predictions.changes(joints, thresholds[0])
        separated = predictions.separated(joints, args.near, thresholds[0])
        examples = {
            'joints repaired': changes.most(args.examples),
            'joints broken': changes.most(args.examples, broken=True),
            'pairs separated': people_with_most(separated, args.examples),
        }
        for kind, people in examples.items() if args.examples else ():
            for number, someone in enumerate(people, start=1):
                name = f'{args.out.stem}_{kind.split()[1]}_{number}_person_{someone}'
                draw(args.out.with_name(name + args.out.suffix), someone)
            print(f'\nMost {kind}: people {", ".join(map(str, people)) or "none"}')
    print(f'\nBelief maps of each stage and skeleton (person {person}): {args.out.resolve()}')


if __name__ == '__main__':
    sys.exit(main())
