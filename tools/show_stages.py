"""Show how the stages of a trained CPM refine their belief maps.

    python tools/show_stages.py CONFIG CHECKPOINT
    python tools/show_stages.py CONFIG CHECKPOINT --person 7 --out stages.png
    python tools/show_stages.py CONFIG CHECKPOINT --cfg-options test_dataloader.dataset.indices=20

It runs the test set of the config, all of it also with --person. The last example takes only a part
of it.

It prints the PCK relative to the torso for every stage. If the config's evaluator has a
TorsoPCKAccuracy, that is at its thr, and the last row is what tools/test.py prints; else at 0.2.

It writes the image of --out: for one person of the test set, the belief maps of each stage and the
skeleton found in them. Without --person it is the person whose joints the later stages corrected
most. That is an example of what they do, and not of the average image.

Exit codes: 0 when done; 1 if the model or the data cannot be loaded; 2 for wrong arguments, or a
config that it cannot use.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from rich.progress import track

from cpm_plugin.apps.results import torso_thresholds
from cpm_plugin.apps.show_stages import person_figure, predict_stages
from cpm_plugin.core.evaluation.pck import format_table
from cpm_plugin.mmpose.head import CPMStageHead
from cpm_plugin.mmpose.metrics import joints_of

from mmpose.apis import init_model


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
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='changes of the config, as in tools/test.py',
    )
    parser.add_argument(
        '--device', default='cpu', help='device: cpu or cuda:0 (default: %(default)s)'
    )
    args = parser.parse_args(argv)
    for path in (args.config, args.checkpoint):
        if not Path(path).is_file():
            parser.error(f'{path}: no such file')

    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options)
    model = init_model(config, args.checkpoint, device=args.device)
    if not isinstance(model.head, CPMStageHead):
        parser.error(f'{args.config}: its head is {type(model.head).__name__}, not CPMStageHead')
    loader = Runner.build_dataloader(config.test_dataloader)
    meta = loader.dataset.metainfo
    joints = joints_of(meta)

    predictions = predict_stages(model, track(loader, description='stages on the test set'))
    person = predictions.most_helped(joints) if args.person is None else args.person
    if not 0 <= person < len(predictions.truth):
        parser.error(f'--person {person}: the test set has 0 to {len(predictions.truth) - 1}')

    batch = pseudo_collate([loader.dataset[person]])
    figure = person_figure(model, batch, meta)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=110)

    for threshold in torso_thresholds(config.get('test_evaluator')) or [0.2]:
        print(format_table(predictions.pck(joints, threshold), threshold))
    print(f'\nBelief maps of each stage and skeleton (person {person}): {args.out.resolve()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
