"""Videos and cameras: their frames, and videos written like them."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from .arguments import camera_number
from .outputs import check_file


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
        """Write a video (MPEG-4) with the same frame rate, completely or not at all.

        Args:
            path: Path of the file.
            frames: One or more frames (H, W, 3), BGR, all of one size.

        Raises:
            ValueError: If the file cannot be written. The message names it.
        """
        check_file(path)
        frames = iter(frames)
        first = next(frames, None)
        if first is None:
            raise ValueError(f'{path} cannot be written: there is no frame')
        height, width = first.shape[:2]
        target = path.resolve()  # a link stays one
        part = target.with_name(f'.{target.stem}.{os.getpid()}{target.suffix}')
        writer = cv2.VideoWriter(
            str(part), cv2.VideoWriter.fourcc(*'mp4v'), self.rate, (width, height)
        )
        try:
            if not writer.isOpened():
                raise ValueError(
                    f'{path} cannot be written: this OpenCV cannot encode {width}x{height} at '
                    f'{self.rate:g} frames a second as MPEG-4; convert the input first'
                )
            count = 0
            for frame in itertools.chain([first], frames):
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


class Camera(Video):
    """Frames of a camera, until Ctrl-C.

    Args:
        number: Number of the camera.

    Attributes:
        rate: Frames a second; while writing, that of the first frames, as long as they take.

    Raises:
        ValueError: If there is no such camera.
    """

    _MEASURED = 10  # frames

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(Path(f'webcam:{number}'))
        self.total = None

    def _open(self) -> cv2.VideoCapture:
        return cv2.VideoCapture(self.number)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames (H, W, 3), BGR."""
        stopped = []
        before = signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
        try:
            for frame in super().__iter__():
                yield frame
                if stopped:
                    break
        finally:
            signal.signal(signal.SIGINT, before)
        self.missing = 0

    def write(self, path: Path, frames: Iterable[np.ndarray]) -> None:
        """Write a video as fast as its frames come; see ``Video.write``."""
        frames, start = iter(frames), time.perf_counter()
        first = list(itertools.islice(frames, self._MEASURED))
        self.rate = len(first) / (time.perf_counter() - start)
        super().write(path, itertools.chain(first, frames))


def open_video(path: Path) -> Video:
    """Open a video file or a camera.

    Args:
        path: See ``inputs_of``.

    Returns:
        The video.

    Raises:
        ValueError: If there is nothing to read. The message names it.
    """
    number = camera_number(path)
    return Video(path) if number is None else Camera(number)


def _frames_in(path: Path) -> int:
    """Count the frames of a video that can be read."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count
