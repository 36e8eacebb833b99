"""Images and videos of users: read, written, and those that are read never written over."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

import mmcv

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg')


def inputs_of(path: Path) -> list[Path]:
    """An image or a video by itself; of a folder its images and videos, by name.

    Raises:
        ValueError: Naming the path, if it is neither or there are none in it.
    """
    kinds = (*IMAGES, *VIDEOS)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in kinds)
        if not found:
            raise ValueError(f'no images or videos in {path}; kinds are {", ".join(kinds)}')
        return found
    if not path.is_file():
        raise ValueError(f'{path}: no such file or folder')
    if path.suffix.lower() not in kinds:
        raise ValueError(f'{path} is no image or video by its name; kinds: {", ".join(kinds)}')
    return [path]


def check_outputs(
    files: Sequence[Path], out_dir: Path, taken: Sequence[Path] = (), *, stages: bool = False
) -> None:
    """Raise ValueError if two inputs would write the same file, or one would write over an input.

    Args:
        files: The inputs; what is made of them has their names, but for the suffix.
        taken: Other files that must not be written over.
        stages: Whether there are ``stages_name`` beside them.
    """
    names: dict[str, Path] = {}
    inputs = {path.resolve() for path in (*files, *taken)}
    for path in files:
        other = names.setdefault(path.stem, path)
        if other is not path:
            raise ValueError(
                f'{other.name} and {path.name} would write the same files; show them one at a '
                'time, with another --out-dir, or rename one'
            )
        of_stages = re.compile(re.escape(path.stem) + r'_stages(_\d+)?\.png')
        for other in files if stages else ():
            if of_stages.fullmatch(drawing_name(other)):
                raise ValueError(
                    f'the stages of {path.name} and {other.name} would write the same file; show '
                    'them one at a time, with another --out-dir, or rename one'
                )
        for name in (drawing_name(path), f'{path.stem}.json'):
            if (out_dir / name).resolve() in inputs:
                raise ValueError(
                    f'{out_dir / name} is an input and would be written over; give another '
                    '--out-dir'
                )


def drawing_name(path: Path) -> str:
    """The file that an image's or video's drawing is written to."""
    return f'{path.stem}.mp4' if path.suffix.lower() in VIDEOS else path.name


def stages_name(path: Path, number: int, count: int) -> str:
    """The file of the stages of an image's person, 1 to count."""
    return f'{path.stem}_stages.png' if count == 1 else f'{path.stem}_stages_{number}.png'


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) BGR. Raises ValueError, naming the file, if it cannot be read."""
    try:
        image = mmcv.imread(path)
    except Exception as error:
        raise ValueError(f'{path} cannot be read as an image: {error}') from error
    if image is None:
        raise ValueError(f'{path} cannot be read as an image: it is broken or something else')
    return image


def write_image(path: Path, image: np.ndarray) -> None:
    """Raises ValueError, naming the file, if it cannot be written."""
    try:
        done = cv2.imwrite(str(path), image)
    except cv2.error as error:
        raise ValueError(f'{path} cannot be written: {error}') from error
    if not done:
        raise ValueError(f'{path} cannot be written; is it a folder, or the disk full?')


class Video:
    """Frames of a video, (H, W, 3) BGR, and what is needed to write another one like it.

    Raises:
        ValueError: Naming the file, if there is nothing to read.

    Attributes:
        missing: After iteration, how many frames fewer there were than the header promises.
    """

    def __init__(self, path: Path) -> None:
        self.missing = 0
        self.reader = mmcv.VideoReader(str(path))
        if not len(self.reader):
            raise ValueError(f'{path} cannot be read as a video: OpenCV finds no frame in it')

    def __len__(self) -> int:
        return len(self.reader)

    def __iter__(self) -> Iterator[np.ndarray]:
        count = 0
        for frame in self.reader:
            yield frame
            count += 1
        self.missing = len(self) - count

    def write(self, path: Path, frames: Iterable[np.ndarray]) -> None:
        """Write frames of the same size and rate, MPEG-4, all of them or no file."""
        size = (self.reader.width, self.reader.height)
        part = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
        writer = cv2.VideoWriter(
            str(part), cv2.VideoWriter.fourcc(*'mp4v'), self.reader.fps or 25, size
        )
        if not writer.isOpened():
            raise ValueError(f'{path} cannot be written: this OpenCV has no MPEG-4 encoder for it')
        try:
            for frame in frames:
                writer.write(frame)
            writer.release()
            part.replace(path)
        finally:
            writer.release()
            part.unlink(missing_ok=True)
