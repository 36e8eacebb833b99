"""Count the people that the demo's ways to find people find, on annotated images.

    python tools/dev/people_found.py --lspet data/lspet --images 50
    python tools/dev/people_found.py --coco person_keypoints_val2017.json val2017
    python tools/dev/people_found.py --pictures FOLDER --bottom-up NAME --bottom-up-weights FILE

The ways are a network for several people alone, and with the look of the model for one person at
each box that it proposes. An annotated
person is found if the box of a pose overlaps the box of the annotated joints by half or more.
People with fewer than 3 of COCO's joints from shoulder to ankle, or with a smaller box than
--least-side, are not counted.

It prints a table: people found and annotated, poses, PCK@0.2 of those found and of all, where
joints of people who are not found are wrong, COCO's AP over these joints of all people, and the
seconds for an image. For --pictures, which
are not annotated, it prints the number of poses and of joints with a belief of 0.2 or more, as the
demo draws them.

Exit codes: 0 when done; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from cpm_plugin.apps import demo, media
from cpm_plugin.apps.people_ap import average_precision
from cpm_plugin.apps.people_found import Find, Picture, count_people, read_coco, read_lspet
from cpm_plugin.apps.tables import table_row
from cpm_plugin.apps.zoo import pose2d
from cpm_plugin.core import propose_people
from cpm_plugin.core.prediction import read_image

HEADER = ('images', 'way', 'found', 'poses', 'PCK of found', 'PCK of all', 'AP', 's per image')


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--coco', nargs=2, type=Path, metavar=('FILE', 'FOLDER'), action='append', default=[]
    )
    parser.add_argument('--lspet', type=Path, metavar='FOLDER', help='folder of LSP Extended')
    parser.add_argument('--first', type=int, default=8001, help='of its images (%(default)s)')
    parser.add_argument('--images', type=int, default=50, help='number of these (%(default)s)')
    parser.add_argument('--pictures', type=Path, metavar='FOLDER', help='not annotated')
    parser.add_argument('--least-side', type=float, default=96.0, help='pixels (%(default)s)')
    parser.add_argument('--model', default='cpm_movenet_3s', help='for one person (%(default)s)')
    parser.add_argument('--config', type=Path, help='of another model, with --checkpoint')
    parser.add_argument('--checkpoint', type=Path, help='of it')
    parser.add_argument(
        '--bottom-up', metavar='NAME', default='paf_movenet_3s', help='several (%(default)s)'
    )
    parser.add_argument('--bottom-up-weights', type=Path, metavar='FILE', help='(the package)')
    parser.add_argument('--size', type=int, help='longer side of images in it, in pixels')
    args = parser.parse_args(argv)
    try:
        sets: dict[str, list[Picture]] = {}
        coco = {
            '/'.join(folder.absolute().parts[-2:]): (file, folder) for file, folder in args.coco
        }
        for label, (file, folder) in coco.items():
            sets[label] = read_coco(file, folder, args.least_side)
        if args.lspet is not None:
            sets['lspet'] = read_lspet(args.lspet, args.first, args.images, args.least_side)
        pictures = media.inputs_of(args.pictures) if args.pictures is not None else []
        if not pictures and not any(sets.values()):
            raise ValueError('no images with people that count; give --coco, --lspet or --pictures')
        ways = ways_of(args)
        rows = [
            [name, way, *row_of(find, images, f'{name}, {way}', coco.get(name))]
            for name, images in sets.items()
            for way, find in ways.items()
        ]
        rows += [
            ['pictures', way, *drawn_of(find, pictures)] for way, find in ways.items() if pictures
        ]
    except ValueError as error:
        parser.error(str(error))
    for row in (HEADER, ['---'] * len(HEADER), *rows):
        print(table_row(row))
    return 0


def ways_of(args: argparse.Namespace) -> dict[str, Find]:
    """Return the ways to find people; raise ValueError if a model cannot be had."""
    if args.config is None:
        found = pose2d(args.model)
        model = demo.load_model(found['pose2d'], found['pose2d_weights'])
    else:
        model = demo.load_model(args.config, args.checkpoint)
    network = demo.load_network(args.bottom_up, args.bottom_up_weights, 'cpu')
    return {
        'bottom-up': lambda image: propose_people(image, network, size=args.size, **demo.SCALED),
        'both': lambda image: demo.find_everybody(model, image, network, size=args.size),
    }


def row_of(
    find: Find, images: list[Picture], label: str, coco: tuple[Path, Path] | None
) -> list[str]:
    """Count the people of annotated images; return the cells of a row."""
    count = count_people(find, with_progress(images, label))
    ap = ''
    if coco is not None:
        shown = partial(with_progress, label=f'{label}, AP')
        ap = f'{average_precision(find, *coco, shown):.1f}'
    return [
        f'{count.found} of {count.people}',
        str(count.poses),
        f'{count.pck_found:.1f}',
        f'{count.pck_all:.1f}',
        ap,
        f'{count.seconds:.2f}',
    ]


def drawn_of(find: Find, files: list[Path]) -> list[str]:
    """Count poses and drawn joints of images without annotations; return the cells of a row."""
    poses, joints, times = 0, 0, []
    for file in with_progress(files, 'pictures'):
        image = read_image(file)
        start = time.perf_counter()
        found = find(image)
        times.append(time.perf_counter() - start)
        poses, joints = poses + len(found), joints + int(found.drawn().sum())
    return [f'{joints} joints', str(poses), '', '', '', f'{np.mean(times):.2f}']


def with_progress(items: Iterable[Any], label: str) -> Iterable[Any]:
    """Pass the items on, with a progress bar on the error stream."""
    return track(list(items), description=label, console=Console(stderr=True))


if __name__ == '__main__':
    sys.exit(main())
