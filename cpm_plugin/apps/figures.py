"""Drawing of generated images of articulated figures, with exact keypoints."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ..core.maps.joint_sets import LSP
from .figure_sprites import Array, background, cloth, color, cut, wardrobe

# Lengths in torsos, the distance from the neck to the middle of the hips.
HEAD, SHOULDER, HIP = 0.6, 0.36, 0.24  # length of the head; half widths
LIMBS = {'upper_arm': 0.58, 'forearm': 0.55, 'thigh': 0.7, 'shin': 0.68}
WIDTHS = {'upper_arm': 0.25, 'forearm': 0.2, 'thigh': 0.32, 'shin': 0.26, 'head': 0.46}
FORESHORTENED = (0.8, 1.0)
CHAINS = {  # joint, limb, joint
    'arm': (('shoulder', 'upper_arm', 'elbow'), ('elbow', 'forearm', 'wrist')),
    'leg': (('hip', 'thigh', 'knee'), ('knee', 'shin', 'ankle')),
}
TRUNK = ('left_shoulder', 'left_hip', 'right_hip', 'right_shoulder')

# Largest angles in degrees: of the figure in the image plane, of the spine, and of the neck.
TURN, BEND, NOD = 180, 15, 20
# Smallest and largest angle in degrees. For the first joint of a limb it is measured from straight
# down, positive away from the middle; for the second joint it is relative to the first.
BENDS = {'upper_arm': (0, 160), 'forearm': (-90, 110), 'thigh': (-12, 80), 'shin': (-80, 80)}

PADDING = 1.25  # of MMPose's GetBBoxCenterScale: side of the crop over side of the box
CROP = (0.88, 1.0)  # side of that crop as a fraction of the image
BOX_MARGIN = 0.12  # torsos, from the outermost joints to the box
ARMS_BEHIND = (0.5, 0.4, 0.1)  # probabilities that 0, 1, 2 arms are behind the trunk
LOOSE_LIMBS, OCCLUDERS = (2, 5), (1, 2)  # smallest and largest number
SECOND_FIGURE = 0.3  # probability

Points = dict[str, NDArray[np.float64]]  # joint name -> (x, y)


def direction(degrees: float) -> NDArray[np.float64]:
    """Return the unit vector of an angle: 0 is down, 90 right and 180 up in the image."""
    return np.array([math.sin(math.radians(degrees)), math.cos(math.radians(degrees))])


def sample_pose(rng: np.random.Generator) -> Points:
    """Draw a random pose.

    The figure faces the viewer: its right side is on the left in the image.

    Args:
        rng: Random generator.

    Returns:
        Joint name -> (x, y), in torsos, with the middle of the hips at the origin.
    """
    turn, bend = rng.uniform(-TURN, TURN), rng.uniform(-BEND, BEND)
    up = direction(180 + turn)
    pose = {'neck': up, 'head_top': up + HEAD * direction(180 + turn + rng.uniform(-NOD, NOD))}
    for side, sign in (('right', -1), ('left', 1)):
        pose[f'{side}_shoulder'] = 0.95 * up + SHOULDER * direction(turn + bend + sign * 90)
        pose[f'{side}_hip'] = HIP * direction(turn - bend + sign * 90)
        for chain in CHAINS:
            angle = turn
            for limb, joint, end in limbs(side, chain):
                angle += sign * rng.uniform(*BENDS[limb])
                step = LIMBS[limb] * rng.uniform(*FORESHORTENED) * direction(angle)
                pose[end] = pose[joint] + step
    return pose


def limbs(side: str, chain: str) -> list[tuple[str, str, str]]:
    """Return the limbs of an arm or a leg.

    Args:
        side: ``'left'`` or ``'right'``.
        chain: ``'arm'`` or ``'leg'``.

    Returns:
        For each limb its name, the joint nearer to the body, and the joint farther away.
    """
    return [(limb, f'{side}_{a}', f'{side}_{b}') for a, limb, b in CHAINS[chain]]


def place(pose: Points, rng: np.random.Generator, size: int) -> tuple[Points, list[float], float]:
    """Place a pose in an image, at a random position and size.

    MMPose's square crop around the box lies inside the image.

    Args:
        pose: Joint name -> (x, y) in torsos.
        rng: Random generator.
        size: Side of the image in pixels.

    Returns:
        Joint name -> (x, y) in pixels, the box [x, y, width, height], and the pixels per torso.
    """
    points = np.array(list(pose.values()))
    low, high = points.min(axis=0) - BOX_MARGIN, points.max(axis=0) + BOX_MARGIN
    side = rng.uniform(*CROP) * size
    torso = side / (PADDING * (high - low).max())
    shift = rng.uniform(side / 2, size - side / 2, 2) - 0.5 - torso * (low + high) / 2
    box = [*(torso * low + shift), *(torso * (high - low))]
    return {n: torso * p + shift for n, p in pose.items()}, [float(v) for v in box], float(torso)


def bar(a: NDArray, b: NDArray, width: float, extend: float) -> NDArray[np.float64]:
    """Compute the corners of a bar between two points.

    Args:
        a: (x, y) of one point in pixels.
        b: (x, y) of the other.
        width: Width in pixels.
        extend: By how many pixels it is longer at both ends.

    Returns:
        (4, 2), the two corners at ``a``, then those at ``b``, all the way round.
    """
    along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
    half = np.array([-along[1], along[0]]) * width / 2
    a, b = a - along * extend, b + along * extend
    return np.array([a - half, b - half, b + half, a + half])


class Scene:
    """Image that is being drawn, and the number of the top part at each pixel.

    Args:
        rng: Random generator.
        size: Side of the image in pixels.

    Attributes:
        image: (size, size, 3), BGR.
        top: (size, size), number of the part on top; 0 for the background.
        parts: Number of parts drawn so far.
    """

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.image = rng, background(rng, size)
        self.top, self.parts = np.zeros((size, size), int), 0

    def paste(self, sprite: Array, corners: NDArray[np.float64]) -> int:
        """Draw a sprite.

        Args:
            sprite: (h, w, 4), see ``cut``.
            corners: (4, 2), where its corners go in pixels, the top left one first, clockwise.

        Returns:
            Number of the part.
        """
        self.parts += 1
        low, high = corners.min(axis=0), corners.max(axis=0) + 1
        low, high = (np.clip(v, 0, len(self.top)).astype(int) for v in (low, np.ceil(high)))
        if (high > low).all():
            h, w = sprite.shape[0] - 1, sprite.shape[1] - 1
            texels = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
            warp = cv2.getPerspectiveTransform(texels, (corners - low).astype(np.float32))
            drawn = cv2.warpPerspective(sprite, warp, (high - low).tolist())
            window = np.s_[low[1] : high[1], low[0] : high[0]]
            self.image[window] += drawn[..., :3] - self.image[window] * drawn[..., 3:]
            self.top[window][drawn[..., 3] > 0.5] = self.parts
        return self.parts

    def limb(self, looks: dict, kind: str, a: NDArray, b: NDArray, torso: float) -> int:
        """Draw a limb from joint to joint.

        Args:
            looks: Sprites of ``wardrobe``.
            kind: Key of ``WIDTHS``.
            a: (x, y) of the joint nearer to the body, in pixels.
            b: (x, y) of the other.
            torso: Pixels per torso.

        Returns:
            Number of the part.
        """
        width = WIDTHS[kind] * torso
        return self.paste(looks[kind], bar(a, b, width, width / 2))

    def figure(self, looks: dict, joints: Points, torso: float, head: bool = True) -> dict:
        """Draw a figure, from back to front.

        Args:
            looks: Sprites of ``wardrobe``.
            joints: Joint name -> (x, y) in pixels.
            torso: Pixels per torso.
            head: Whether to draw the head.

        Returns:
            Joint name -> numbers of the parts that end there.
        """
        one, other = self.rng.permutation(['left', 'right'])
        pieces = [*limbs(one, 'leg'), *limbs(other, 'leg'), ('trunk', *TRUNK, 'neck')]
        pieces += [('head', 'neck', 'head_top')] * head
        behind = self.rng.choice([0, 1, 2], p=ARMS_BEHIND)
        for number, arm in enumerate((limbs(one, 'arm'), limbs(other, 'arm'))):
            pieces = [*arm, *pieces] if number < behind else [*pieces, *arm]
        ends: dict[str, list[int]] = {name: [] for name in joints}
        for kind, *names in pieces:
            if kind == 'trunk':
                corners = np.array([joints[name] for name in TRUNK])
                corners += 0.12 * (corners - corners.mean(axis=0))
                number = self.paste(looks[kind], corners)
            else:
                number = self.limb(looks, kind, joints[names[0]], joints[names[1]], torso)
            for name in names:
                ends[name].append(number)
        return ends

    def loose_limb(self, looks: dict, torso: float) -> None:
        """Draw an arm or a leg, or a part of one, that belongs to no figure."""
        joint, angle = self.rng.uniform(0, len(self.top), 2), self.rng.uniform(0, 360)
        for _, kind, _ in CHAINS[str(self.rng.choice(list(CHAINS)))]:
            end = joint + LIMBS[kind] * torso * direction(angle)
            if self.rng.random() < 0.8:
                self.limb(looks, kind, joint, end, torso)
            joint, angle = end, angle + self.rng.uniform(-100, 100)

    def board(self, near: NDArray, torso: float) -> None:
        """Draw an occluder close to a point."""
        width, length = torso * self.rng.uniform(0.3, 0.45), torso * self.rng.uniform(0.3, 0.6)
        center = near + self.rng.normal(0, 0.15 * torso, 2)
        reach = length / 2 * direction(self.rng.uniform(0, 360))
        tint = color(self.rng, self.rng.uniform(40, 90), 70, self.rng.uniform(100, 210))
        image = cut(cloth(self.rng, 16, 24, tint, 'checks'), np.ones((16, 24), np.float32))
        self.paste(image, bar(center - reach, center + reach, width, 0))


def draw(seed: tuple[int, ...], size: int) -> tuple[NDArray[np.uint8], dict]:
    """Draw one image.

    Args:
        seed: Seed; the same seed gives the same image.
        size: Side of the image in pixels.

    Returns:
        Image (size, size, 3), BGR, from 0 to 255, and its COCO annotation without ids.
    """
    rng = np.random.default_rng(seed)
    joints, box, torso = place(sample_pose(rng), rng, size)
    looks, scene = wardrobe(rng), Scene(rng, size)
    if rng.random() < SECOND_FIGURE:
        away = direction(rng.uniform(0, 360)) * size * rng.uniform(0.6, 0.75)
        other = {n: p + away for n, p in place(sample_pose(rng), rng, size)[0].items()}
        scene.figure(wardrobe(rng), other, torso, head=False)
    for _ in range(rng.integers(*LOOSE_LIMBS, endpoint=True)):
        scene.loose_limb(looks, torso)
    ends = scene.figure(looks, joints, torso)
    for _ in range(rng.integers(*OCCLUDERS, endpoint=True)):
        scene.board(joints[str(rng.choice(LSP.names))], torso)
    keypoints: list[float] = []
    for name in LSP.names:
        x, y = (round(float(v), 2) for v in joints[name])
        keypoints += [x, y, 2 if scene.top[round(y), round(x)] in ends[name] else 1]
    box = [round(v, 2) for v in box]
    annotation = {'category_id': 1, 'iscrowd': 0, 'bbox': box, 'area': round(box[2] * box[3], 2)}
    annotation |= {'keypoints': keypoints, 'num_keypoints': len(LSP.names)}
    return scene.image.clip(0, 255).astype(np.uint8), annotation
