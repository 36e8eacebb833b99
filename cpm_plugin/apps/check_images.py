"""Image files of a dataset, looked at as MMPose's ``LoadImage`` reads them."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image

import mmcv

# An image of 16 bits is taken for black below this value of 8 bits: it has 12 bits or fewer.
_DARK = 16
# First bytes of files of which Pillow may not know the format, where they are cut off early.
_STARTS = {
    b'\xff\xd8': 'JPEG',
    b'\x89PNG': 'PNG',
    b'RIFF....WEBP': 'WebP',
    b'II\\*\0|MM\0\\*': 'TIFF',
    b'BM': 'BMP',
}
# What a decoder prints for a damaged image that it reads all the same.
_COMPLAINT = re.compile(r'corrupt|premature|crc|truncat|invalid|incomplete', re.IGNORECASE)


class ImageCheck(NamedTuple):
    """Result for one image.

    Attributes:
        size: Width and height in pixels, as ``LoadImage`` gives it. None if it cannot be read.
        found: Kinds of ``check_report.KINDS``, each with its value.
    """

    size: tuple[int, int] | None
    found: tuple[tuple[str, str], ...]


class _Header(NamedTuple):
    """What Pillow says of an image without decoding it."""

    format: str
    mode: str
    orientation: int
    bits: int
    alpha: bool

    @property
    def deep(self) -> bool:
        return self.mode == 'F' or self.bits > 16


def check_image(path: str) -> ImageCheck:
    """Read an image as ``LoadImage`` does by default: by OpenCV, as BGR of 8 bits.

    Args:
        path: Path of the file.

    Returns:
        Its size, and what was found.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return ImageCheck(None, (('missing', ''),))
    except (OSError, ValueError) as error:
        return ImageCheck(None, (('unreadable', str(error)),))
    if not data:
        return ImageCheck(None, (('empty', ''),))
    try:
        header, reason = _header(data), ''
    except Image.DecompressionBombError as error:
        return ImageCheck(None, (('giant', str(error).partition(',')[0]),))
    except Image.UnidentifiedImageError:
        header, reason = None, ''
    except Exception as error:  # Pillow's plugins raise nearly anything for broken files
        header, reason = None, str(error)
    image, complaint = _decode(data)
    if image is None:
        return ImageCheck(None, (_reason(data, header, reason),))
    height, width = image.shape[:2]
    found = list(_notes(header, image)) if header else []
    if complaint:
        kind, text = _reason(data, header, reason)
        found.append((kind, text) if kind == 'truncated' else ('damaged', complaint))
    return ImageCheck((width, height), tuple(found))


def _header(data: bytes) -> _Header:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of large images and broken EXIF
        with Image.open(io.BytesIO(data)) as image:
            bits = 16 if image.mode.startswith('I') else 8
            if image.format == 'PNG':
                bits = data[24]  # IHDR; Pillow has 8 bits for colors of 16
            elif image.format == 'TIFF':
                bits = int(np.max(image.tag_v2.get(258, 1)))  # type: ignore[attr-defined]
            return _Header(
                image.format or '',
                image.mode,
                # Without EXIF, Pillow would decode a PNG, or take XMP, which OpenCV does not.
                image.getexif().get(ExifTags.Base.Orientation, 1)
                if image.format == 'TIFF' or 'exif' in image.info
                else 1,
                bits,
                image.mode in ('RGBA', 'LA', 'PA') or 'transparency' in image.info,
            )


def _decode(data: bytes) -> tuple[np.ndarray | None, str]:
    """Return the image, None if it cannot be read, and the decoder's complaint."""
    with _captured_errors() as printed:
        try:
            image = mmcv.imfrombytes(data, flag='color', backend='cv2')
        except Exception:  # cv2.error, and MemoryError
            image = None
    return image, next((line for line in printed if _COMPLAINT.search(line)), '')


@contextmanager
def _captured_errors() -> Iterator[list[str]]:
    """Catch the lines that C libraries print to standard error; they are there afterwards."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.read().decode(errors='replace').splitlines()


def _reason(data: bytes, header: _Header | None, reason: str) -> tuple[str, str]:
    """Say why OpenCV cannot read an image."""
    if header is None:
        for start, name in _STARTS.items():
            if re.match(start, data, re.DOTALL):
                return (
                    'truncated',
                    f'{name} by its first bytes; {reason or "the rest is not there"}',
                )
        return 'unreadable', reason or 'no image by its first bytes'
    if header.deep:
        return 'float', f'{header.format}, {header.mode}'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(data)) as image:
                image.load()
    except Exception as error:
        kind = 'truncated' if 'trunc' in str(error).lower() else 'unreadable'
        return kind, f'{header.format}: {error}'
    return 'unreadable', f'{header.format}, {header.mode}: OpenCV cannot decode it'


@cache
def applies_orientation(name: str) -> bool:
    """Try whether ``LoadImage`` turns images of a format as EXIF says.

    OpenCV 4.11 does so for JPEG, PNG and TIFF, and not for WebP; OpenCV 5.0 does so for all four.

    Args:
        name: Name of the format, as Pillow has it.

    Returns:
        Whether it does; False if an image of this format cannot be written.
    """
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6
    try:
        # MPO, of phones, is JPEG with further images behind it.
        Image.new('RGB', (2, 1)).save(file, 'JPEG' if name == 'MPO' else name, exif=exif)
    except (KeyError, OSError):
        return False
    image, _ = _decode(file.getvalue())
    return image is not None and image.shape[:2] == (2, 1)


def _notes(header: _Header, image: np.ndarray) -> Iterator[tuple[str, str]]:
    if header.orientation in range(2, 9):
        kind = 'rotated' if applies_orientation(header.format) else 'exif_ignored'
        yield kind, f'{header.format}, orientation {header.orientation}'
    if header.deep:
        yield 'float', f'{header.format}, {header.mode}'
    if header.bits == 16:
        brightest = int(image.max())
        dark = brightest < _DARK
        yield 'dark_16_bit' if dark else '16_bit', f'brightest pixel: {brightest} of 255'
    if header.mode in ('L', 'LA', '1') or header.mode.startswith('I'):
        yield 'grey', header.mode
    if header.mode == 'CMYK':
        yield 'cmyk', header.format
    if header.alpha:
        yield 'alpha', header.mode


def check_images(paths: Sequence[str], workers: int = 1) -> Iterator[ImageCheck]:
    """Check images, in several processes, which start at once.

    Args:
        paths: Paths of the files.
        workers: Number of processes. 1: this one.

    Returns:
        The result for each path, in their order. Where a process dies, it raises ValueError.
    """
    if workers == 1:
        return map(check_image, paths)
    # A process forked from one that used OpenCV's threads would wait for them for ever.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    context = multiprocessing.get_context('fork' if os.name == 'posix' else 'spawn')
    pool = ProcessPoolExecutor(workers, mp_context=context)
    results = pool.map(check_image, paths, chunksize=16)
    cv2.setNumThreads(threads)
    return _results(pool, results)


def _results(pool: ProcessPoolExecutor, results: Iterator[ImageCheck]) -> Iterator[ImageCheck]:
    try:
        yield from results
    except BrokenProcessPool as error:
        raise ValueError(
            f'a process that read images has died ({error}), perhaps for want of memory; use fewer '
            '--workers'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
