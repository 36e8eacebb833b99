"""Outputs of ``tools/demo.py`` for an image or a video: drawings, belief maps and positions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from ..core.prediction import Poses, read_image
from ..core.prediction.crops import check_box
from . import demo, media
from .outputs import write_figure, write_image, write_text
from .videos import open_video

Finder = demo.DetectedPeople | demo.SeveralPeople


class Outputs(NamedTuple):
    """What is written.

    Attributes:
        folder: Folder that is there.
        threshold: Smallest belief of a joint that is drawn.
        stages: Whether the belief maps of each stage are drawn, of images.
        json: Whether the positions are written.
    """

    folder: Path
    threshold: float
    stages: bool
    json: bool


def show_image(
    model: Any,
    path: Path,
    boxes: np.ndarray | None,
    outputs: Outputs,
    finder: Finder | None = None,
) -> None:
    """Write the outputs for an image, and print their paths.

    Args:
        model: Model of ``demo.load_model``.
        path: Path of the image.
        boxes: Bounding boxes of people in pixels, (number, 4) as x1, y1, x2, y2. None: the finder
            finds the people.
        outputs: What to write.
        finder: What finds people, if there are no boxes. Of a network for several people the fields
            are drawn, too, with ``outputs.stages``.

    Raises:
        ValueError: If the image cannot be read, has no box or one outside of it, nobody is found in
            it, or an output cannot be written.
    """
    image = read_image(path)
    if boxes is not None:
        _check_boxes(path, boxes, image.shape[1::-1])
    poses = _poses(model, image, boxes, finder)
    if not len(poses):
        raise ValueError(f'{path}: nobody is found; give --boxes')
    everybody = finder if boxes is None and isinstance(finder, demo.SeveralPeople) else None
    written = [outputs.folder / media.drawing_name(path)]
    write_image(written[0], _draw(poses, outputs))
    count = f'{len(poses)} {"person" if len(poses) == 1 else "people"}'
    drawn = poses.drawn(outputs.threshold)
    _tell(f'{written[0]}: {count}', drawn, poses.scores.max(), outputs.threshold)
    if outputs.stages and everybody is not None:
        written.append(outputs.folder / media.fields_name(path))
        write_figure(written[-1], demo.fields_of_image(image, everybody.network), dpi=110)
    if outputs.stages and not (everybody and everybody.alone):
        for number, box in enumerate(poses.boxes, start=1):
            written.append(outputs.folder / media.stages_name(path, number, len(poses)))
            write_figure(written[-1], demo.stages_figure(model, image, box), dpi=110)
    if outputs.json:
        written.append(outputs.folder / f'{path.stem}.json')
        write_text(written[-1], poses.to_json() + '\n')
    for other in written[1:]:
        print(other)


def show_video(
    model: Any,
    path: Path,
    boxes: np.ndarray | None,
    outputs: Outputs,
    finder: Finder | None = None,
) -> None:
    """Write the outputs for a video, and print their paths.

    Args:
        model: Model of ``demo.load_model``.
        path: Path of the video.
        boxes: See ``show_image``.
        outputs: What to write.
        finder: See ``show_image``.

    Raises:
        ValueError: If the video cannot be read to the end, has no box or one outside of it, or an
            output cannot be written.
    """
    video = open_video(path)
    if boxes is not None:
        _check_boxes(path, boxes, (video.width, video.height))
    found: list[dict] = []
    names: dict[str, Any] = {}
    drawn: list[np.ndarray] = []  # of each frame, which joints
    best = 0.0

    def frames() -> Iterator[np.ndarray]:
        nonlocal best
        for number, frame in enumerate(track(video, description=path.name, total=video.total)):
            poses = _poses(model, frame, boxes, finder)
            names.update(poses.names())
            found.append({'frame_id': number, 'people': poses.people()})
            drawn.append(poses.drawn(outputs.threshold))
            best = max(best, poses.scores.max(initial=0.0))
            yield _draw(poses, outputs)

    out = outputs.folder / media.drawing_name(path)
    video.write(out, frames())
    _tell(f'{out}: {len(drawn)} frames', np.concatenate(drawn), best, outputs.threshold)
    if outputs.json:
        positions = outputs.folder / f'{media.stem_of(path)}.json'
        write_text(positions, json.dumps({**names, 'frames': found}) + '\n')
        print(positions)
    if video.missing:
        raise ValueError(
            f'{path} is incomplete: {video.missing} of {video.total} frames could not be read; the '
            'others are in the output'
        )


def _poses(model: Any, image: np.ndarray, boxes: np.ndarray | None, finder: Finder | None) -> Poses:
    """Return the poses of the people in the boxes, or of those who are found."""
    if boxes is not None:
        return demo.predict(model, image, boxes)
    if finder is None:
        raise ValueError('no boxes, and nothing that finds people; give one of them')
    return finder.poses(model, image)


def _check_boxes(path: Path, boxes: np.ndarray, size: Sequence[int]) -> None:
    """Raise ValueError if an input of (width, height) has no box, or one that is outside of it."""
    if not len(boxes):
        raise ValueError(f'--boxes has no box for {path.name}')
    try:
        for box in boxes:
            check_box(box, size)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def _draw(poses: Poses, outputs: Outputs) -> np.ndarray:
    """Draw poses on their image, with boxes, scores and the legend below: (H, W, 3), BGR."""
    drawn = poses.draw(threshold=outputs.threshold, boxes=True, legend=True)
    return np.ascontiguousarray(np.asarray(drawn)[..., ::-1])


def _tell(what: str, drawn: np.ndarray, best: float, threshold: float) -> None:
    """Print an output and how many joints are drawn in it, and warn if there is none."""
    print(f'{what}, {drawn.sum()} of {drawn.size} joints')
    if not drawn.any():
        why = 'all are outside the image' if drawn.size else 'nobody is found'
        if drawn.size and best < threshold:
            why = f'the largest belief is {best:.2f}, below --threshold {threshold:g}'
        print(f'warning: {what}, and no joint is drawn: {why}', file=sys.stderr)
