"""See how the stages of a trained CPM refine their beliefs.

    python tools/show_stages.py CONFIG CHECKPOINT [--out stages.png] [--person N]

Runs the config's test set, prints the torso's PCK for every stage, at the evaluator's thr or else
0.2, and draws, for one person of the test set, the belief maps of each stage and the skeleton
decoded from them.
Without --person it is the one whose joints the later stages corrected most: an example of
what they do, not of the average image. Where a config's evaluator is TorsoPCKAccuracy the last
row of the table is what tools/test.py prints. All of the test set is run, with --person too; a
part of it by e.g. --cfg-options test_dataloader.dataset.indices=20.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from rich.progress import track

from cpm_plugin.apps.results import torso_threshold
from cpm_plugin.apps.stages import person_figure, predict_stages
from cpm_plugin.core.evaluation.pck import format_table
from cpm_plugin.mmpose.head import CPMStageHead
from cpm_plugin.mmpose.metrics import joints_of

from mmpose.apis import init_model


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config with a CPMStageHead')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument('--out', type=Path, default=Path('stages.png'), help='the image')
    parser.add_argument('--person', type=int, help='number in the test set, from 0')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='as in tools/test.py'
    )
    parser.add_argument('--device', default='cpu', help='cpu or cuda:0')
    args = parser.parse_args()
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

    threshold = torso_threshold(config)
    print(format_table(predictions.pck(joints, threshold), threshold))
    print(f'\nBelief maps of each stage and skeleton (person {person}): {args.out.resolve()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
