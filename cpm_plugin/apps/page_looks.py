"""What the page of ``cpm app`` computes: people in an image, and how each stage sees one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.maps.belief_maps import decode_peaks
from ..core.models import AffinityPoseMachine, create_model
from ..core.models.inference import optimize_for_inference
from ..core.prediction import PersonStages, Poses, person_stages, predict, read_image
from ..core.prediction.images import Image, pillow
from ..core.structure import packaged_structure, structured_maps
from ..core.structure.packaged import WEIGHTS
from .boxes import parse_boxes
from .second_look import look_for_people

# The two that look for people, as in tools/demo.py, whichever model is chosen on the page: so a
# person keeps the number when another model looks.
FINDER, LOOKER = 'paf_movenet_3s', 'cpm_movenet_3s'
WHOLE = 'whole image'
NOTHING = 'nothing'
# Pixels; a guess: on sample photographs, limbs of people of this size are a few pixels long.
LEAST_SIDE = 32
# A joint is elsewhere if it is farther away than this part of the side of the crop: half a cell of
# cpm_slim_3s, a cell of the others.
_ELSEWHERE = 1 / 32


class Picture(NamedTuple):
    """An image of the user, and who is in it.

    Attributes:
        path: Path of its file.
        image: (H, W, 3), BGR.
        boxes: (N, 4), x1, y1, x2, y2 in image pixels, the surest person first.
    """

    path: Path
    image: Image
    boxes: np.ndarray


class Reading(NamedTuple):
    """A pose, read from maps of a crop.

    Attributes:
        maps: (K, h, w), belief maps, or max-marginals in their place.
        keypoints: (K, 2), x and y in pixels of the crop.
        scores: (K,), the belief at each.
    """

    maps: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray

    def moved(self, other: Reading, side: int) -> int:
        """Count the joints that are elsewhere in another reading.

        Args:
            other: The other reading of the same crop.
            side: Side of the crop in pixels.

        Returns:
            How many are farther away than 1/32 of the side.
        """
        apart = np.linalg.norm(self.keypoints - other.keypoints, axis=1)
        return int((apart > _ELSEWHERE * side).sum())


@dataclass(frozen=True, eq=False)
class Look:
    """What a model sees of one person.

    Attributes:
        poses: The poses of everybody in the image, or of one person with a box of the user.
        chosen: Position of the person in ``poses``.
        stages: Belief maps and crop of the person.
        readings: (T), the pose of each stage, stage 1 first.
        older: Name of an older model of the body -> the pose that it makes of stage 1;
            ``'nothing'`` is stage 1 as it is.
    """

    poses: Poses
    chosen: int
    stages: PersonStages
    readings: tuple[Reading, ...]
    older: dict[str, Reading]


def open_picture(path: str | Path) -> Picture:
    """Read an image and look for the people in it.

    Args:
        path: Path of the file.

    Returns:
        The image and the boxes of the people.

    Raises:
        ValueError: If it is no image, is animated or has several pages, is too small, or has values
            of other than 8 or 16 bits. The message has the name of the file without its folder.
    """
    path = Path(path)
    try:
        image = read_image(path)
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), path.name)) from error
    with pillow().Image.open(path) as file:
        frames = getattr(file, 'n_frames', 1)
        # Cameras put a preview behind the picture; the picture itself is the first.
        if frames > 1 and file.format != 'MPO':
            raise ValueError(
                f'{path.name} has {frames} frames or pages; give a still image, for example one '
                'frame saved as PNG'
            )
    height, width = image.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise ValueError(
            f'{path.name} is {width} x {height} pixels, too small to see a person; give at least '
            f'{LEAST_SIDE} x {LEAST_SIDE}'
        )
    return Picture(path, image, find_boxes(image))


def find_boxes(image: Image) -> np.ndarray:
    """Find the people in an image, as ``tools/demo.py`` does.

    Args:
        image: (H, W, 3), BGR.

    Returns:
        (N, 4), x1, y1, x2, y2 in image pixels, the surest person first.
    """

    def look(boxes: np.ndarray, flip_test: bool) -> Poses:
        return predict(image, boxes, LOOKER, flip_test=flip_test)

    return look_for_people(image, _finder(), look).boxes


@lru_cache
def _finder() -> AffinityPoseMachine:
    network: Any = optimize_for_inference(create_model(FINDER, pretrained=True), inplace=True)
    found: AffinityPoseMachine = network
    return found


def look_at(picture: Picture, person: str, model: str) -> Look:
    """Look at a person with a model.

    Args:
        picture: The image.
        person: Number of the person, from ``'1'``; ``'whole image'``; or a box x1,y1,x2,y2 in image
            pixels.
        model: Name of a model with weights in the package.

    Returns:
        What it sees.

    Raises:
        ValueError: If there is no such person, or the box is wrong. The message names it.
    """
    chosen = 0
    if person == WHOLE:
        height, width = picture.image.shape[:2]
        boxes = np.array([[0.0, 0.0, width, height]])
    elif ',' in person:
        boxes = parse_boxes([person])['']
    else:
        boxes = picture.boxes
        if not (person.isdecimal() and 1 <= int(person) <= len(boxes)):
            raise ValueError(
                f'no person {person!r} in {picture.path.name}: there are {len(boxes)}; choose one '
                'by number, or give a box x1,y1,x2,y2 in pixels'
            )
        chosen = int(person) - 1
    poses = predict(picture.image, boxes, model)
    stages = person_stages(picture.image, boxes[chosen], model)
    readings = tuple(map(read_maps, stages.beliefs))
    older = {NOTHING: readings[0]}
    for kind in WEIGHTS:
        structure, weight = packaged_structure(kind)
        if structure.joints == stages.joints.names:
            maps = structured_maps(stages.beliefs[:1], structure, weight=weight).maps[0]
            older[kind] = read_maps(maps)
    return Look(poses, chosen, stages, readings, older)


def read_maps(maps: np.ndarray) -> Reading:
    """Read a pose from the maps (K, h, w) of a crop; see the class."""
    return Reading(maps, *decode_peaks(maps))


def rows_of(look: Look) -> list[list[str]]:
    """Return the rows of a table of the person's keypoints.

    Args:
        look: What a model sees.

    Returns:
        For each joint its name, x and y in image pixels with one digit, and the score with two.
    """
    points, scores = look.poses.keypoints[look.chosen], look.poses.scores[look.chosen]
    return [
        [spoken(name), f'{x:.1f}', f'{y:.1f}', f'{score:.2f}']
        for name, (x, y), score in zip(look.poses.joints.names, points, scores)
    ]


def spoken(name: str) -> str:
    """Return the name of a joint as it is spoken: ``left_knee`` -> left knee."""
    return name.replace('_', ' ')
