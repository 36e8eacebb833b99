"""See the poses of people in images and videos.

    python tools/demo.py IMAGE                        # one person, anywhere in the image
    python tools/demo.py FOLDER --boxes boxes.json      # {"a.jpg": [[x1, y1, x2, y2], ...], ...}
    python tools/demo.py IMAGE --boxes 40,30,180,420 210,35,340,415 --stages --json
    python tools/demo.py VIDEO --out-dir poses

Works offline with the trained model in the package. It is a top-down model: it wants to know
where the people are. --boxes says it, in pixels, of a detector or by hand. Without, it looks in
windows of several sizes for the one person whom it believes most in, and in a video follows him.
Written into --out-dir, under the names of the inputs: the image or video with skeletons; by
--stages the belief maps of each stage for each person of an image, NAME_stages.png; by --json
the positions, as MMPose's inferencer writes them. What was there under these names is replaced,
but never an input.

Other models: --model, one of cpm_plugin.list_models(pretrained=True), or --config and --weights.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

from cpm_plugin.apps import demo, media
from cpm_plugin.apps.zoo import pose2d, write_text
from cpm_plugin.core.models.registry import list_models

DEFAULT_MODEL = 'cpm_lite0_3s'


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('input', type=Path, help='an image, a video, or a folder of them')
    parser.add_argument(
        '--boxes',
        nargs='+',
        default=[],
        help="x1,y1,x2,y2 for each person, or a JSON file; with x1 below 0: ' -5,0,60,90'",
    )
    parser.add_argument('--out-dir', type=Path, default=Path('demo_output/poses'))
    parser.add_argument('--stages', action='store_true', help='draw the belief maps of each stage')
    parser.add_argument('--json', action='store_true', help='write the positions')
    parser.add_argument(
        '--threshold', type=float, default=0.2, help='draw joints of this belief or more (0.2)'
    )
    parser.add_argument(
        '--model', default=DEFAULT_MODEL, help=f'one of {", ".join(list_models(pretrained=True))}'
    )
    parser.add_argument('--config', type=Path, help='of another model, with --weights')
    parser.add_argument('--weights', type=Path)
    parser.add_argument('--device', default='cpu', help='cpu or cuda:0')
    args = parser.parse_args()
    if (args.config is None) != (args.weights is None):
        parser.error('--config and --weights go together')
    try:
        files = media.inputs_of(args.input)
        boxes = demo.parse_boxes(args.boxes)
        check_names(boxes, files)
        taken = [Path(given) for given in args.boxes]
        media.check_outputs(files, args.out_dir, taken, stages=args.stages)
        model = build(args)
        args.out_dir.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2

    failed = 0
    # one bar at a time: a video has its own
    several = not any(path.suffix.lower() in media.VIDEOS for path in files) and len(files) > 1
    for path in track(files, description='poses', disable=not several):
        people = boxes.get(path.name, boxes.get(''))
        try:
            if path.suffix.lower() in media.VIDEOS:
                show_video(model, path, people, args)
            else:
                show_image(model, path, people, args)
        except ValueError as error:
            print(f'error: {error}', file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def check_names(boxes: dict[str, np.ndarray], files: list[Path]) -> None:
    unknown = sorted(set(boxes) - {''} - {path.name for path in files})
    if unknown:
        raise ValueError(
            f'--boxes names {", ".join(unknown)}, which is not among the inputs: '
            f'{", ".join(path.name for path in files[:5])}{" ..." if len(files) > 5 else ""}'
        )


def build(args: argparse.Namespace) -> object:
    if args.config is None:
        found = pose2d(args.model)
        return demo.load_model(found['pose2d'], found['pose2d_weights'], args.device)
    for path in (args.config, args.weights):
        if not path.is_file():
            raise ValueError(f'{path}: no such file')
    return demo.load_model(args.config, args.weights, args.device)


def show_image(model, path: Path, boxes: np.ndarray | None, args: argparse.Namespace) -> None:
    image = media.read_image(path)
    if boxes is None:
        boxes, people = demo.find_people(model, image)
    elif len(boxes):
        people = demo.predict(model, image, boxes)
    else:
        raise ValueError(f'--boxes has no box for {path.name}')
    drawn = demo.draw_poses(image, people, model.dataset_meta, args.threshold)
    written = [args.out_dir / media.drawing_name(path)]
    media.write_image(written[0], drawn)
    if args.stages:
        for number, box in enumerate(boxes, start=1):
            written.append(args.out_dir / media.stages_name(path, number, len(boxes)))
            demo.stages_figure(model, image, box).savefig(written[-1], dpi=110)
    if args.json:
        written.append(args.out_dir / f'{path.stem}.json')
        write_text(written[-1], json.dumps(demo.as_json(people), indent=2) + '\n')
    print('\n'.join(map(str, written)))


def show_video(model, path: Path, boxes: np.ndarray | None, args: argparse.Namespace) -> None:
    if boxes is not None and not len(boxes):
        raise ValueError(f'--boxes has no box for {path.name}')
    video = media.Video(path)
    found = []

    def frames() -> Iterator[np.ndarray]:
        box = None
        for number, frame in enumerate(track(video, description=path.name, total=len(video))):
            if boxes is None:
                box, people = demo.find_people(model, frame, box)
            else:
                people = demo.predict(model, frame, boxes)
            found.append({'frame_id': number, 'instances': demo.as_json(people)})
            yield demo.draw_poses(frame, people, model.dataset_meta, args.threshold)

    out = args.out_dir / media.drawing_name(path)
    video.write(out, frames())
    print(out)
    if args.json:
        positions = args.out_dir / f'{path.stem}.json'
        write_text(positions, json.dumps(found, indent=2) + '\n')
        print(positions)
    if video.missing:
        raise ValueError(
            f'{path} is cut short: {video.missing} of {len(video)} frames could not be read; the '
            'others are in the output'
        )


if __name__ == '__main__':
    sys.exit(main())
