"""Drawing of generated images of articulated figures, with exact keypoints."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..core.maps.joint_sets import LSP

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

Array = NDArray[np.float32]
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


def color(rng: np.random.Generator, hue: float, saturation: float, value: float) -> Array:
    """Draw a random color.

    Args:
        rng: Random generator.
        hue: Mean hue, 0 to 180.
        saturation: Mean saturation, 0 to 255.
        value: Mean value, 0 to 255.

    Returns:
        (3,), BGR, from 0 to 255.
    """
    hsv = np.array([hue, saturation, value]) + rng.normal(0, (3, 12, 12))
    hsv = np.array([hsv[0] % 180, *hsv[1:].clip(0, 255)]).astype(np.uint8)
    return cv2.cvtColor(hsv[None, None], cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)


def background(rng: np.random.Generator, size: int) -> Array:
    """Draw a random background of smooth gradients, a few shapes and noise.

    Args:
        rng: Random generator.
        size: Side of the image in pixels.

    Returns:
        (size, size, 3), BGR, of about 0 to 255.
    """
    hills = rng.normal(0, 14, (5, 5, 3)).astype(np.float32)
    image = cv2.resize(hills, (size, size), interpolation=cv2.INTER_CUBIC)
    image += (rng.uniform(70, 190) + rng.normal(0, 12, 3)).astype(np.float32)
    for _ in range(rng.integers(2, 7)):
        shade = (rng.uniform(60, 200) + rng.normal(0, 15, 3)).tolist()
        center, axes = rng.integers(0, size, 2).tolist(), rng.integers(4, size // 3, 2).tolist()
        shape = cv2.ellipse(image.copy(), center, axes, rng.uniform(0, 180), 0, 360, shade, -1)
        image += 0.5 * (shape - image)
    grain = 14 * rng.standard_normal((size // 2, size // 2), dtype=np.float32)
    return image + cv2.resize(grain, (size, size))[..., None]


@lru_cache
def folds(height: int, width: int, pattern: str) -> tuple[Array, Array]:
    """Compute the pattern and the shading of cloth.

    Args:
        height: Height in texels.
        width: Width in texels.
        pattern: ``'rings'`` across x, ``'checks'`` or ``'plain'``.

    Returns:
        Pattern (height, width), and shading (height, 1) as on a cylinder along x; both are
            factors.
    """
    y, x = np.mgrid[:height, :width]
    marks = {'rings': x // 4 % 2, 'checks': (x // 3 + y // 3) % 2, 'plain': 0 * x}[pattern]
    shade = 1.0 - 0.45 * np.linspace(-1, 1, height)[:, None] ** 2
    return (1 + 0.2 * marks).astype(np.float32), shade.astype(np.float32)


def cloth(rng: np.random.Generator, height: int, width: int, tint: Array, pattern: str) -> Array:
    """Draw a texture: a color with noise, a pattern and shading.

    Args:
        rng: Random generator.
        height: Height in texels.
        width: Width in texels.
        tint: (3,), BGR, from 0 to 255.
        pattern: See ``folds``.

    Returns:
        (height, width, 3), BGR, of about 0 to 255.
    """
    marks, shade = folds(height, width, pattern)
    weave = 0.06 * rng.standard_normal((height, width), dtype=np.float32)
    return tint * ((marks + weave) * shade)[..., None]


def cut(texture: Array, alpha: Array) -> Array:
    """Make a sprite of a texture and an alpha channel.

    Args:
        texture: (h, w, 3), BGR, from 0 to 255.
        alpha: (h, w), from 0 to 1.

    Returns:
        (h, w, 4), the premultiplied colors and alpha.
    """
    return np.dstack([texture.clip(0, 255) * alpha[..., None], alpha])


def limb_sprite(rng: np.random.Generator, tint: Array, pattern: str, tip: Array) -> Array:
    """Draw a limb: a capsule, x away from the body, joints 6 texels from its ends.

    Args:
        rng: Random generator.
        tint: (3,), BGR, of the limb.
        pattern: See ``folds``.
        tip: (3,), BGR, of its last part.

    Returns:
        (12, 36, 4); see ``cut``.
    """
    texture, alpha = cloth(rng, 12, 36, tint, pattern), np.zeros((12, 36), np.float32)
    texture[:, 28:] = cloth(rng, 12, 8, tip, 'plain')
    cv2.line(alpha, (6, 5), (29, 5), 1.0, 9, cv2.LINE_AA)
    return cut(texture, cv2.GaussianBlur(alpha, (3, 3), 0))


def head_sprite(rng: np.random.Generator, skin: Array, hair: Array) -> Array:
    """Draw a head, x from the chin to the top of the hair, symmetric in y.

    Args:
        rng: Random generator.
        skin: (3,), BGR.
        hair: (3,), BGR.

    Returns:
        (24, 24, 4); see ``cut``.
    """
    texture, alpha = cloth(rng, 24, 24, skin, 'plain'), np.zeros((24, 24), np.float32)
    texture[:, 16:] = cloth(rng, 24, 8, hair, 'plain')
    cv2.ellipse(texture, (7, 12), (1, 3), 0, 0, 360, (60, 60, 150), -1)
    for y in (8, 16):
        cv2.circle(texture, (12, y), 1, (40, 30, 30), -1)
    cv2.ellipse(alpha, (12, 12), (11, 10), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    return cut(texture, alpha)


def wardrobe(rng: np.random.Generator) -> dict[str, Array]:
    """Draw the clothes of one figure, the same for both sides.

    Args:
        rng: Random generator.

    Returns:
        Kind of part -> sprite; see ``cut``.
    """
    skin, hair = color(rng, 11, 105, rng.uniform(150, 235)), color(rng, 12, 130, 60)
    shirt = color(rng, rng.uniform(0, 180), 150, 180)
    trousers, shoes = color(rng, rng.uniform(100, 125), 150, 110), color(rng, 8, 150, 90)
    return {
        'upper_arm': limb_sprite(rng, shirt, 'rings', shirt),
        'forearm': limb_sprite(rng, skin, 'plain', 0.75 * skin),
        'thigh': limb_sprite(rng, trousers, 'checks', trousers),
        'shin': limb_sprite(rng, trousers, 'plain', shoes),
        'head': head_sprite(rng, skin, hair),
        'trunk': cut(cloth(rng, 30, 30, shirt, 'rings'), np.ones((30, 30), np.float32)),
    }


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
