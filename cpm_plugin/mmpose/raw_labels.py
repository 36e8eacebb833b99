"""What is wrong in a file of annotations, before MMPose reads it.

The functions take entries as they are in files of COCO's or MPII's format. What MMPose makes of
them is for ``labels``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


def numbers_of(values: Any) -> np.ndarray | None:
    """Read numbers of a file.

    Args:
        values: A nested list.

    Returns:
        The numbers as an array; None if there is something else, or rows differ in length.
    """
    try:
        return np.array(values, dtype=np.float64)
    except (ValueError, TypeError):
        return None


def is_finite(value: Any) -> bool:
    """Tell whether no number in a nested value is NaN or infinite.

    Args:
        value: Arrays, numbers, texts, and sequences and mappings of them.

    Returns:
        False if there is one. A whole number that no float can hold counts as infinite.
    """
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind not in 'fc' or bool(np.isfinite(value).all())
    if isinstance(value, int | float):
        try:
            return math.isfinite(value)
        except OverflowError:
            return False
    if isinstance(value, str):
        return True
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    if isinstance(value, Sequence):
        try:
            if math.isfinite(sum(value)):  # fast: of numbers, as in an outline of 100 points
                return True
        except (TypeError, OverflowError):
            pass
        return all(map(is_finite, value))
    return True


def raw_fault(annotation: Mapping[str, Any], count: int) -> str:
    """Say what MMPose cannot read in an annotation of a COCO file.

    Args:
        annotation: Entry of ``annotations``, as it is in the file.
        count: Number of keypoints of the dataset.

    Returns:
        A clause for the name of the sample, or ``''`` if nothing was found.

    Examples:
        >>> raw_fault(dict(bbox=[1, 2, 3, 4], keypoints=[5, 5, 2, 6]), 17)
        "'keypoints' has 4 numbers, 51 are needed: x, y and visibility of 17 keypoints"
        >>> raw_fault(dict(bbox=[1, 2, 3], keypoints=[0] * 51), 17)
        "'bbox' is [1, 2, 3], 4 numbers are needed: x, y, width, height"
    """
    box = numbers_of(annotation.get('bbox'))
    if box is None or box.shape != (4,):
        return f"'bbox' is {annotation.get('bbox')}, 4 numbers are needed: x, y, width, height"
    rule = f'{3 * count} are needed: x, y and visibility of {count} keypoints'
    keypoints = numbers_of(annotation.get('keypoints'))
    if keypoints is None:
        return f"'keypoints' has things that are not numbers, {rule}"
    if keypoints.size != 3 * count:
        return f"'keypoints' has {keypoints.size} numbers, {rule}"
    return ''


def mpii_fault(entries: Iterable[Mapping[str, Any]], count: int) -> str:
    """Find the first person of an MPII file whose joints cannot be read.

    Args:
        entries: Entries of the file.
        count: Number of joints of the dataset.

    Returns:
        A sentence with image and number of the entry, from 0, or ``''`` if there is none.

    Examples:
        >>> mpii_fault([dict(image='a.jpg', joints=[[1, 2], [3]])], 2)
        'a.jpg, annotation 0: joints must be 2 pairs x, y of numbers'
    """
    for number, entry in enumerate(entries):
        joints = numbers_of(entry.get('joints'))
        if joints is None or joints.shape != (count, 2):
            image = entry.get('image') or 'image unknown'
            return f'{image}, annotation {number}: joints must be {count} pairs x, y of numbers'
    return ''


def duplicates(content: Mapping[str, Any]) -> list[str]:
    """Find ids that several entries of a COCO file have.

    Of several annotations with one id MMPose reads the last, several times over; of several images
    as well, so that people lie on the image of others.

    Args:
        content: The file, with ``images`` and ``annotations``.

    Returns:
        A sentence for each id.

    Examples:
        >>> duplicates(dict(images=[dict(id=1), dict(id=1)], annotations=[dict(id=3)]))
        ['2 images have the id 1; ids must be unique']
    """
    found = []
    for key in ('images', 'annotations'):
        counts = Counter(entry['id'] for entry in content.get(key, ()))
        found += [
            f'{count} {key} have the id {number}; ids must be unique'
            for number, count in counts.items()
            if count > 1
        ]
    return found
