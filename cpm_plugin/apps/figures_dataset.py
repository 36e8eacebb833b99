"""The dataset of generated figures, for ``tools/make_figures.py``."""

from __future__ import annotations

import json
import re
import signal
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from rich.progress import track

from ..core.maps.joint_sets import LSP
from ..core.maps.joints import JointSet
from .figure_crowds import MAX_PEOPLE, draw_people
from .figures import draw

SPLITS = ('train', 'val')
JPEG_QUALITY = 95
# Of each joint the next one toward the head: joints that are left out are bridged along it.
_PARENTS = {
    'neck': 'head_top', 'shoulder': 'neck', 'elbow': 'shoulder', 'wrist': 'elbow',
    'hip': 'neck', 'knee': 'hip', 'ankle': 'knee',
}  # fmt: skip
VERSION = 1  # of the images; a change that makes other images for the same arguments raises it


def joints_of(names: Sequence[str] | None) -> JointSet:
    """Return the joints of the annotations.

    Args:
        names: Some of LSP's joints, in the order of the annotations. None: all.

    Returns:
        The joints. Each of some is linked to the next one of them toward the head.

    Raises:
        ValueError: If a name is unknown or given twice, or there are none.

    Examples:
        >>> joints_of(['head_top', 'left_wrist']).links
        (('head_top', 'left_wrist'),)
    """
    if names is None:
        return LSP
    if not names:
        raise ValueError(f'no joints; there are: {", ".join(LSP.names)}')
    for name in names:
        LSP.index(name)
    found = ((_next_of(name, names), name) for name in names)
    return JointSet(tuple(names), tuple(link for link in found if link[0]))


def _next_of(name: str, names: Sequence[str]) -> str:
    """Return the next joint toward the head that is among the names, or ``''``."""
    while name != 'head_top':
        side, _, part = name.rpartition('_')
        parent = _PARENTS[part]
        name = parent if parent in ('neck', 'head_top') else f'{side}_{parent}'
        if name in names:
            return name
    return ''


def people_of(text: str) -> list[int]:
    """Read how many people an image shows.

    Args:
        text: A number, or the smallest and the largest one with ``-`` between them.

    Returns:
        The smallest and the largest number.

    Raises:
        ValueError: If it is neither, or they are not from 1 to ``MAX_PEOPLE`` in this order.

    Examples:
        >>> people_of('3'), people_of('1-4')
        ([3, 3], [1, 4])
    """
    found = re.fullmatch(r'([0-9]{1,9})(?:-([0-9]{1,9}))?', text.strip())
    low, high = (int(number) for number in (found[1], found[2] or found[1])) if found else (0, 0)
    if not 1 <= low <= high <= MAX_PEOPLE:
        raise ValueError(f'must be a number from 1 to {MAX_PEOPLE}, or two of them such as 1-4')
    return [low, high]


def _write_image(
    number: int, *, folder: Path, seed: tuple[int, int], size: int, people: Sequence[int] | None
) -> list[dict]:
    """Draw and write image ``number``; return its annotations, without their own ids."""
    if people is None:
        image, annotation = draw((*seed, number), size)
        annotations = [annotation]
    else:
        image, annotations = draw_people((*seed, number), size, (people[0], people[1]))
    path = folder / f'{number:06d}.jpg'
    _, content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(content.tobytes())  # unlike imwrite, this says why it fails
    return [{'image_id': number, **annotation} for annotation in annotations]


def _quiet_worker() -> None:
    """Leave Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_split(root: Path, name: str, info: dict) -> None:
    """Write the images of a split and its annotations."""
    arguments, numbers = info['arguments'], range(1, info['arguments'][name] + 1)
    size, seed = arguments['size'], (arguments['seed'], SPLITS.index(name))
    (root / name).mkdir()
    one = partial(
        _write_image, folder=root / name, seed=seed, size=size, people=arguments.get('people')
    )
    # An image is too small to share among threads. Set before the workers are forked: in them
    # OpenCV would wait for ever for threads that are the parent's.
    cv2.setNumThreads(1)
    with ProcessPoolExecutor(initializer=_quiet_worker) as pool:
        try:
            made = pool.map(one, numbers, chunksize=20)
            drawn = [a for image in track(made, f'{name:5}', total=len(numbers)) for a in image]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    joints = joints_of(arguments.get('joints'))
    channels = [LSP.index(name) for name in joints.names]
    annotations = [{'id': number, **annotation} for number, annotation in enumerate(drawn, 1)]
    for annotation in annotations:
        values = annotation['keypoints']  # x, y, v of each joint
        annotation['keypoints'] = [v for c in channels for v in values[3 * c : 3 * c + 3]]
        annotation['num_keypoints'] = sum(values[3 * c + 2] > 0 for c in channels)
    images = [
        {'id': i, 'file_name': f'{i:06d}.jpg', 'width': size, 'height': size} for i in numbers
    ]
    person = {'id': 1, 'name': 'person', 'keypoints': list(joints.names)}
    person['skeleton'] = [[joints.index(a) + 1, joints.index(b) + 1] for a, b in joints.links]
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
            (``train`` and ``val``), their ``size`` in pixels, and the ``seed``. If it has
            ``joints``, only those are annotated. If it has ``people``, the smallest and largest
            number, the images are those of ``draw_people``.

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
