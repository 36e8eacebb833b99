"""Files that programs write: checked before the work, and written completely or not at all.

Every function raises ValueError that names the file and the reason.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..core.weights.files import write_whole


def check_folder(path: Path) -> None:
    """Check that a folder can be written into. It need not exist, and is not made.

    Args:
        path: Path of the folder.

    Raises:
        ValueError: If it cannot, for example because it is a file or the disk is full.
    """
    place = path.absolute()
    while not os.path.exists(place):
        place = place.parent
    if not place.is_dir():
        raise ValueError(f'{path} cannot be a folder: {place} is a file; give another folder')
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        raise ValueError(
            f'{path} cannot be written into: {error.strerror or error}; give another folder, or '
            'make room'
        ) from error


def check_file(path: Path) -> None:
    """Check that a file can be written; see ``check_folder``.

    Args:
        path: Path of the file. A file that is there may be replaced.

    Raises:
        ValueError: If it cannot.
    """
    _refuse_other_than_file(path)
    check_folder(path.parent)


def check_figure(path: Path) -> None:
    """Check that a figure can be written; see ``check_file``.

    Args:
        path: Path of the file. Its suffix says the format.

    Raises:
        ValueError: If it cannot, or Matplotlib has no such format.
    """
    from matplotlib.figure import Figure

    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix.lower().lstrip('.') not in kinds:
        raise ValueError(
            f'{path} is no image by its name; kinds: {", ".join(f".{kind}" for kind in kinds)}'
        )
    check_file(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, and make its folder.

    Args:
        path: Path of the file. If it is a link, the file that it leads to is written.
        content: Bytes of the file.

    Raises:
        ValueError: If it cannot be written.
    """
    _refuse_other_than_file(path)
    try:
        write_whole(path.resolve(), content)
    except OSError as error:
        raise ValueError(f'{path} cannot be written: {error.strerror or error}') from error


def write_text(path: Path, text: str) -> None:
    """Write a text file; see ``write_bytes``.

    Args:
        path: Path of the file.
        text: Text of the file.

    Raises:
        ValueError: If it cannot be written.
    """
    write_bytes(path, text.encode())


def write_figure(path: Path, figure: Any, dpi: int) -> None:
    """Write a Matplotlib figure; see ``write_bytes``.

    Args:
        path: Path of the file. Its suffix says the format.
        figure: The figure.
        dpi: Pixels per inch of the figure's size.

    Raises:
        ValueError: If it cannot be written, or Matplotlib has no such format.
    """
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.lower().lstrip('.'), dpi=dpi)
    write_bytes(path, content.getvalue())


def _refuse_other_than_file(path: Path) -> None:
    """Raise ValueError if there is something under the path that is not a file."""
    if path.is_dir():
        raise ValueError(f'{path} cannot be written: it is a folder; give the name of a file')
    if os.path.exists(path) and not path.is_file():  # a device must not be replaced by a file
        raise ValueError(f'{path} cannot be written: it is no file; give the name of a file')


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image completely or not at all.

    Args:
        path: Path of the file.
        image: (H, W, 3), BGR.

    Raises:
        ValueError: If the file cannot be written. The message names it.
    """
    import cv2

    try:
        done, content = cv2.imencode(path.suffix, image)
    except cv2.error as error:
        raise ValueError(f'{path} cannot be written: {error}') from error
    if not done:
        raise ValueError(f'{path} cannot be written: OpenCV has no encoder for it')
    write_bytes(path, content.tobytes())
