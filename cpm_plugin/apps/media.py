"""The user's images and videos: which there are, and what they are written to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from .arguments import camera_number

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg')


def is_video(path: Path) -> bool:
    """Tell whether an input is a video or a camera, by its name."""
    return path.suffix.lower() in VIDEOS or camera_number(path) is not None


def inputs_of(path: Path) -> list[Path]:
    """List the images and videos of a path.

    Args:
        path: An image, a video, a folder with images and videos, or a camera.

    Returns:
        The files; those of a folder by name.

    Raises:
        ValueError: If the path is none of these, or the folder has none. The message names it.
    """
    kinds = (*IMAGES, *VIDEOS)
    if camera_number(path) is not None:
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in kinds and not p.is_dir())
        if not found:
            raise ValueError(f'no images or videos in {path}; kinds are {", ".join(kinds)}')
        return found
    if not path.is_file():
        raise ValueError(f'{path}: no such file or folder')
    if path.suffix.lower() not in kinds:
        raise ValueError(f'{path} is no image or video by its name; kinds: {", ".join(kinds)}')
    return [path]


def check_outputs(
    files: Sequence[Path],
    out_dir: Path,
    taken: Sequence[Path] = (),
    *,
    stages: bool = False,
    drawing: Callable[[Path], str] | None = None,
) -> None:
    """Check that no two inputs write the same file, and that no input is overwritten.

    Args:
        files: Inputs. Their outputs have the same names, with other suffixes.
        out_dir: Folder of the outputs.
        taken: Other files that must not be overwritten.
        stages: Whether the files of ``stages_name`` and ``fields_name`` are written too.

    Raises:
        ValueError: If an output has the name of another output or of an input, or there is a video
            among the inputs and ``stages`` is true.
    """
    names: dict[str, Path] = {}
    inputs = {path.resolve() for path in (*files, *taken)}
    for path in files:
        if stages and is_video(path):
            raise ValueError(
                f'{path.name} is a video, and --stages draws the stages of images only; leave it '
                'out, or give the images alone'
            )
        other = names.setdefault(path.stem, path)
        if other is not path:
            raise ValueError(
                f'{other.name} and {path.name} would write the same files; show them one at a '
                'time, with another --out-dir, or rename one'
            )
        of_stages = re.compile(re.escape(path.stem) + r'_(stages(_\d+)?|fields)\.png')
        for other in files if stages else ():
            if of_stages.fullmatch(drawing_name(other)):
                raise ValueError(
                    f'the stages of {path.name} and {other.name} would write the same file; show '
                    'them one at a time, with another --out-dir, or rename one'
                )
        for name in ((drawing or drawing_name)(path), f'{stem_of(path)}.json'):
            if (out_dir / name).resolve() in inputs:
                raise ValueError(
                    f'{out_dir / name} is an input and would be written over; give another '
                    '--out-dir'
                )


def drawing_name(path: Path) -> str:
    """Return the name of the file that the drawing of an image or video is written to."""
    return f'{stem_of(path)}.mp4' if is_video(path) else path.name


def stem_of(path: Path) -> str:
    """Return the name of an input's outputs, without suffix."""
    return path.stem.replace(':', '_') if camera_number(path) is not None else path.stem


def stages_name(path: Path, number: int, count: int) -> str:
    """Return the name of the file for the stages of one person in an image.

    Args:
        path: Path of the image.
        number: Number of the person, from 1 to ``count``.
        count: Number of people in the image.

    Returns:
        File name.
    """
    return f'{path.stem}_stages.png' if count == 1 else f'{path.stem}_stages_{number}.png'


def fields_name(path: Path) -> str:
    """Return the name of the file for the affinity fields of an image."""
    return f'{path.stem}_fields.png'
