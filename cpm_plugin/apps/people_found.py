"""Annotated people that a way to find people finds, for ``tools/dev/people_found.py``.

A person is found if the box of a found pose overlaps that of the annotated joints by half or more,
as intersection over union. Each pose can be that of one person only. Both boxes are those of the
joints that COCO and LSP share.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.evaluation.pck import torso_pck
from ..core.maps.joint_sets import COCO, LSP
from ..core.maps.joints import JointSet
from ..core.prediction import Poses, read_image
from ..core.prediction.images import Image
from ..core.prediction.proposals import MARGIN
from ..mmpose.lsp import box_of_joints, read_joints

OVERLAP = 0.5  # smallest intersection over union of a person who is found
LEAST_JOINTS = 3  # of a person that counts, and of a pose: fewer say little about the box
# In the order of COCO: shoulders, elbows, wrists, hips, knees and ankles.
SHARED = JointSet(tuple(name for name in COCO.names if name in LSP.names))

Find = Callable[[Image], Poses]


class Picture(NamedTuple):
    """An image and the annotated people in it, by the joints of ``SHARED``.

    Attributes:
        path: Path of the image.
        keypoints: (P, 12, 2), x and y in image pixels.
        labeled: (P, 12) of bool.
    """

    path: Path
    keypoints: np.ndarray
    labeled: np.ndarray


class Count(NamedTuple):
    """What a way to find people finds in some images.

    Attributes:
        people: Number of annotated people.
        found: Number of these that are found.
        poses: Number of poses, also of people who are not annotated or too small to count.
        pck_found: PCK@0.2 of the people who are found, in percent; NaN if there are none.
        pck_all: The same of all annotated people; joints of those who are not found are wrong.
        seconds: Seconds for an image.
    """

    people: int
    found: int
    poses: int
    pck_found: float
    pck_all: float
    seconds: float


def read_coco(file: Path, folder: Path, least_side: float) -> list[Picture]:
    """Read annotated people of a file in COCO's format, with COCO's 17 joints.

    Args:
        file: File of annotations.
        folder: Folder of the images.
        least_side: Smallest longer side of a person's box that counts, in pixels.

    Returns:
        The images with people that count.

    Raises:
        ValueError: If the file cannot be read or has other joints.
    """
    try:
        content = json.loads(file.read_text())
        people: dict[int, list[np.ndarray]] = {}
        for entry in content['annotations']:
            if not entry.get('iscrowd', 0) and max(entry['bbox'][2:]) >= least_side:
                values = np.reshape(np.array(entry['keypoints'], float), (len(COCO.names), 3))
                people.setdefault(entry['image_id'], []).append(values)
        names = {image['id']: image['file_name'] for image in content['images']}
        paths = {one: folder / names[one] for one in people}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{file}: no people in the format of COCO, with its 17 keypoints ({error})'
        ) from error
    found = (_picture(paths[one], np.array(people[one]), COCO) for one in sorted(people))
    return [picture for picture in found if len(picture.keypoints)]


def read_lspet(folder: Path, first: int, count: int, least_side: float) -> list[Picture]:
    """Read the one annotated person of images of LSP Extended.

    Args:
        folder: Folder with ``joints.mat`` and ``images``.
        first: Number of the first image, from 1.
        count: Number of images.
        least_side: Smallest longer side of the box of all joints that counts, in pixels.

    Returns:
        The images with a person that counts.

    Raises:
        ValueError: If the file of joints cannot be read.
    """
    joints = read_joints(folder / 'joints.mat')
    found = []
    for index in range(first - 1, min(first - 1 + count, len(joints.keypoints))):
        points, labeled = joints.keypoints[index], joints.labeled[index] > 0
        if labeled.any() and np.ptp(points[labeled], axis=0).max() >= least_side:
            person = np.column_stack([points, labeled]).astype(float)
            found.append(_picture(folder / 'images' / f'im{index + 1:05d}.jpg', person[None], LSP))
    return [picture for picture in found if len(picture.keypoints)]


def _picture(path: Path, people: np.ndarray, joints: JointSet) -> Picture:
    """Return an image and its people (P, K, 3) with enough of the shared joints."""
    shared = people[:, [joints.index(name) for name in SHARED.names]]
    shared = shared[(shared[..., 2] > 0).sum(axis=1) >= LEAST_JOINTS]
    return Picture(path, shared[..., :2], shared[..., 2] > 0)


def match(poses: np.ndarray, seen: np.ndarray, picture: Picture) -> np.ndarray:
    """Match annotated people with poses, the largest overlap of their boxes first.

    Args:
        poses: (N, 12, 2), in image pixels.
        seen: (N, 12) of bool, whether the joint was found.
        picture: The image.

    Returns:
        (P,), the pose of each annotated person; -1 for those who are not found.
    """
    enough = [number for number in range(len(poses)) if seen[number].sum() >= LEAST_JOINTS]
    found = np.full(len(picture.keypoints), -1)
    if not enough:
        return found
    boxes = np.array([box_of_joints(poses[n], seen[n], MARGIN) for n in enough], float)
    truth = [box_of_joints(*person, MARGIN) for person in zip(picture.keypoints, picture.labeled)]
    overlaps = np.array([[overlap(box, other) for other in boxes] for box in truth])
    for place in np.argsort(-overlaps, axis=None, kind='stable'):
        person, number = np.unravel_index(place, overlaps.shape)
        if overlaps[person, number] < OVERLAP:
            break
        if found[person] < 0 and enough[number] not in found:
            found[person] = enough[number]
    return found


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union of two boxes.

    Args:
        one: (4,), x1, y1, x2, y2.
        other: The same of the other box.

    Returns:
        From 0 to 1; 0 if neither has an area.

    Examples:
        >>> overlap(np.array([0, 0, 4, 4]), np.array([2, 0, 6, 4])).__round__(3)
        0.333
    """
    sides = (np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])).clip(0)
    common = float(sides.prod())
    total = float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()) - common
    return common / total if total > 0 else 0.0


def count_people(find: Find, pictures: Iterable[Picture]) -> Count:
    """Find people in images, and count the annotated ones among them.

    Args:
        find: Function from an image (H, W, 3), BGR, to the poses in it. It may be of any joints;
            those of ``SHARED`` count.
        pictures: The images, at least one.

    Returns:
        What was found.

    Raises:
        ValueError: If there is no image, one cannot be read, or nobody has a labeled torso.
    """
    found, truth, labeled, times, poses_found = [], [], [], [], 0
    for picture in pictures:
        image = read_image(picture.path)
        start = time.perf_counter()
        poses = find(image)
        times.append(time.perf_counter() - start)
        poses_found += len(poses)
        channels = [poses.joints.index(name) for name in SHARED.names]
        points, seen = poses.keypoints[:, channels, :2], poses.scores[:, channels] > 0
        for person, number in enumerate(match(points, seen, picture)):
            if number >= 0:  # a joint that was not found is infinitely far away
                found.append(np.where(seen[number][:, None], points[number], np.inf))
            else:
                found.append(np.full((len(SHARED.names), 2), np.nan))
            truth.append(picture.keypoints[person])
            labeled.append(picture.labeled[person])
    if not truth:
        raise ValueError('no annotated people; give images with some, or a smaller least side')
    joints, right = np.array(found), np.array([not np.isnan(points).any() for points in found])
    try:
        pck = torso_pck(
            joints[right], np.array(truth)[right], np.array(labeled)[right], SHARED
        ).mean
    except ValueError:  # nobody is found, or none with a torso
        pck = float('nan')
    everybody = torso_pck(np.where(np.isnan(joints), np.inf, joints), truth, labeled, SHARED).mean
    return Count(len(truth), int(right.sum()), poses_found, pck, everybody, float(np.mean(times)))
