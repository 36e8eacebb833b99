"""Pictures of the page of ``cpm app``: beliefs and skeletons on a crop, people in an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.maps.joints import JointSet
from ..core.prediction import Poses
from ..core.prediction.images import Image, pillow

SIDE = 384  # of the pictures of a crop, in pixels
# Smallest and largest length of the longer side of the picture of the whole image: of less, limbs
# could not be seen; more takes long to send.
SIDES = (512, 1280)
# How bright the crop is under the beliefs, where nothing is believed.
_DIMMED = 0.5
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def heat_colors(heat: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Color beliefs: from black over red and yellow to white, as Matplotlib's ``hot``.

    Args:
        heat: Beliefs of any shape (...); those below 0 are 0, and those above 1 are 1.

    Returns:
        (..., 3), RGB from 0 to 255. Red rises up to 3/8, green up to 6/8, and blue then.

    Examples:
        >>> heat_colors([0, 0.375, 0.75, 1]).tolist()
        [[0.0, 0.0, 0.0], [255.0, 0.0, 0.0], [255.0, 255.0, 0.0], [255.0, 255.0, 255.0]]
    """
    values = np.asarray(heat, dtype=np.float64).clip(0, 1)
    rising = [values * 8 / 3, values * 8 / 3 - 1, values * 4 - 3]
    return 255 * np.stack(rising, axis=-1).clip(0, 1)


def belief_picture(
    crop: Image, maps: npt.NDArray[Any], joint: int | None = None, *, side: int = SIDE
) -> Image:
    """Draw belief maps over the crop that they are of.

    Args:
        crop: (S, S, 3) of uint8, BGR.
        maps: (K, h, w), belief maps that cover the crop.
        joint: Whose map to draw; None: the largest belief of all joints in each cell.
        side: Side of the picture in pixels.

    Returns:
        (side, side, 3) of uint8, RGB. The crop is gray and dim. The more a place is believed, the
            more it has of the color of ``heat_colors``: the square root of the belief.
    """
    chosen = maps.max(axis=0) if joint is None else maps[joint]
    heat = _resized(chosen.clip(0, 1), side)
    gray = _enlarged(crop, side).mean(axis=2, keepdims=True) * _DIMMED
    share = np.sqrt(heat)[..., None]
    mixed = gray * (1 - share) + heat_colors(heat) * share
    return np.rint(mixed).astype(np.uint8)


def pose_picture(
    crop: Image,
    keypoints: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    joints: JointSet,
    *,
    side: int = SIDE,
) -> Image:
    """Draw the skeleton of a person on the crop, all joints of it, doubtful ones pale.

    Args:
        crop: (S, S, 3) of uint8, BGR.
        keypoints: (K, 2), x and y in pixels of the crop.
        scores: (K,).
        joints: Names and links.
        side: Side of the picture in pixels.

    Returns:
        (side, side, 3) of uint8, RGB.
    """
    zoom = side / len(crop)
    # The border of the crop stays the border, half a pixel beyond the center of the first pixel.
    points = (np.asarray(keypoints)[None] + 0.5) * zoom - 0.5
    large = np.ascontiguousarray(_enlarged(crop, side)[..., ::-1])
    box = np.array([[0.0, 0.0, side, side]])
    poses = Poses(points, np.asarray(scores)[None], box, joints, large)
    return np.asarray(poses.draw(threshold=-np.inf))


def people_picture(poses: Poses, chosen: int, *, sides: tuple[int, int] = SIDES) -> Image:
    """Draw everybody in an image, with numbers where there are several.

    A number stands above the highest joint that is drawn. That of the chosen person is black on
    white, and the box of this person is white.

    Args:
        poses: The poses of N people, at least one.
        chosen: Position of the person whose box is drawn.
        sides: Smallest and largest length of the longer side in pixels. Other images are enlarged
            or reduced to it.

    Returns:
        (H, W, 3) of uint8, RGB.
    """
    drawing = pillow()
    shown = resized(poses, int(np.clip(max(poses.image.shape[:2]), *sides)))
    canvas = shown.draw()
    if len(shown) > 1:
        pen, size = drawing.ImageDraw.Draw(canvas), max(12, max(canvas.size) // 40)
        font = drawing.ImageFont.load_default(size)
        room = np.array(canvas.size) - 1
        corners = shown.boxes[chosen].clip(0, np.tile(room, 2)).tolist()
        pen.rectangle(corners, outline=_WHITE, width=2)
        # the chosen one last, above others
        for number in sorted(range(len(shown)), key=lambda number: number == chosen):
            x, y = _highest(shown, number) - (size / 2, 1.5 * size)
            left, top = np.array([x, y]).clip(0, room - size).tolist()
            paper, ink = (_WHITE, _BLACK) if number == chosen else (_BLACK, _WHITE)
            pen.rectangle([left, top, left + size, top + size], fill=paper)
            middle = (left + size / 2, top + size / 2)
            pen.text(middle, str(number + 1), fill=ink, font=font, anchor='mm')
    return np.asarray(canvas)


def resized(poses: Poses, longer: int) -> Poses:
    """Resize the image of poses, with all that is in its pixels.

    Args:
        poses: The poses.
        longer: Length of the longer side in pixels.

    Returns:
        The poses in the larger or smaller image; the same ones if it has this length.
    """
    height, width = poses.image.shape[:2]
    factor = longer / max(height, width)
    if factor == 1:
        return poses
    images = pillow().Image
    method = images.Resampling.BOX if factor < 1 else images.Resampling.BICUBIC
    size = [max(1, round(side * factor)) for side in (width, height)]
    zoom = np.array(size) / (width, height)
    return Poses(
        (poses.keypoints + 0.5) * zoom - 0.5,
        poses.scores,
        poses.boxes * np.tile(zoom, 2),
        poses.joints,
        np.asarray(images.fromarray(poses.image).resize(size, method)),
    )


def _highest(poses: Poses, number: int) -> npt.NDArray[Any]:
    """Return the x and y of a person's highest joint that is drawn; of none, of any."""
    points, drawn = poses.keypoints[number], poses.drawn()[number]
    points = points[drawn] if drawn.any() else points
    highest: npt.NDArray[Any] = points[points[:, 1].argmin()]
    return highest


def _enlarged(crop: Image, side: int) -> npt.NDArray[np.uint8]:
    """Resize a crop in BGR to (side, side, 3) in RGB."""
    images = pillow().Image
    rgb = images.fromarray(np.ascontiguousarray(crop[..., ::-1]))
    return np.asarray(rgb.resize((side, side), images.Resampling.BICUBIC))


def _resized(heat: npt.NDArray[Any], side: int) -> npt.NDArray[np.float64]:
    """Interpolate (h, w) at (side, side) pixels, the border of the cells at that of the picture."""
    images = pillow().Image
    large = images.fromarray(heat.astype(np.float32)).resize(
        (side, side), images.Resampling.BILINEAR
    )
    return np.asarray(large, dtype=np.float64)
