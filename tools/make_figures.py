"""Draw small images of articulated figures: a toy dataset that needs a CPM.

    python tools/make_figures.py data/figures
    python tools/make_figures.py data/figures --train 2000 --val 200 --size 128

Every image shows one whole figure, seen from the front, in widely varying poses. Clutter lies
around it and occluders over it. The annotations are exact and have the format of COCO keypoints.
The joints are the 14 of Leeds Sports Pose.

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

It writes into FOLDER: train/000001.jpg ..., val/000001.jpg ..., and annotations/train.json and
annotations/val.json. A folder that was made with the same arguments is kept as it is.

Exit codes: 0 when done, or if nothing is to do; 1 if it cannot be written to the end; 2 for wrong
arguments; 130 for Ctrl-C. Nothing is left unless it is 0.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from rich.progress import track

from cpm_plugin.apps.figures import draw
from cpm_plugin.apps.outputs import check_folder
from cpm_plugin.core.maps.joints import LSP

OPTIONS = (  # name, default, smallest, help
    ('train', 2000, 1, 'number of images for training'),
    ('val', 200, 1, 'number of images for validation'),
    ('size', 128, 48, 'side of an image in pixels; a figure fills most of it'),
    ('seed', 0, 0, 'seed; the same arguments give the same images'),
)
SPLITS = ('train', 'val')
JPEG_QUALITY = 95
VERSION = 1  # of the images; a change that makes other images for the same arguments raises it


def write_image(number: int, *, folder: Path, seed: tuple[int, int], size: int) -> dict:
    """Draw and write image ``number``; return its annotation."""
    image, annotation = draw((*seed, number), size)
    path = folder / f'{number:06d}.jpg'
    _, content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(content.tobytes())  # unlike imwrite, this says why it fails
    return {'id': number, 'image_id': number, **annotation}


def quiet_worker() -> None:
    """Leave Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def write_split(root: Path, name: str, info: dict) -> None:
    """Write the images of a split and its annotations."""
    arguments, numbers = info['arguments'], range(1, info['arguments'][name] + 1)
    size, seed = arguments['size'], (arguments['seed'], SPLITS.index(name))
    (root / name).mkdir()
    one = partial(write_image, folder=root / name, seed=seed, size=size)
    # An image is too small to share among threads. Set before the workers are forked: in them
    # OpenCV would wait for ever for threads that are the parent's.
    cv2.setNumThreads(1)
    with ProcessPoolExecutor(initializer=quiet_worker) as pool:
        try:
            made = pool.map(one, numbers, chunksize=20)
            annotations = list(track(made, f'{name:5}', total=len(numbers)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    images = [
        {'id': i, 'file_name': f'{i:06d}.jpg', 'width': size, 'height': size} for i in numbers
    ]
    person = {'id': 1, 'name': 'person', 'keypoints': list(LSP.names)}
    person['skeleton'] = [[LSP.index(a) + 1, LSP.index(b) + 1] for a, b in LSP.links]
    coco = {'info': info, 'images': images, 'annotations': annotations, 'categories': [person]}
    (root / 'annotations' / f'{name}.json').write_text(json.dumps(coco))


def is_made(out: Path, info: dict) -> bool:
    """Return whether ``out`` is a dataset that was made with the same arguments."""
    try:
        files = [out / 'annotations' / f'{name}.json' for name in SPLITS]
        return all(json.loads(file.read_text())['info'] == info for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make(out: Path, info: dict) -> None:
    """Write the whole dataset into ``out``, or nothing."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as temporary:
        root = Path(temporary) / out.name
        (root / 'annotations').mkdir(parents=True)
        for name in SPLITS:
            write_split(root, name, info)
        root.rename(out)


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', metavar='FOLDER', type=Path, help='folder to create')
    for name, default, smallest, text in OPTIONS:
        text += f'; at least {smallest} (default: %(default)s)'
        parser.add_argument(f'--{name}', type=int, default=default, help=text)
    arguments = vars(parser.parse_args(argv))
    for name, _, smallest, _ in OPTIONS:
        if arguments[name] < smallest:
            parser.error(f'--{name} {arguments[name]}: must be at least {smallest}')
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
