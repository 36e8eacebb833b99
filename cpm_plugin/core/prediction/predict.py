"""``predict``: poses of people in images, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ..maps.belief_maps import decode_peaks
from ..models.network import ConvolutionalPoseMachine
from .crops import person_crop
from .images import Image, read_image
from .poses import Poses
from .stages import DEFAULT_MODEL, stage_beliefs, trained_network, usable

_BATCH = 32  # people that pass the network together


@overload
def predict(
    image: list[Any],
    boxes: Sequence[npt.ArrayLike | None] | None = ...,
    model: str | ConvolutionalPoseMachine = ...,
    *,
    device: str = ...,
    flip_test: bool = ...,
) -> list[Poses]: ...
@overload
def predict(
    image: Any,
    boxes: npt.ArrayLike | None = ...,
    model: str | ConvolutionalPoseMachine = ...,
    *,
    device: str = ...,
    flip_test: bool = ...,
) -> Poses: ...
def predict(
    image: Any,
    boxes: Any = None,
    model: str | ConvolutionalPoseMachine = DEFAULT_MODEL,
    *,
    device: str = 'cpu',
    flip_test: bool = True,
) -> Poses | list[Poses]:
    """Predict the poses of people in an image, or in a list of images.

    Crops, values and decoding are those of the test pipelines of our configs. A model is built
    once, and kept.

    Args:
        image: Path, PIL image, or array (H, W, 3) of uint8 in BGR order; see ``read_image``. Or a
            list of these.
        boxes: (N, 4), the bounding boxes of N people: x1, y1, x2, y2 in image pixels. None: the
            image is the box of one person. For a list of images, a list of these.
        model: Name of a model with weights in the package, or a trained network that was made with
            ``joints`` and ``input_size``, in evaluation mode.
        device: Device for a model by name, such as ``'cuda'``.
        flip_test: Average the belief maps with those of the mirrored image, as in the published
            figures. It takes twice the time.

    Returns:
        The poses, or a list of them, one for each image.

    Raises:
        ValueError: If an image, box, model or device is wrong. The message names it.
        ImportError: If Pillow is needed to read an image, and missing.

    Examples:
        >>> import numpy as np
        >>> import cpm_plugin
        >>> image = np.zeros((120, 80, 3), np.uint8)
        >>> poses = cpm_plugin.predict(image, model='cpm_slim_3s')
        >>> poses.keypoints.shape, poses.joints.names[0]
        ((1, 14, 2), 'right_ankle')
    """
    several = isinstance(image, list)
    images = [read_image(one) for one in (image if several else [image])]
    given = [boxes] if not several else [None] * len(images) if boxes is None else list(boxes)
    if len(given) != len(images):
        raise ValueError(
            f'boxes of {len(given)} images for {len(images)} images; give one entry for each image'
        )
    per_image = [_boxes_of(one, its) for one, its in zip(images, given)]
    network = trained_network(model, device) if isinstance(model, str) else model
    joints, size = usable(network, model)
    crops = [person_crop(one, box, size) for one, its in zip(images, per_image) for box in its]
    pixels = [crop for crop, _, _ in crops]
    decoded = [
        decode_peaks(stage_beliefs(network, pixels[begin : begin + _BATCH], joints, flip_test)[-1])
        for begin in range(0, len(crops), _BATCH)
    ]
    points = np.concatenate([np.zeros((0, len(joints.names), 2)), *(one for one, _ in decoded)])
    scores = np.concatenate([np.zeros((0, len(joints.names))), *(one for _, one in decoded)])
    for number, (_, corner, step) in enumerate(crops):
        points[number] = points[number] * step + corner
    results, begin = [], 0
    for one, its in zip(images, per_image):
        part = slice(begin, begin + len(its))
        results.append(Poses(points[part], scores[part], its, joints, one))
        begin += len(its)
    return results if several else results[0]


def _boxes_of(image: Image, boxes: Any) -> Any:
    """Return boxes as an array (N, 4); by default the one of the whole image."""
    if boxes is None:
        height, width = image.shape[:2]
        return np.array([[0.0, 0.0, width, height]])
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f'boxes {boxes!r} must be numbers, (N, 4): x1, y1, x2, y2') from error
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(
            f'boxes of shape {array.shape}: expected (N, 4), x1, y1, x2, y2 of N people; for one '
            'person [[x1, y1, x2, y2]]'
        )
    return array
