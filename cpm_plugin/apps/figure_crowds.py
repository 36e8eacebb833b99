"""Drawing of generated images of several articulated figures, with exact keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.maps.joint_sets import LSP
from .figure_sprites import wardrobe
from .figures import BOX_MARGIN, LOOSE_LIMBS, Points, Scene, sample_pose

MAX_PEOPLE = 10  # of an image; there is no room for more that are not tiny
LENGTH = (0.35, 0.8)  # longer side of a figure's box as a fraction of the image
CUT, OUTSIDE = 0.3, 0.25  # probability to be cut by the border; largest part of a side outside
OVERLAP = 0.35  # largest part of the smaller box that lies in another one
LEAST_INSIDE = 8  # of the joints of a figure
TRIES, SHRINK = 60, 0.97  # places looked at for a figure; how much smaller it gets at each

Corners = NDArray[np.float64]  # (2, 2): x1, y1 and x2, y2


def draw_people(
    seed: tuple[int, ...], size: int, people: tuple[int, int]
) -> tuple[NDArray[np.uint8], list[dict]]:
    """Draw one image of several people, from the farthest and smallest to the nearest.

    They may overlap a little, and some are cut by the border. Joints are labeled 0 outside the
    image, with zeros for the position; 1 where anything hides them, the figure's own body, too;
    and 2 where they are seen.

    Args:
        seed: Seed; the same seed gives the same image.
        size: Side of the image in pixels.
        people: Smallest and largest number of people.

    Returns:
        Image (size, size, 3), BGR, from 0 to 255, and the COCO annotation of each person without
            ids. The box holds the joints and a margin, as far as they are in the image.

    Raises:
        ValueError: If the numbers of people are not from 1 to ``MAX_PEOPLE``, or not in order.

    Examples:
        >>> from cpm_plugin.apps.figure_crowds import draw_people
        >>> image, annotations = draw_people((0,), 128, (2, 2))
        >>> image.shape, len(annotations), len(annotations[0]['keypoints'])
        ((128, 128, 3), 2, 42)
    """
    low, high = people
    if not 1 <= low <= high <= MAX_PEOPLE:
        raise ValueError(
            f'{low} to {high} people: both numbers must be from 1 to {MAX_PEOPLE}, the smaller '
            'one first'
        )
    rng = np.random.default_rng(seed)
    placed: list[tuple[Points, float]] = []
    boxes: list[Corners] = []
    for _ in range(rng.integers(low, high, endpoint=True)):
        joints, torso = _place(rng, size, boxes)
        placed.append((joints, torso))
        boxes.append(_box_of(joints, torso))
    placed.sort(key=lambda figure: figure[1])
    clothes = [wardrobe(rng) for _ in placed]
    scene = Scene(rng, size)
    for _ in range(rng.integers(*LOOSE_LIMBS, endpoint=True)):
        number = int(rng.integers(len(placed)))
        scene.loose_limb(clothes[number], placed[number][1])
    ends = [scene.figure(looks, *figure) for looks, figure in zip(clothes, placed)]
    joints, torso = placed[int(rng.integers(len(placed)))]
    scene.board(joints[str(rng.choice(LSP.names))], torso)
    annotations = [_annotation(scene, parts, *figure) for parts, figure in zip(ends, placed)]
    return scene.image.clip(0, 255).astype(np.uint8), annotations


def _place(rng: np.random.Generator, size: int, boxes: list[Corners]) -> tuple[Points, float]:
    """Draw a figure's pose and place, beside the boxes of others.

    If it is too near to others everywhere, it takes the best place that was looked at.

    Returns:
        Joint name -> (x, y) in pixels, and the pixels per torso.
    """
    pose = sample_pose(rng)
    low, high = _box_of(pose, 1.0)
    torso = rng.uniform(*LENGTH) * size / (high - low).max()
    outside = OUTSIDE if rng.random() < CUT else 0.0
    best: tuple[Points, float] = (pose, torso)
    least = np.inf
    for _ in range(TRIES):
        sides = torso * (high - low)
        corner = rng.uniform(-outside * sides, size - (1 - outside) * sides)
        joints = {name: torso * (point - low) + corner - 0.5 for name, point in pose.items()}
        box = _box_of(joints, torso)
        overlap = max((_overlap(box, other) for other in boxes), default=0.0)
        if sum(_inside(point, size) for point in joints.values()) >= LEAST_INSIDE:
            if overlap <= OVERLAP:
                return joints, torso
            if overlap < least:
                best, least = (joints, torso), overlap
        torso *= SHRINK
    return best


def _box_of(joints: Points, torso: float) -> Corners:
    """Return the corners of the box around all joints and a margin."""
    points = np.array(list(joints.values()))
    margin = BOX_MARGIN * torso
    return np.array([points.min(axis=0) - margin, points.max(axis=0) + margin])


def _overlap(one: Corners, other: Corners) -> float:
    """Return the part of the smaller box that lies in the other one."""
    common = (np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])).clip(0)
    return float(common.prod() / min(np.ptp(one, axis=0).prod(), np.ptp(other, axis=0).prod()))


def _inside(point: NDArray, size: int) -> bool:
    """Tell whether a point is between the centers of the image's first and last pixels."""
    return bool(((point >= 0) & (point <= size - 1)).all())


def _annotation(scene: Scene, parts: dict, joints: Points, torso: float) -> dict:
    """Return the COCO annotation of a figure; ``parts`` are the parts that end at each joint."""
    size = len(scene.top)
    keypoints: list[float] = []
    for name in LSP.names:
        x, y = (round(float(value), 2) for value in joints[name])
        if _inside(joints[name], size):
            keypoints += [x, y, 2 if scene.top[round(y), round(x)] in parts[name] else 1]
        else:
            keypoints += [0, 0, 0]
    low, high = _box_of(joints, torso).clip(0, size - 1).round(2)
    box = [round(float(value), 2) for value in (*low, *(high - low))]
    return {
        'category_id': 1,
        'iscrowd': 0,
        'bbox': box,
        'area': round(box[2] * box[3], 2),
        'keypoints': keypoints,
        'num_keypoints': sum(v > 0 for v in keypoints[2::3]),
    }
