"""Drawn people: pictures to begin with where there is no photograph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.prediction.images import Image, pillow

SIZE = 270  # height of a scene in its own units; a person takes 236 of it
_ZOOM = 4  # drawn larger, then reduced, for smooth borders
_SKY, _GRASS, _HORIZON = '#a8c8e8', '#527c40', 170
_BODY = {
    'head_top': (0, -120), 'neck': (0, -78),
    'right_shoulder': (-24, -70), 'left_shoulder': (24, -70),
    'right_hip': (-15, 0), 'left_hip': (15, 0),
}  # fmt: skip


class Look(NamedTuple):
    """Colors of a person.

    Attributes:
        skin: Of face and hands.
        hair: Of the hair and the eyes.
        shirt: Of the trunk and the upper arms.
        trousers: Of hips and thighs.
        shoes: Of the feet.
    """

    skin: str
    hair: str
    shirt: str
    trousers: str
    shoes: str


class Person(NamedTuple):
    """A person of a scene.

    Attributes:
        middle: x and y of the middle of the hips, in units of the scene.
        limbs: Elbows, wrists, knees and ankles, x and y from the middle of the hips.
        look: The colors.
    """

    middle: tuple[float, float]
    limbs: Mapping[str, tuple[float, float]]
    look: Look


_RED = Look('#e0ac8c', '#3c281e', '#be2828', '#28325a', '#f0f0f0')
_YELLOW = Look('#e0ac8c', '#6b4a2a', '#e8c33a', '#3a3a5e', '#5a2d1e')
_BLUE = Look('#a5714e', '#1e1814', '#2f62b8', '#4a4a4e', '#2a2420')
_WAVING = {
    'right_elbow': (-44, -38), 'right_wrist': (-62, -8),
    'left_elbow': (54, -50), 'left_wrist': (68, -84),
    'right_knee': (-28, 42), 'right_ankle': (-36, 86),
    'left_knee': (32, 40), 'left_ankle': (40, 86),
}  # fmt: skip
_HANDS_ON_HIPS = {
    'right_elbow': (-56, -40), 'right_wrist': (-24, -12),
    'left_elbow': (56, -40), 'left_wrist': (24, -12),
    'right_knee': (-18, 44), 'right_ankle': (-22, 88),
    'left_knee': (18, 44), 'left_ankle': (22, 88),
}  # fmt: skip
_JUMPING = {
    'right_elbow': (-54, -92), 'right_wrist': (-76, -122),
    'left_elbow': (54, -92), 'left_wrist': (76, -122),
    'right_knee': (-44, 36), 'right_ankle': (-72, 74),
    'left_knee': (44, 36), 'left_ankle': (72, 74),
}  # fmt: skip
_LUNGING = {
    'right_elbow': (-52, -44), 'right_wrist': (-40, -84),
    'left_elbow': (52, -44), 'left_wrist': (84, -30),
    'right_knee': (-46, 30), 'right_ankle': (-50, 78),
    'left_knee': (34, 40), 'left_ankle': (70, 80),
}  # fmt: skip
# Name -> width of the scene, and the people from the left to the right.
SCENES: dict[str, tuple[int, tuple[Person, ...]]] = {
    'waving': (256, (Person((128, 150), _WAVING, _RED),)),
    'jumping': (270, (Person((135, 150), _JUMPING, _YELLOW),)),
    'lunging': (270, (Person((128, 150), _LUNGING, _BLUE),)),
    'two': (400, (Person((104, 150), _WAVING, _BLUE), Person((290, 146), _HANDS_ON_HIPS, _RED))),
}


def joints_of(person: Person) -> dict[str, tuple[float, float]]:
    """Return the x and y of a person's 14 joints in the scene, by name."""
    x, y = person.middle
    return {name: (x + dx, y + dy) for name, (dx, dy) in {**_BODY, **person.limbs}.items()}


def draw_scene(name: str, height: int = 2 * SIZE) -> Image:
    """Draw a scene.

    Args:
        name: Key of ``SCENES``.
        height: Of the picture in pixels.

    Returns:
        (height, width, 3) of uint8, BGR. A pixel of the picture is ``SIZE / height`` units.

    Raises:
        ValueError: If there is no such scene.
        ImportError: If Pillow is missing.
    """
    if name not in SCENES:
        raise ValueError(f'no scene {name!r}; there are: {", ".join(SCENES)}')
    width, people = SCENES[name]
    drawing = pillow()
    from PIL import ImageFilter  # after the error above

    canvas = drawing.Image.new('RGB', (width * _ZOOM, SIZE * _ZOOM), _SKY)
    pen = drawing.ImageDraw.Draw(canvas)
    pen.rectangle([0, _HORIZON * _ZOOM, width * _ZOOM, SIZE * _ZOOM], _GRASS)
    for person in people:
        _draw_person(pen, joints_of(person), person.look)
    soft = canvas.filter(ImageFilter.GaussianBlur(_ZOOM / 2))
    small = soft.resize((round(width * height / SIZE), height), drawing.Image.Resampling.BOX)
    return np.ascontiguousarray(np.asarray(small)[..., ::-1])


def _draw_person(pen: Any, at: dict[str, tuple[float, float]], look: Look) -> None:
    """Draw a person from back to front: legs, trunk, arms, head."""
    for side in ('right', 'left'):
        _limb(pen, at[f'{side}_knee'], at[f'{side}_ankle'], 18, 11, look.skin)
        _limb(pen, at[f'{side}_hip'], at[f'{side}_knee'], 27, 19, look.trousers)
        x, y = at[f'{side}_ankle']
        _disk(pen, x, y + 3, 10, 7, look.shoes)
    x, y = at['neck']
    trunk = [(x - 33, y + 4), (x + 33, y + 4), (x + 25, y + 78), (x - 25, y + 78)]
    pen.polygon([(_ZOOM * x, _ZOOM * y) for x, y in trunk], look.shirt)
    _limb(pen, at['right_hip'], at['left_hip'], 24, 24, look.trousers)
    for side in ('right', 'left'):
        _limb(pen, at[f'{side}_elbow'], at[f'{side}_wrist'], 13, 9, look.skin)
        _disk(pen, *at[f'{side}_wrist'], 7, 7, look.skin)
        _limb(pen, at[f'{side}_shoulder'], at[f'{side}_elbow'], 18, 14, look.shirt)
    x, y = at['neck']
    _disk(pen, x, y - 6, 7, 9, look.skin)
    _disk(pen, x, y - 26, 16, 17, look.hair)
    _disk(pen, x, y - 19, 15, 17, look.skin)
    for aside in (-6, 6):
        _disk(pen, x + aside, y - 22, 2, 1.5, look.hair)


def _limb(
    pen: Any,
    start: tuple[float, float],
    end: tuple[float, float],
    width: float,
    end_width: float,
    color: str,
) -> None:
    """Draw a limb that gets thinner or thicker to its end."""
    for part in np.linspace(0, 1, 60):
        x, y = np.array(start) * (1 - part) + np.array(end) * part
        radius = (width * (1 - part) + end_width * part) / 2
        _disk(pen, x, y, radius, radius, color)


def _disk(pen: Any, x: float, y: float, across: float, down: float, color: str) -> None:
    corners = [x - across, y - down, x + across, y + down]
    pen.ellipse([_ZOOM * corner for corner in corners], color)
