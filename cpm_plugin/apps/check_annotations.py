"""Annotated people of a dataset: coordinates, boxes and ids that cannot be right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .check_report import Finding
from .check_units import check_box, check_corners, check_units

# Left and right are suspected to be swapped where shoulders and hips, across the torso, are both
# further apart than this part of the torso's length, in opposite orders.
SWAPPED_SHARE = 0.25
_TORSO = ('right_shoulder', 'left_shoulder', 'right_hip', 'left_hip')


@dataclass(frozen=True)
class Person:
    """An annotation.

    Attributes:
        id: Id of the annotation.
        image_id: Id of its image.
        keypoints: (K, 3): x, y in image pixels, and visibility, above 0 for a labeled keypoint.
            None: there are none.
        box: (4,): x, y, width, height in image pixels. None: there is none.
        num_keypoints: Number of labeled keypoints as it is annotated. None: it is not.
        crowd: Whether it is a crowd.
        raw: Whether it is an entry of a COCO file, which MMPose still changes: it clips the box.
    """

    id: Any
    image_id: Any
    keypoints: np.ndarray | None
    box: np.ndarray | None
    num_keypoints: int | None = None
    crowd: bool = False
    raw: bool = True


@dataclass(frozen=True)
class AnnotatedImage:
    """An image as the annotations list it.

    Attributes:
        id: Id of the image.
        path: Path of the file.
        size: Annotated width and height in pixels. None: not annotated.
    """

    id: Any
    path: str
    size: tuple[float, float] | None = None


def person_of_coco(entry: Mapping[str, Any]) -> Person:
    """Read an entry of ``annotations`` in a COCO file.

    Args:
        entry: Entry of the file.

    Returns:
        The person.

    Raises:
        ValueError: If MMPose could not read the entry. The message says what is wrong.
    """
    if not isinstance(entry, Mapping):
        raise ValueError(f'{_short(entry)} is not an object')
    for key in ('id', 'image_id', 'category_id'):
        if not isinstance(entry.get(key), (int, str)):
            raise ValueError(f'{key} is {_short(entry.get(key))}')
    keypoints, box = entry.get('keypoints'), entry.get('bbox')
    values = None if keypoints is None else _numbers('keypoints', keypoints)
    if values is not None and len(values) % 3:
        raise ValueError(f'keypoints has {len(values)} numbers, which is not 3 for each keypoint')
    box = None if box is None else _numbers('bbox', box)
    if box is not None and len(box) != 4:
        raise ValueError(f'bbox is {_short(entry["bbox"])}, not x, y, width, height')
    number = entry.get('num_keypoints')
    if number is not None and not isinstance(number, int):
        raise ValueError(f'num_keypoints is {_short(number)}')
    return Person(
        entry['id'],
        entry['image_id'],
        None if values is None else values.reshape(-1, 3),
        box,
        number,
        bool(entry.get('iscrowd', 0)),
    )


def _numbers(key: str, values: Any) -> np.ndarray:
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.zeros((0, 0))
    if numbers.ndim != 1:
        raise ValueError(f'{key} is {_short(values)}, not a list of numbers')
    return numbers


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def check_people(
    people: Sequence[Person],
    images: Sequence[AnnotatedImage],
    sizes: Mapping[str, tuple[int, int] | None],
    names: Sequence[str],
) -> Iterator[Finding]:
    """Check all people of a dataset.

    Args:
        people: The annotations.
        images: The images that the annotations list.
        sizes: Width and height of image files, by path, for images without annotated size. None:
            unknown.
        names: Names of the K keypoints of the dataset.

    Yields:
        What was found.
    """
    by_id = {image.id: image for image in images}
    for one, count in Counter(image.id for image in images).items():
        if count > 1:
            yield Finding('duplicate_image_id', by_id[one].path, None, f'id {one!r}: {count} times')
    for one, count in Counter(person.id for person in people).items():
        if count > 1:
            yield Finding('duplicate_annotation_id', '', one, f'{count} times')
    seen: dict[tuple, Any] = {}
    boxes = []
    for person in people:
        image = by_id.get(person.image_id)
        if image is None:
            yield Finding('dangling', '', person.id, f'image_id {person.image_id}')
        path = '' if image is None else image.path
        size = None if image is None else image.size or sizes.get(image.path)
        for kind, value in check_person(person, size, names):
            yield Finding(kind, path, person.id, value)
        if person.raw and person.box is not None and size is not None:
            boxes.append((person.box, size))
        if person.box is not None and person.keypoints is not None:
            what = (person.image_id, person.box.tobytes(), person.keypoints.tobytes())
            if what in seen:
                yield Finding('duplicate_person', path, person.id, f'as {seen[what]}')
            seen.setdefault(what, person.id)
    if value := check_corners(boxes):
        yield Finding('box_corners', '', None, value)


def check_person(
    person: Person, size: tuple[float, float] | None, names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Check one person.

    Positions from -0.5 to the width (height) are inside, whether they count from the centers of
    pixels or from their corners.

    Args:
        person: The annotation.
        size: Width and height of the image in pixels. None: unknown, and positions are not
            compared with it.
        names: Names of the K keypoints of the dataset.

    Yields:
        Kinds of ``check_report.KINDS``, each with its value.
    """
    if person.crowd:
        yield 'crowd', ''
    box_faults: list[tuple[str, str]] = []
    if person.box is not None:
        box_faults += check_box(person.box, size, clipped=person.raw)
        yield from box_faults
    if person.keypoints is None:
        return
    if len(person.keypoints) != len(names):
        yield 'keypoint_count', f'{len(person.keypoints)}, not {len(names)}'
        return
    x, y, visibility = person.keypoints.T
    labeled = visibility > 0
    if person.num_keypoints is not None and person.num_keypoints != labeled.sum():
        yield 'num_keypoints', f'{person.num_keypoints}, but {labeled.sum()} labeled'
    if not labeled.any() and not person.crowd:
        yield 'no_keypoints', ''

    def first(wrong: np.ndarray, what: str = '') -> str:
        k = int(wrong.argmax())
        others = f'; {wrong.sum()} keypoints' if wrong.sum() > 1 else ''
        return ' '.join([names[k], what.format(x=x[k], y=y[k], v=visibility[k])]).strip() + others

    wrong = ~np.isin(visibility, (0, 1, 2))
    if wrong.any():
        yield 'visibility', first(wrong, '{v:g}')
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.all():
        yield 'not_finite', first(~finite, '({x:g}, {y:g})')
    at_origin = labeled & (x == 0) & (y == 0)
    if at_origin.any():
        yield 'at_origin', first(at_origin)
    if size is not None:
        outside = labeled & finite & ((x < -0.5) | (y < -0.5) | (x > size[0]) | (y > size[1]))
        if outside.any():
            yield 'outside', first(outside, f'({{x:g}}, {{y:g}}) in {size[0]:g}x{size[1]:g}')
    wrong_box = any(kind != 'box_over_edge' for kind, _ in box_faults)
    if not person.crowd:
        yield from check_units(person.keypoints, None if wrong_box else person.box)
    share = swapped_share(person.keypoints, names)
    if share > SWAPPED_SHARE:
        yield 'swapped', f'by {share:.2f} of the torso'


def swapped_share(keypoints: np.ndarray, names: Sequence[str]) -> float:
    """Measure how clearly shoulders and hips disagree about which side is left.

    Across the torso, that is at right angles to the line from the middle of the shoulders to the
    middle of the hips, the shoulders are some way apart, and so are the hips. A person seen from
    the front has both right ones on one side; a person seen from behind has them on the other. If
    the right shoulder is on one side and the right hip on the other, either the person is twisted,
    or left and right are swapped for one of the two.

    Args:
        keypoints: (K, 3): x, y and visibility.
        names: Names of the K keypoints.

    Returns:
        The smaller of the two distances, divided by the length of the torso. 0 if the orders
            agree, or shoulders and hips are not all labeled.

    Examples:
        >>> import numpy as np
        >>> names = ['right_shoulder', 'left_shoulder', 'right_hip', 'left_hip']
        >>> torso = np.array([[10, 0, 2], [50, 0, 2], [40, 80, 2], [20, 80, 2]])
        >>> swapped_share(torso, names)
        0.25
        >>> swapped_share(torso[[0, 1, 3, 2]], names)
        0.0
    """
    if not set(_TORSO) <= set(names):
        return 0.0
    torso = keypoints[[list(names).index(name) for name in _TORSO]]
    points = torso[:, :2]
    if not (torso[:, 2] > 0).all() or not np.isfinite(points).all():
        return 0.0
    down = (points[2] + points[3] - points[0] - points[1]) / 2
    length = math.hypot(*down)
    if length == 0:
        return 0.0
    across = np.array([down[1], -down[0]]) / length
    shoulders = (points[1] - points[0]) @ across
    hips = (points[3] - points[2]) @ across
    return float(min(abs(shoulders), abs(hips)) / length) if shoulders * hips < 0 else 0.0


def left_out_reason(person: Person, size: tuple[float, float] | None) -> str:
    """Say why MMPose's COCO datasets leave a person out, in the order of their checks.

    Args:
        person: The annotation.
        size: Annotated width and height of the image. None: the box is not clipped.

    Returns:
        Kind of ``check_report.KINDS``; ``'left_out_other'`` if none of MMPose's rules says so.
    """
    if person.box is None or person.keypoints is None:
        return 'left_out_incomplete'
    if person.crowd:
        return 'left_out_crowd'
    if person.num_keypoints == 0:
        return 'left_out_no_keypoints'
    low, high = person.box[:2], person.box[:2] + person.box[2:]
    if size is not None and person.raw:
        low, high = (np.clip(corner, 0, np.subtract(size, 1)) for corner in (low, high))
    if (high - low <= 0).any():
        return 'left_out_box'
    if person.keypoints[:, :2].max(initial=0) <= 0:
        return 'left_out_no_keypoints'
    return 'left_out_other'
