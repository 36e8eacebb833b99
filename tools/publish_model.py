"""Publish a trained model: weights without the optimizer, by name, with their facts beside them.

    python tools/test.py CONFIG CHECKPOINT --work-dir work_dirs/test
    python tools/publish_model.py CONFIG CHECKPOINT --name my_cpm \\
        --results work_dirs/test/*/*.json --dataset 'LSP Extended 8001-9000' \\
        --training-data 'LSP Extended 1-7500' --training 'seed, epochs, time, hardware' \\
        --license 'academic use' --zoo my_zoo

writes my_zoo/CONFIG-<sha256>_<date>.pth and enters it in my_zoo/index.json, in the metafile and in
the table of the config's folder. Nothing is overwritten. Then

    cpm_plugin.create_model(NAME, pretrained='my_zoo')
    MMPoseInferencer(**pose2d(NAME, 'my_zoo'), det_model='whole_image')

load it (pose2d is of cpm_plugin.apps.zoo) and verify its checksum; create_model if NAME is one of
cpm_plugin.list_models().
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.publish import Publication, publish


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path)
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('--name', required=True, help='of the model in the zoo')
    parser.add_argument(
        '--results', type=Path, required=True, help='the JSON file that tools/test.py wrote'
    )
    parser.add_argument('--dataset', required=True, help='that the results are of')
    parser.add_argument('--training-data', required=True, help='that it was trained on')
    parser.add_argument('--training', required=True, help='seed, epochs, time, hardware')
    parser.add_argument('--license', required=True, help='of the weights: that of the data')
    parser.add_argument(
        '--zoo', type=Path, required=True, help="a folder; the package's is cpm_plugin/weights"
    )
    parser.add_argument('--metafile', type=Path, help='default: cpm_<folder>.yml by the config')
    parser.add_argument('--url', help='of the folder that the file will be downloaded from')
    parser.add_argument('--float32', action='store_true', help='convolutions not in float16')
    parser.add_argument(
        '--without-ema',
        action='store_true',
        help="the last weights, not EMAHook's average, which is what tools/test.py tests: publish "
        'into a folder of no matter, test that file, and publish again with its results',
    )
    args = parser.parse_args()
    what = Publication(
        name=args.name,
        config=args.config,
        checkpoint=args.checkpoint,
        results=args.results,
        dataset=args.dataset,
        training_data=args.training_data,
        training=args.training,
        license=args.license,
        url=args.url,
    )
    try:
        path = publish(
            what,
            args.zoo,
            metafile=args.metafile,
            half=not args.float32,
            averaged=not args.without_ema,
        )
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == '__main__':
    sys.exit(main())
