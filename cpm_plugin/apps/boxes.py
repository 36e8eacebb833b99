"""Bounding boxes that users give: ``--boxes`` of ``tools/demo.py`` and ``cpm predict``."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.prediction.crops import check_box


def parse_boxes(arguments: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the bounding boxes of ``--boxes``: a JSON file, or one box for each argument.

    The file maps names of images, without their folders, to lists of boxes. A box is x1, y1,
    x2, y2 in image pixels. Boxes that are given directly have the name ``''``.

    Args:
        arguments: Arguments of ``--boxes``.

    Returns:
        Names -> (N, 4).

    Raises:
        ValueError: If something is not a box. The message names it.
    """
    given: Any
    if not arguments:
        named = {}
    elif len(arguments) == 1 and arguments[0].endswith('.json'):
        try:
            given = json.loads(Path(arguments[0]).read_text())
            named = {str(name): boxes for name, boxes in given.items()}
        except (OSError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(
                f'{arguments[0]} is no file of boxes ({error}); it should contain '
                '{"image.jpg": [[x1, y1, x2, y2], ...], ...}'
            ) from error
    else:
        named = {'': [argument.split(',') for argument in arguments]}
    return {name: _boxes(name, boxes) for name, boxes in named.items()}


def _boxes(name: str, boxes: Any) -> np.ndarray:
    """Convert boxes to an array (N, 4); raise ValueError that names the first that is no box."""
    of = f' of {name}' if name else ''
    if not isinstance(boxes, list):
        raise ValueError(f'boxes {boxes}{of}: not a list of boxes; a box is x1,y1,x2,y2')
    found = np.zeros((len(boxes), 4), np.float32)
    for row, box in zip(found, boxes):
        try:
            row[:] = check_box([float(number) for number in box])
        except (OverflowError, TypeError, ValueError) as error:
            given = ','.join(map(str, box)) if isinstance(box, list) else box
            reason = str(error).split(': ', 1)[-1]  # without its own words for the box
            rule = '' if 'a box is' in reason else '; a box is x1,y1,x2,y2'
            raise ValueError(f'box {given}{of}: {reason}{rule}') from error
    return found


def check_names(boxes: Collection[str], files: Sequence[Path]) -> None:
    """Check that it is known which boxes are for which input.

    Args:
        boxes: Names of ``parse_boxes``.
        files: Inputs.

    Raises:
        ValueError: If there are boxes for a name that is not an input, or boxes without a name and
            several inputs.
    """
    named = f'{", ".join(path.name for path in files[:5])}{" ..." if len(files) > 5 else ""}'
    if '' in boxes and len(files) > 1:
        raise ValueError(
            f'--boxes gives boxes of one input, and there are {len(files)}: {named}; give one '
            'input, or a file {"image.jpg": [[x1, y1, x2, y2], ...], ...}'
        )
    if unknown := sorted(set(boxes) - {''} - {path.name for path in files}):
        raise ValueError(
            f'--boxes names {", ".join(unknown)}, which is not among the inputs: {named}'
        )
