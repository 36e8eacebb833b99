"""Reading and writing of the user's images and videos, without overwriting an input."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from .outputs import check_file, write_bytes

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg')


def inputs_of(path: Path) -> list[Path]:
    """List the images and videos of a path.

    Args:
        path: An image, a video, or a folder with images and videos.

    Returns:
        The files; those of a folder by name.

    Raises:
        ValueError: If the path is none of these, or the folder has none. The message names it.
    """
    kinds = (*IMAGES, *VIDEOS)
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
    files: Sequence[Path], out_dir: Path, taken: Sequence[Path] = (), *, stages: bool = False
) -> None:
    """Check that no two inputs write the same file, and that no input is overwritten.

    Args:
        files: Inputs. Their outputs have the same names, with other suffixes.
        out_dir: Folder of the outputs.
        taken: Other files that must not be overwritten.
        stages: Whether the files of ``stages_name`` are written too.

    Raises:
        ValueError: If an output has the name of another output or of an input, or there is a video
            among the inputs and ``stages`` is true.
    """
    names: dict[str, Path] = {}
    inputs = {path.resolve() for path in (*files, *taken)}
    for path in files:
        if stages and path.suffix.lower() in VIDEOS:
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
    """Return the name of the file that the drawing of an image or video is written to."""
    return f'{path.stem}.mp4' if path.suffix.lower() in VIDEOS else path.name


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


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image completely or not at all.

    Args:
        path: Path of the file.
        image: (H, W, 3), BGR.

    Raises:
        ValueError: If the file cannot be written. The message names it.
    """
    try:
        done, content = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise ValueError(f'{path} cannot be written: {error}') from error
    if not done:
        raise ValueError(f'{path} cannot be written: OpenCV has no encoder for it')
    write_bytes(path, content.tobytes())


class Video:
    """Video whose frames are upright, and that can write another video like it.

    Args:
        path: Path of the file.

    Attributes:
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
        rate: Frames a second; 25 if the file does not say.
        total: Number of frames, as the file says; None if it does not, as of a recorded stream.
        missing: After iteration, number of frames that the file promises and that could not be
            read.

    Raises:
        ValueError: If there is nothing to read. The message names the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.missing = 0
        capture = self._open()
        read, frame = capture.read()
        if not read:
            raise ValueError(f'{path} cannot be read as a video: OpenCV finds no frame in it')
        self.height, self.width = frame.shape[:2]
        rate, total = (capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.rate = rate if 0 < rate < 1000 else 25.0
        self.total = int(total) if total >= 1 else None
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        # Phones note how the camera was held; without this, OpenCV may leave it to the caller.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        return capture

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames (H, W, 3), BGR."""
        capture, count = self._open(), 0
        try:
            while True:
                read, frame = capture.read()
                if not read:
                    break
                yield frame
                count += 1
        finally:
            capture.release()
        self.missing = max(0, (self.total or 0) - count)

    def write(self, path: Path, frames: Iterable[np.ndarray]) -> None:
        """Write a video (MPEG-4) with the same size and frame rate, completely or not at all.

        Args:
            path: Path of the file.
            frames: Frames (H, W, 3), BGR.

        Raises:
            ValueError: If the file cannot be written. The message names it.
        """
        check_file(path)
        size = (self.width, self.height)
        target = path.resolve()  # a link stays one
        part = target.with_name(f'.{target.stem}.{os.getpid()}{target.suffix}')
        writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*'mp4v'), self.rate, size)
        try:
            if not writer.isOpened():
                raise ValueError(
                    f'{path} cannot be written: this OpenCV cannot encode {size[0]}x{size[1]} at '
                    f'{self.rate:g} frames a second as MPEG-4; convert the input first'
                )
            count = 0
            for frame in frames:
                writer.write(frame)
                count += 1
            writer.release()
            if (whole := _frames_in(part)) < count:  # OpenCV does not tell
                raise ValueError(
                    f'{path} cannot be written: {whole} of {count} frames are in it; is the disk '
                    'full?'
                )
            part.replace(target)
        finally:
            writer.release()
            part.unlink(missing_ok=True)


def _frames_in(path: Path) -> int:
    """Count the frames of a video that can be read."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count
