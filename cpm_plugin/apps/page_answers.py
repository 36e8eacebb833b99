"""Answers of the page of ``cpm app``: what it shows for an image and the choices beside it."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

from ..core.prediction.images import Image
from .page_looks import NOTHING, WHOLE, Look, Picture, look_at, open_picture, rows_of, spoken
from .page_pictures import belief_picture, people_picture, pose_picture

ALL_JOINTS = 'all joints'


@dataclass(frozen=True, eq=False)
class Answer:
    """What the page shows.

    Attributes:
        note: HTML, a sentence on what was found, or on what is wrong.
        look: What a model saw; None if something is wrong.
        people: The image with the skeletons (H, W, 3), RGB.
        older: Pictures of the pose in the crop by their labels: of stage 1 as it is, of the older
            models of the body, and of the last stage.
        rows: Rows of the table of keypoints.
        json: The poses, as ``cpm predict`` writes them.
    """

    note: str
    look: Look | None = None
    people: Image | None = None
    older: dict[str, Image] = field(default_factory=dict)
    rows: list[list[Any]] = field(default_factory=list)
    json: str = ''


def open_file(path: str | None) -> tuple[Picture | None, list[str], str]:
    """Open the file of a user.

    Args:
        path: Path of the file; None if there is none.

    Returns:
        The image, whom one can choose in it, and what is wrong, as HTML; an empty text if nothing.
    """
    if path is None:
        return None, [], note_of('Give an image, or take one of the drawn ones.')
    try:
        picture = open_picture(path)
    except (OSError, ValueError) as error:
        return None, [], note_of(str(error), wrong=True)
    return picture, [*(str(number + 1) for number in range(len(picture.boxes))), WHOLE], ''


def answer_of(picture: Picture, person: str, model: str) -> Answer:
    """Look at a person of an image, and draw what was seen.

    Args:
        picture: The image.
        person: See ``look_at``.
        model: Name of the model.

    Returns:
        What the page shows. If the person is wrong, or the model needs a package that is missing,
            the note says so, and there is nothing else.
    """
    try:
        look = look_at(picture, person, model)
    except (ValueError, ImportError) as error:  # timm may be missing
        return Answer(note_of(str(error), wrong=True))
    poses, chosen = look.poses, look.chosen
    return Answer(
        note_of(_found(picture, person, float(poses.scores[chosen].mean()))),
        look,
        people_picture(poses, chosen),
        older_pictures(look),
        rows_of(look),
        poses.to_json(),
    )


def older_pictures(look: Look) -> dict[str, Image]:
    """Draw what the older models of the body, and the last stage, make of stage 1.

    Args:
        look: What a model saw.

    Returns:
        Labels -> (SIDE, SIDE, 3), RGB. Labels have the number of joints that are elsewhere than in
            stage 1.
    """
    stages = look.stages
    readings = {**look.older, f'stage {len(look.readings)}': look.readings[-1]}
    pictures = {}
    for name, reading in readings.items():
        moved = reading.moved(look.readings[0], len(stages.crop))
        label = 'stage 1' if name == NOTHING else f'{name}: {moved} moved'
        pictures[label] = pose_picture(
            stages.crop, reading.keypoints, reading.scores, stages.joints
        )
    return pictures


def stage_pictures(look: Look | None, stage: int, joint: str) -> tuple[Image | None, Image | None]:
    """Draw what a stage believes, and the pose that it gives.

    Args:
        look: What a model saw; None gives no pictures.
        stage: Number of the stage, from 1; the last one if there are fewer.
        joint: Name of a joint as spoken, or ``'all joints'``.

    Returns:
        Belief maps on the crop, and the skeleton on the crop, both (SIDE, SIDE, 3), RGB.
    """
    if look is None:
        return None, None
    stages = look.stages
    reading = look.readings[min(stage, len(look.readings)) - 1]
    names = [spoken(name) for name in stages.joints.names]
    channel = names.index(joint) if joint in names else None
    return (
        belief_picture(stages.crop, reading.maps, channel),
        pose_picture(stages.crop, reading.keypoints, reading.scores, stages.joints),
    )


def note_of(text: str, *, wrong: bool = False) -> str:
    """Return a sentence as HTML; one on what is wrong in red, and told to screen readers."""
    kind, role = ('note error', 'alert') if wrong else ('note', 'status')
    return f'<div class="{kind}" role="{role}">{html.escape(text)}</div>'


def _found(picture: Picture, person: str, score: float) -> str:
    """Say who was found in an image, and who is shown."""
    count = len(picture.boxes)
    people = {0: 'Nobody found', 1: 'One person found'}.get(count, f'{count} people found')
    shown = f'the box {person}' if ',' in person else f'person {person}'
    if person == WHOLE:
        shown = 'the whole image as one person'
    return f'{people} in {picture.path.name}. Shown is {shown}, with a mean belief of {score:.2f}.'
