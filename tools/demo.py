"""Predict the poses of people in images and videos, and draw them.

    python tools/demo.py IMAGE                          # everybody in the image
    python tools/demo.py a.jpg b.jpg FOLDER             # the same
    python tools/demo.py FOLDER --boxes boxes.json      # {"a.jpg": [[x1, y1, x2, y2], ...], ...}
    python tools/demo.py IMAGE --boxes 40,30,180,420 210,35,340,415 --stages --json
    python tools/demo.py IMAGE --det rtmdet-m           # people found by MMPose's detector
    python tools/demo.py VIDEO --out-dir poses
    python tools/demo.py webcam                         # a camera, until Ctrl-C; or webcam:1
    python tools/demo.py IMAGE --config CONFIG --checkpoint CHECKPOINT

It works offline with the trained models in the package. Other models: --model, one of
cpm_plugin.list_models(pretrained=True), or --config and --checkpoint.

The models are top-down, so they need to know where the people are. A network with part affinity
fields, --bottom-up-model, proposes them, and the model looks at the box of each; --bottom-up shows
the proposals alone. --boxes gives bounding boxes in pixels instead, also of what is no person, for
a model of other things. --det finds people by a detector of MMDetection: rtmdet-m is the one of
MMPose's inferencer, whose weights are downloaded once. For others give a config and --det-weights.

It writes into --out-dir, under the names of the inputs:

    NAME.jpg, NAME.mp4    the image or video with the skeletons, boxes and mean scores. Doubtful
                          limbs, with a belief below 0.6, are pale
    NAME_stages.png       with --stages: the belief maps of each stage, for each person of an image
    NAME_fields.png       with --stages, without boxes and detector: beliefs and fields of everybody
    NAME.json             with --json: names of the joints, the skeleton, and the positions of
                          people, as cpm predict writes them; of a video for each frame

Files of these names are replaced, but never an input. The program prints them, with the number of
joints drawn, and warns if there is none.

Exit codes: 0 when done; 1 if an input could not be read, has no box or one outside of it, or an
output could not be written, while the others are done; 2 for wrong arguments, before anything is
written.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cpm_plugin.apps.arguments import (
    check_packaged,
    check_there,
    expand,
    packaged_models,
    require_packages,
)

if TYPE_CHECKING:
    from cpm_plugin.apps.demo_outputs import Finder

DEFAULT_MODEL = 'cpm_movenet_3s'
BOTTOM_UP_MODEL = 'paf_movenet_3s'
BOTTOM_UP = ('bottom_up', 'bottom_up_model', 'bottom_up_weights')


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        type=Path,
        metavar='IMAGE',
        help="images, videos, folders of these, patterns such as 'a*.jpg', or webcam",
    )
    parser.add_argument(
        '--boxes',
        nargs='+',
        default=[],
        metavar='BOX',
        help='bounding box x1,y1,x2,y2 of each person in pixels, or one JSON file; if x1 is below '
        "0, begin with a space: ' -5,0,60,90'",
    )
    parser.add_argument(
        '--det', metavar='DETECTOR', help='rtmdet-m, or a config of MMDetection: find the people'
    )
    parser.add_argument(
        '--det-weights', metavar='FILE', help='weights of --det (default for rtmdet-m: download)'
    )
    parser.add_argument(
        '--bottom-up', action='store_true', help='show what --bottom-up-model proposes, alone'
    )
    parser.add_argument(
        '--bottom-up-model',
        metavar='NAME',
        default=BOTTOM_UP_MODEL,
        help='find everybody by this network for several people (default: %(default)s)',
    )
    parser.add_argument(
        '--bottom-up-weights', metavar='FILE', type=Path, help='its weights (default: packaged)'
    )
    parser.add_argument(
        '--out-dir',
        type=Path,
        default=Path('demo_output/poses'),
        metavar='FOLDER',
        help='folder to write into (default: %(default)s)',
    )
    parser.add_argument(
        '--stages', action='store_true', help='also draw the belief maps of each stage'
    )
    parser.add_argument('--json', action='store_true', help='also write the positions')
    parser.add_argument(
        '--threshold',
        type=float,
        default=0.2,
        help='smallest belief of a joint that is drawn, from 0 to 1 (default: %(default)s)',
    )
    parser.add_argument(
        '--model',
        default=DEFAULT_MODEL,
        help=f'one of {", ".join(packaged_models())} (default: %(default)s)',
    )
    parser.add_argument(
        '--config', type=Path, metavar='CONFIG', help='config of another model, with --checkpoint'
    )
    parser.add_argument(
        '--checkpoint', type=Path, metavar='CHECKPOINT', help='checkpoint of it, with --config'
    )
    parser.add_argument(
        '--device', default='cpu', help='device: cpu or cuda:0 (default: %(default)s)'
    )
    args = parser.parse_args(argv)
    if (args.config is None) != (args.checkpoint is None):
        parser.error('--config and --checkpoint go together; give both or none')
    if args.det and args.boxes:
        parser.error('--det finds the boxes, and --boxes gives them; leave one of them out')
    if args.det_weights and not args.det:
        parser.error('--det-weights is for --det, and none is given')
    given = [name for name in BOTTOM_UP if getattr(args, name) != parser.get_default(name)]
    if given and (args.det or args.boxes):
        option = '--' + given[0].replace('_', '-')
        parser.error(f'{option} finds the people, as --det and --boxes do; give one of them')
    if not 0 <= args.threshold <= 1:  # NaN neither
        parser.error(f'--threshold {args.threshold}: must be from 0 to 1')
    try:
        args.inputs = expand(args.inputs)
        if args.config is None:
            check_packaged(args.model)
        else:
            check_there(args.config, args.checkpoint)
        check_there(*filter(None, [args.bottom_up_weights]))
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    require_packages(parser.prog)
    from rich.progress import track

    from cpm_plugin.apps import media
    from cpm_plugin.apps.boxes import check_names, parse_boxes
    from cpm_plugin.apps.demo_outputs import Outputs, show_image, show_video
    from cpm_plugin.apps.devices import check_device
    from cpm_plugin.apps.errors import FAILURES, one_line
    from cpm_plugin.apps.outputs import check_folder

    try:
        check_device(args.device)
        files = list(dict.fromkeys(file for path in args.inputs for file in media.inputs_of(path)))
        boxes = parse_boxes(args.boxes)
        check_names(boxes, files)
        taken = [Path(given) for given in args.boxes]
        media.check_outputs(files, args.out_dir, taken, stages=args.stages)
        check_folder(args.out_dir)
        model = build(args)
        finder = None if args.boxes else finder_of(args)
        args.out_dir.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        print(f'error: {one_line(error)}', file=sys.stderr)
        return 2

    outputs = Outputs(args.out_dir, args.threshold, stages=args.stages, json=args.json)
    failed = 0
    # A video has a progress bar of its own, and there can be only one at a time.
    several = not any(map(media.is_video, files)) and len(files) > 1
    for path in track(files, description='poses', disable=not several):
        people = boxes.get(path.name, boxes.get('', [] if boxes else None))
        try:
            show = show_video if media.is_video(path) else show_image
            show(model, path, people, outputs, finder)
        except FAILURES as error:
            named = '' if isinstance(error, ValueError) else f'{path}: '
            print(f'error: {named}{one_line(error)}', file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def finder_of(args: argparse.Namespace) -> Finder:
    """Load what finds people; raise ValueError if that fails."""
    from cpm_plugin.apps import demo
    from cpm_plugin.apps.detector import load_detector

    if args.det:
        return demo.DetectedPeople(load_detector(args.det, args.det_weights, args.device))
    network = demo.load_network(args.bottom_up_model, args.bottom_up_weights, args.device)
    return demo.SeveralPeople(network, args.bottom_up)


def build(args: argparse.Namespace) -> object:
    """Load the model that the arguments name; raise ValueError if that fails."""
    from cpm_plugin.apps import demo
    from cpm_plugin.apps.zoo import pose2d

    if args.config is None:
        found = pose2d(args.model)
        return demo.load_model(found['pose2d'], found['pose2d_weights'], args.device)
    return demo.load_model(args.config, args.checkpoint, args.device)


if __name__ == '__main__':
    sys.exit(main())
