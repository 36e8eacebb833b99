"""Publish a trained model: its weights without the optimizer, by name, with a description.

    python tools/test.py CONFIG CHECKPOINT --work-dir work_dirs/test
    python tools/publish_model.py CONFIG CHECKPOINT --name my_cpm \\
        --results work_dirs/test/*/*.json --dataset 'LSP Extended 8001-9000' \\
        --training-data 'LSP Extended 1-7500' --training 'seed, epochs, time, hardware' \\
        --license 'academic use' --zoo my_zoo

It writes my_zoo/CONFIG-<sha256>_<date>.pth, and enters it in my_zoo/index.json, in the metafile and
in the table of the config's folder. The nearest model-index.yml above the metafile then lists it.
No existing file of weights is overwritten. It prints the path of that index, if there is one, and
in the last line that of the new file. To load the model, which verifies its checksum:

    cpm_plugin.create_model(NAME, pretrained='my_zoo')
    MMPoseInferencer(**pose2d(NAME, 'my_zoo'), det_model='whole_image')

pose2d is a function of cpm_plugin.apps.zoo. create_model needs a NAME that is one of
cpm_plugin.list_models().

Exit codes: 0 when done; 2 for wrong arguments or files. Then nothing is published.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_there, require_packages


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, metavar='CONFIG', help='config of the training')
    parser.add_argument(
        'checkpoint', type=Path, metavar='CHECKPOINT', help='checkpoint of the training'
    )
    parser.add_argument('--name', required=True, help='name of the model in the zoo')
    parser.add_argument(
        '--results',
        type=Path,
        required=True,
        metavar='FILE.json',
        help='file that tools/test.py wrote for this checkpoint',
    )
    parser.add_argument(
        '--dataset', required=True, metavar='TEXT', help='dataset that was tested on'
    )
    parser.add_argument(
        '--training-data', required=True, metavar='TEXT', help='dataset that was trained on'
    )
    parser.add_argument(
        '--training', required=True, metavar='TEXT', help='seed, epochs, time and hardware'
    )
    parser.add_argument(
        '--license',
        required=True,
        metavar='TEXT',
        help='who may use the weights, and for what; usually the license of the data',
    )
    parser.add_argument(
        '--zoo',
        type=Path,
        required=True,
        metavar='FOLDER',
        help='folder of the zoo; that of the package is cpm_plugin/weights',
    )
    parser.add_argument(
        '--metafile',
        type=Path,
        metavar='FILE.yml',
        help="metafile (default: cpm_<folder>.yml in the config's folder)",
    )
    parser.add_argument('--url', help='address of the folder that has the file for download')
    parser.add_argument(
        '--float32',
        action='store_true',
        help='write the weights of convolutions in float32, not in float16',
    )
    parser.add_argument(
        '--without-ema',
        action='store_true',
        help="publish the last weights, not EMAHook's average. tools/test.py tests the average: "
        'publish into a temporary folder, test that file, and publish again with its results',
    )
    args = parser.parse_args(argv)
    try:
        check_there(args.config, args.checkpoint, args.results)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    require_packages(parser.prog)
    from cpm_plugin.apps.errors import one_line
    from cpm_plugin.apps.metafile import default_metafile, model_index
    from cpm_plugin.apps.publish import Publication, publish

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
    except (OSError, ValueError) as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 2
    metafile = args.metafile or default_metafile(args.config)
    if index := model_index(metafile):
        print(f'{index} lists {metafile}')
    print(path)
    return 0


if __name__ == '__main__':
    sys.exit(main())
