"""Images as the models want them, (H, W, 3) in BGR, however they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def read_image(source: Any) -> Image:
    """Read an image as OpenCV does, from a file, a PIL image or an array.

    Files and PIL images are turned upright by their EXIF orientation, in every format. Greyscale,
    palette and CMYK images become color images. A transparent one loses its transparency. Of 16
    bits the upper 8 are kept.

    Args:
        source: Path of a file, or PIL image. Or an array of uint8: (H, W, 3) or (H, W, 4) in BGR
            order, as OpenCV reads it, or (H, W), greyscale.

    Returns:
        (H, W, 3) of uint8, in BGR order.

    Raises:
        ValueError: If the file is missing or not an image, the values are not 8 or 16 bits, or an
            array has another shape. The message names it.
        ImportError: If Pillow is needed and missing.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core.prediction import read_image
        >>> read_image(np.zeros((4, 6), np.uint8)).shape
        (4, 6, 3)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, str | Path):
        return _from_file(Path(source))
    if hasattr(source, 'getexif') and hasattr(source, 'convert'):
        return _from_pil(source, 'the image')
    raise ValueError(
        f'{type(source).__name__} is no image: give a path, a PIL image, or an array (H, W, 3) of '
        'uint8 in BGR order'
    )


def pillow() -> Any:
    """Import Pillow.

    Returns:
        The package ``PIL``.

    Raises:
        ImportError: If it is missing. The message says how to install it.
    """
    try:
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
        import PIL.ImageOps
    except ImportError as error:
        raise ImportError(
            "reading and drawing images needs Pillow: pip install 'cpm_plugin[images]'"
        ) from error
    return PIL


def _from_array(array: npt.NDArray[Any]) -> Image:
    if array.dtype != np.uint8:
        raise ValueError(
            f'an array of {array.dtype}: the values must be uint8, 0 to 255; convert it, for '
            'example (255 * image).round().astype(np.uint8) where they are 0 to 1'
        )
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or not array.size:
        raise ValueError(
            f'an array of shape {array.shape}: expected (H, W, 3) or (H, W, 4) in BGR order, or '
            '(H, W), and at least one pixel'
        )
    return np.ascontiguousarray(array[..., :3])


def _from_file(path: Path) -> Image:
    if not path.is_file():
        raise ValueError(f'{path}: no such file')
    if not path.stat().st_size:
        raise ValueError(f'{path} cannot be read as an image: it is empty (0 bytes)')
    images = pillow().Image
    try:
        with images.open(path) as image:
            image.load()
    except Exception as error:  # Pillow's readers raise nearly anything for a broken file
        raise ValueError(f'{path} cannot be read as an image: {error}') from error
    return _from_pil(image, str(path))


def _from_pil(image: Any, name: str) -> Image:
    if image.mode == 'F' or image.mode == 'I':
        raise ValueError(
            f'{name} has values of 32 bits (mode {image.mode}), whose black and white are unknown; '
            'convert it to 8 bits'
        )
    image = pillow().ImageOps.exif_transpose(image)
    if image.mode.startswith('I;16'):
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return _from_array(grey)
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
