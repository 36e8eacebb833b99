"""Which labels are wrong, whom a dataset leaves out, and the words that trace both to an image.

The functions take what MMPose's datasets make of an annotation: ``keypoints`` (P, K, 2) and
``bbox`` (P, 4) as x1, y1, x2, y2, both in image pixels, ``keypoints_visible`` (P, K), ``img_path``
and ``id``. ``cpm_plugin.mmpose.checked_datasets`` calls them for every dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .raw_labels import numbers_of

# Reasons to leave a person out.
CROWD = 'marked as a crowd'
NO_ANNOTATION = 'without bbox or keypoints'
NO_KEYPOINT = 'without labeled keypoints'
NO_POSITION = 'without a keypoint at a position above 0'
NO_AREA = 'with a box without area'
OUTSIDE = 'with a box outside the image'
NO_IMAGE = 'of an image that the file does not list'
OTHER = 'by a rule of the dataset'

REMEDY = (
    'Correct the annotations or remove these people; a keypoint at an unknown position has '
    'visibility 0. SkipBroken in the training pipeline leaves such people out'
)
_SHOWN = 3  # of several wrong labels or positions


class LabelError(ValueError):
    """Error for labels that are wrong. The message names image, annotation, rule and remedy."""


@dataclass
class LabelReport:
    """What the loading of a dataset found.

    Attributes:
        left_out: Number of people left out, by reason.
        faults: A sentence for each person with wrong labels.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def name_of(sample: Mapping[str, Any]) -> str:
    """Name the image and the annotation of a sample.

    Args:
        sample: Annotation of a dataset, results of a transform, or data sample as a dictionary.

    Returns:
        Such as ``'images/im00003.jpg, annotation 3'``.

    Examples:
        >>> name_of(dict(img_path='images/7.jpg', img_id=7, id=12))
        'images/7.jpg, annotation 12'
        >>> name_of(dict(img_id=7))
        'image 7'
    """
    image = sample.get('img_path') or f'image {sample.get("img_id", "unknown")}'
    number = sample.get('id')
    return str(image) if number is None else f'{image}, annotation {number}'


def keypoint_names(meta: Mapping[str, Any]) -> list[str]:
    """List the names of keypoints, in the order of the channels.

    Args:
        meta: MMPose's dataset meta information.

    Returns:
        The names; none if ``meta`` does not have them.

    Examples:
        >>> keypoint_names(dict(keypoint_id2name={1: 'neck', 0: 'nose'}))
        ['nose', 'neck']
    """
    names = meta.get('keypoint_id2name', {})
    return [names[channel] for channel in range(len(names))]


def labeled_of(visible: Any) -> np.ndarray:
    """Tell which keypoints are labeled.

    Args:
        visible: (P, K), or (P, K, 2) with a weight as the second value.

    Returns:
        (P, K) of bool.
    """
    values = np.asarray(visible)
    return (values[..., 0] if values.ndim == 3 else values) > 0


def keypoint_fault(keypoints: np.ndarray, visible: Any, names: Sequence[str] = ()) -> str:
    """Say which labeled keypoints are not at finite positions.

    Args:
        keypoints: (P, K, 2), in pixels.
        visible: See ``labeled_of``.
        names: Names of the K keypoints. Otherwise they are numbered, from 0.

    Returns:
        A clause for the name of the sample, or ``''`` if all are finite.

    Examples:
        >>> points = np.array([[[3.0, 4.0], [np.nan, 5.0]]])
        >>> keypoint_fault(points, [[1, 1]], ('nose', 'neck'))
        'labeled keypoints must be at finite positions, but neck is at (nan, 5)'
        >>> keypoint_fault(points, [[1, 0]])
        ''
    """
    finite = np.isfinite(keypoints)
    if finite.all():  # of nearly everybody
        return ''
    bad = labeled_of(visible) & ~finite.all(axis=-1)
    if not bad.any():
        return ''
    places = [
        f'{names[k] if k < len(names) else f"keypoint {k}"} is at '
        f'({", ".join(f"{value:g}" for value in keypoints[person, k])})'
        for person, k in zip(*bad.nonzero())
    ]
    return f'labeled keypoints must be at finite positions, but {_listed(places)}'


def label_fault(person: Mapping[str, Any], names: Sequence[str]) -> str:
    """Say what is wrong with the labels of a person.

    Args:
        person: Annotation of a dataset, with ``keypoints``, ``keypoints_visible`` and ``bbox``.
        names: Names of the keypoints of the dataset; empty if they are not known.

    Returns:
        A clause for the name of the sample, or ``''`` if nothing is wrong.

    Examples:
        >>> person = dict(keypoints=np.ones((1, 1, 2)), keypoints_visible=np.ones((1, 1)))
        >>> label_fault(person, ('nose', 'neck'))
        '1 keypoints, 2 are needed'
        >>> label_fault(person, ('nose',))
        ''
    """
    keypoints, visible = person.get('keypoints'), person.get('keypoints_visible')
    if keypoints is not None and visible is not None:
        if names and keypoints.shape[1] != len(names):
            return f'{keypoints.shape[1]} keypoints, {len(names)} are needed'
        if visible.shape[:2] != keypoints.shape[:2]:
            return f'{visible.shape[1]} visibilities of {keypoints.shape[1]} keypoints'
        if fault := keypoint_fault(keypoints, visible, names):
            return fault
        if np.isnan(visible).any():
            return 'visibilities must be numbers, but one is NaN'
    box = person.get('bbox')
    if box is not None and not np.isfinite(box).all():
        return f'the box must be finite, but it is {np.ravel(box).tolist()} (x1, y1, x2, y2)'
    return ''


def reason_left_out(person: Mapping[str, Any]) -> str:
    """Say why MMPose leaves a person out, by the rules of ``BaseCocoStyleDataset``.

    Args:
        person: Annotation of a dataset.

    Returns:
        The reason, or ``''`` for a person that is kept.

    Examples:
        >>> reason_left_out(dict(bbox=np.array([[5, 5, 5, 9]])))
        'with a box without area'
    """
    if person.get('iscrowd'):
        return CROWD
    if person.get('num_keypoints', 1) == 0:
        return NO_KEYPOINT
    if 'bbox' in person:
        x1, y1, x2, y2 = person['bbox'][0][:4]
        if x2 - x1 <= 0 or y2 - y1 <= 0:
            raw = numbers_of((person.get('raw_ann_info') or {}).get('bbox'))
            # MMPose moves the edges of a box into the image.
            return OUTSIDE if raw is not None and raw.size == 4 and (raw[2:] > 0).all() else NO_AREA
    keypoints = person.get('keypoints')
    return NO_POSITION if keypoints is not None and keypoints.size and keypoints.max() <= 0 else ''


def clear_unlabeled(sample: dict[str, Any]) -> None:
    """Set positions that are not finite to 0, in place, where keypoints are not labeled.

    Args:
        sample: Annotation of a dataset.

    Examples:
        >>> points = np.array([[[1.0, np.nan], [2.0, 3.0]]])
        >>> sample = dict(keypoints=points, keypoints_visible=np.array([[0, 1]]))
        >>> clear_unlabeled(sample)
        >>> sample['keypoints'].tolist()
        [[[1.0, 0.0], [2.0, 3.0]]]
    """
    keypoints, visible = sample.get('keypoints'), sample.get('keypoints_visible')
    if not isinstance(keypoints, np.ndarray) or visible is None or np.isfinite(keypoints).all():
        return
    free = ~labeled_of(visible)[..., None] & ~np.isfinite(keypoints)
    sample['keypoints'] = np.where(free, 0, keypoints)


def sort_people(
    people: Iterable[dict[str, Any]],
    names: Sequence[str],
    report: LabelReport,
    *,
    own_rules: bool = False,
) -> list[dict[str, Any]]:
    """Sort people into those to keep, those to leave out, and those whose labels are wrong.

    Labels of people who are left out may be anything.

    Args:
        people: Annotations of a dataset.
        names: Names of the keypoints of the dataset.
        report: Gets the reasons and faults.
        own_rules: The dataset decides by itself whom it leaves out; nobody is left out here.

    Returns:
        The people to keep, in the same order.
    """
    kept = []
    for person in people:
        if not own_rules and (reason := reason_left_out(person)):
            report.left_out[reason] += 1
        elif fault := label_fault(person, names):
            report.faults.append(f'{name_of(person)}: {fault}')
        else:
            kept.append(person)
    return kept


def counts_text(report: LabelReport) -> str:
    """List the people left out by reason, the most frequent first.

    Args:
        report: What was found.

    Returns:
        Numbers and reasons, separated by commas.

    Examples:
        >>> counts_text(LabelReport(Counter({NO_AREA: 4, NO_KEYPOINT: 8})))
        '8 without labeled keypoints, 4 with a box without area'
    """
    return ', '.join(f'{count} {reason}' for reason, count in report.left_out.most_common())


def check_labels(report: LabelReport, total: int, file: str) -> None:
    """Refuse a dataset in which labels are wrong, or in which nobody is left.

    Args:
        report: What was found.
        total: Number of people, those left out included.
        file: Path of the annotations, for the message.

    Raises:
        LabelError: If there are faults, or nobody is left.

    Examples:
        >>> check_labels(LabelReport(Counter({CROWD: 2})), 2, 'people.json')
        Traceback (most recent call last):
        cpm_plugin.mmpose.labels.LabelError: people.json: none of 2 people can be used: 2 marked ...
    """
    if report.faults:
        raise LabelError(
            f'{file}: wrong labels of {len(report.faults)} of {total} people: '
            f'{_listed(report.faults)}. {REMEDY}'
        )
    if sum(report.left_out.values()) >= total:
        counts = counts_text(report) or 'the file lists nobody'
        raise LabelError(
            f'{file}: none of {total} people can be used: {counts}. A person needs a box with an '
            'area in the image, at least one labeled keypoint, and no mark as a crowd. Correct '
            'the annotations, or set ann_file to another file'
        )


def _listed(things: Sequence[str]) -> str:
    rest = len(things) - _SHOWN
    return '; '.join(things[:_SHOWN]) + (f'; and {rest} more' if rest > 0 else '')
