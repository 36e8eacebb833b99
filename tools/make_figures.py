"""Draw small images of articulated figures: a toy dataset that needs a CPM.

    python tools/make_figures.py data/figures
    python tools/make_figures.py data/figures --train 2000 --val 200 --size 128
    python tools/make_figures.py data/own --train 30 --joints head_top,left_wrist,right_wrist
    python tools/make_figures.py data/crowds --people 1-4 --size 256

Every image shows one whole figure, seen from the front, in widely varying poses. Clutter lies
around it and occluders over it. The annotations are exact and have the format of COCO keypoints.
The joints are the 14 of Leeds Sports Pose, or those of --joints.

A look at the neighborhood of each point is not enough here, and a CPM is needed:

- A left and a right limb look the same: same cloth, width and shading. Which is which follows
  from the head and the trunk, which are far away from an ankle. Figures are turned in the image
  plane, so "on the left in the image" does not help.
- Loose limbs lie around, in the clothes of the figure. A loose knee looks like any knee. Only the
  rest of the body shows that it belongs to nobody. Some images show half of a second figure.
- Occluders hide joints, which are labeled all the same (v = 1). The position of a hidden knee
  follows from the thigh and the shin.

Stage 1, which sees a small neighborhood, can only say "one of these two". Later stages see those
beliefs over the whole image, and decide.

With --people, an image shows several figures, all of them annotated, for methods that find
everybody. They have different sizes, overlap a little, and some are cut by the border. Joints
outside the image have v = 0, those that anything hides v = 1.

It writes into FOLDER: train/000001.jpg ..., val/000001.jpg ..., and annotations/train.json and
annotations/val.json. A folder that was made with the same arguments is kept as it is.

Exit codes: 0 when done, or if nothing is to do; 1 if it cannot be written to the end; 2 for wrong
arguments; 130 for Ctrl-C. Nothing is left unless it is 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import require_packages

OPTIONS = (  # name, default, smallest, help
    ('train', 2000, 1, 'number of images for training'),
    ('val', 200, 1, 'number of images for validation'),
    ('size', 128, 48, 'side of an image in pixels; a figure fills most of it'),
    ('seed', 0, 0, 'seed; the same arguments give the same images'),
)


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', metavar='FOLDER', type=Path, help='folder to create')
    for name, default, smallest, text in OPTIONS:
        text += f'; at least {smallest} (default: %(default)s)'
        parser.add_argument(f'--{name}', type=int, default=default, help=text)
    parser.add_argument(
        '--joints', metavar='NAME,NAME,...', help='annotate these joints only (default: all 14)'
    )
    parser.add_argument(
        '--people',
        metavar='N',
        help='number of people in an image, or MIN-MAX; each is annotated (default: one is)',
    )
    arguments = vars(parser.parse_args(argv))
    for name, _, smallest, _ in OPTIONS:
        if arguments[name] < smallest:
            parser.error(f'--{name} {arguments[name]}: must be at least {smallest}')
    require_packages(parser.prog, ['cv2', 'rich'])
    from cpm_plugin.apps.figures_dataset import VERSION, is_made, joints_of, make, people_of
    from cpm_plugin.apps.outputs import check_folder

    joints = arguments.pop('joints')
    if joints is not None:  # else there is none: folders made before there was the option stay
        arguments['joints'] = [name.strip() for name in joints.split(',')]
        try:
            joints_of(arguments['joints'])
        except ValueError as error:
            parser.error(f'--joints {joints}: {error}')
    people = arguments.pop('people')
    if people is not None:
        try:
            arguments['people'] = people_of(people)
        except ValueError as error:
            parser.error(f'--people {people}: {error}')
    out: Path = arguments.pop('out').absolute()
    info = {'description': Path(__file__).name, 'version': VERSION, 'arguments': arguments}
    if is_made(out, info):
        print(f'{out}: already made with these arguments, nothing to do')
        return 0
    if out.exists():
        parser.error(f'{out} exists and is not this dataset: remove it or choose another folder')
    try:
        check_folder(out.parent)
    except ValueError as error:
        parser.error(str(error))
    try:
        make(out, info)
    except OSError as error:
        print(f'error: {out} cannot be written: {error.strerror or error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('stopped: nothing was written', file=sys.stderr)
        return 130
    print(f'{out}: {arguments["train"]} images to train on, {arguments["val"]} held out')
    return 0


if __name__ == '__main__':
    sys.exit(main())
