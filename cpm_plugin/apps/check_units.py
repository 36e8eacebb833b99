"""Boxes of people, and annotations in other units or another order than COCO's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


def check_box(
    box: np.ndarray, size: tuple[float, float] | None, *, clipped: bool
) -> Iterator[tuple[str, str]]:
    """Check the box of a person.

    Args:
        box: (4,): x, y, width, height in pixels of the image.
        size: (width, height) of the image in pixels. None: unknown, and not compared with.
        clipped: Whether MMPose clips the box, which is worth a note.

    Yields:
        At most one of the kinds of boxes in ``check_report.KINDS``, with its value.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.apps.check_units import check_box
        >>> list(check_box(np.array([10, 5, 0, 60]), (100, 80), clipped=True))
        [('box_no_area', '[10, 5, 0, 60]')]
    """
    x, y, width, height = box
    value = f'[{x:g}, {y:g}, {width:g}, {height:g}]'
    if not np.isfinite(box).all():
        yield 'not_finite', f'box {value}'
    elif width < 0 or height < 0:
        yield 'box_negative', value
    elif width == 0 or height == 0:
        yield 'box_no_area', value
    elif size is not None:
        where = f'{value} in {size[0]:g}x{size[1]:g}'
        if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
            yield 'box_outside', where
        # by more than a pixel, for boxes are rounded
        elif clipped and (min(x, y) < -1 or x + width > size[0] + 1 or y + height > size[1] + 1):
            yield 'box_over_edge', where


def check_units(keypoints: np.ndarray, box: np.ndarray | None) -> Iterator[tuple[str, str]]:
    """Check whether keypoints are pixels, and in their box.

    Args:
        keypoints: (K, 3): x, y in pixels of the image, and visibility, above 0 if labeled.
        box: (4,): x, y, width, height in pixels of the image. None: there is none to compare with.

    Yields:
        ``'fractions'`` if all labeled keypoints, of two or more, are from 0 to 1, as if divided by
        the size of the image. Otherwise ``'outside_box'`` if most of them are not in the box.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.apps.check_units import check_units
        >>> keypoints = np.array([[0.1, 0.5, 2], [0.3, 0.7, 2]])
        >>> list(check_units(keypoints, None))
        [('fractions', '2 keypoints, the largest value 0.7')]
        >>> list(check_units(keypoints * [100, 100, 1], np.array([20, 20, 10, 20])))
        [('outside_box', '2 of 2 keypoints')]
    """
    points = keypoints[keypoints[:, 2] > 0, :2]
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) > 1 and points.min() >= 0 and 0 < points.max() <= 1:
        yield 'fractions', f'{len(points)} keypoints, the largest value {points.max():g}'
    elif box is not None and len(points):
        inside = ((points >= box[:2]) & (points <= box[:2] + box[2:])).all(axis=1)
        if 2 * inside.sum() < len(points):
            yield 'outside_box', f'{(~inside).sum()} of {len(points)} keypoints'


def check_corners(boxes: Iterable[tuple[np.ndarray, tuple[float, float]]]) -> str:
    """Check whether boxes of a dataset are two corners, x1, y1, x2, y2.

    Args:
        boxes: (4,) x, y, width, height of each person, and (width, height) of the image, in pixels.

    Returns:
        How many boxes reach beyond their image to the right or below, by more than a pixel, if
            those are most of them, and every box fits its image as two corners. Otherwise ``''``.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.apps.check_units import check_corners
        >>> check_corners([(np.array([50, 10, 90, 70]), (100, 80))])
        '1 of 1 boxes'
        >>> check_corners([(np.array([50, 10, 40, 60]), (100, 80))])
        ''
    """
    rows = [(*box, *size) for box, size in boxes if np.isfinite(box).all()]
    if not rows:
        return ''
    values = np.array(rows, dtype=np.float64)
    low, high, size = values[:, :2], values[:, 2:4], values[:, 4:]
    beyond = (low + high > size + 1).any(axis=1)  # as the note box_over_edge
    corners = (low < high).all() and (high <= size + 1).all()
    return (
        f'{beyond.sum()} of {len(rows)} boxes' if corners and 2 * beyond.sum() > len(rows) else ''
    )
