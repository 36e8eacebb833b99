"""Refusal of broken images by MMPose's ``LoadImage``, with the name of the file."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

from PIL import Image

from mmpose.datasets.transforms import LoadImage


def refuse_too_large(path: str | Path) -> None:
    """Refuse an image whose header claims so many pixels that they would fill the memory.

    OpenCV takes the memory before it looks for the pixels, 3 GB and more. The bound is Pillow's,
    179 million pixels. Only the header is read.

    Args:
        path: Path of the file. What is no image passes; its decoder refuses it.

    Raises:
        ValueError: If there are too many, or the header of a PNG is broken, whose size OpenCV
            believes. The message names the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            Image.open(path).close()
    except Image.DecompressionBombError as error:
        raise ValueError(
            f'{path} is not read as an image: {error} If it is genuine, make it smaller'
        ) from error
    except Exception as error:
        if _starts_as_png(path):
            raise ValueError(
                f'{path} cannot be read as an image: the header of the PNG is broken'
            ) from error


def _starts_as_png(path: str | Path) -> bool:
    try:
        with open(path, 'rb') as file:
            return file.read(4) == b'\x89PNG'
    except OSError:
        return False


def _as_an_image(transform: Any) -> Any:
    """Wrap ``LoadImage.transform``: what is no image is refused by its name."""

    @functools.wraps(transform)
    def transform_by_name(self: LoadImage, results: dict) -> dict | None:
        if 'img' in results:
            return transform(self, results)
        path = results['img_path']
        refuse_too_large(path)
        try:
            return transform(self, results)
        except FileNotFoundError:
            raise
        except Exception as error:  # as for an image that the decoder gives up, None
            raise ValueError(
                f'{path} cannot be read as an image: it is broken or something else; restore it, '
                'or leave its annotations out'
            ) from error

    return transform_by_name


def install() -> None:
    """Extend MMPose's ``LoadImage``, once."""
    if not hasattr(LoadImage.transform, '__wrapped__'):
        LoadImage.transform = _as_an_image(LoadImage.transform)
