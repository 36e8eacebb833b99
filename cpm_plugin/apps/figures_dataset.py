"""The dataset of generated figures, for ``tools/make_figures.py``."""

from __future__ import annotations

import json
import signal
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from rich.progress import track

from ..core.maps.joint_sets import LSP
from .figures import draw

SPLITS = ('train', 'val')
JPEG_QUALITY = 95
VERSION = 1  # of the images; a change that makes other images for the same arguments raises it


def _write_image(number: int, *, folder: Path, seed: tuple[int, int], size: int) -> dict:
    """Draw and write image ``number``; return its annotation."""
    image, annotation = draw((*seed, number), size)
    path = folder / f'{number:06d}.jpg'
    _, content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(content.tobytes())  # unlike imwrite, this says why it fails
    return {'id': number, 'image_id': number, **annotation}


def _quiet_worker() -> None:
    """Leave Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_split(root: Path, name: str, info: dict) -> None:
    """Write the images of a split and its annotations."""
    arguments, numbers = info['arguments'], range(1, info['arguments'][name] + 1)
    size, seed = arguments['size'], (arguments['seed'], SPLITS.index(name))
    (root / name).mkdir()
    one = partial(_write_image, folder=root / name, seed=seed, size=size)
    # An image is too small to share among threads. Set before the workers are forked: in them
    # OpenCV would wait for ever for threads that are the parent's.
    cv2.setNumThreads(1)
    with ProcessPoolExecutor(initializer=_quiet_worker) as pool:
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
    """Tell whether a folder is a dataset that was made with the same arguments.

    Args:
        out: Folder.
        info: See ``make``.

    Returns:
        Whether both files of annotations are there with this ``info``.
    """
    try:
        files = [out / 'annotations' / f'{name}.json' for name in SPLITS]
        return all(json.loads(file.read_text())['info'] == info for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make(out: Path, info: dict) -> None:
    """Write the whole dataset, or nothing.

    Args:
        out: Folder to make; it must not exist.
        info: Written into the annotations. ``info['arguments']`` has the numbers of images
            (``train`` and ``val``), their ``size`` in pixels, and the ``seed``.

    Raises:
        OSError: If it cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as temporary:
        root = Path(temporary) / out.name
        (root / 'annotations').mkdir(parents=True)
        for name in SPLITS:
            _write_split(root, name, info)
        root.rename(out)
