"""Colors, backgrounds and cloth: what generated figures are painted with."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


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
