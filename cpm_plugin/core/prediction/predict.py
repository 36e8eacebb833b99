"""``predict``: poses of people in images, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..maps.belief_maps import decode_peaks
from ..maps.joints import JointSet
from ..models.affinity_models import AFFINITY_MODELS
from ..models.affinity_network import REFUSAL, AffinityPoseMachine
from ..models.inference import optimize_for_inference
from ..models.network import ConvolutionalPoseMachine
from ..models.registry import create_model
from .crops import person_crop
from .images import Image, read_image
from .poses import Poses

DEFAULT_MODEL = 'cpm_movenet_3s'
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
    network = _trained(model, device) if isinstance(model, str) else model
    joints, size = _usable(network, model)
    crops = [person_crop(one, box, size) for one, its in zip(images, per_image) for box in its]
    decoded = [
        _decode(network, [crop for crop, _, _ in crops[begin : begin + _BATCH]], joints, flip_test)
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


@lru_cache(maxsize=4)
def _trained(name: str, device: str) -> ConvolutionalPoseMachine:
    """Build a trained model for inference; raise ValueError if there is no such model or device."""
    if name in AFFINITY_MODELS:
        raise ValueError(f'model={name!r} cannot be used here: {REFUSAL}')
    network: Any = optimize_for_inference(create_model(name, pretrained=True), inplace=True)
    try:
        torch.zeros(1, device=device).item()
        placed: ConvolutionalPoseMachine = network.to(device)
        return placed
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={device!r} cannot be used ({reason}); give 'cpu'") from error


def _usable(network: ConvolutionalPoseMachine, model: Any) -> tuple[JointSet, int]:
    """Return joints and input size of a network; raise ValueError if it cannot be used."""
    if isinstance(network, AffinityPoseMachine):
        raise ValueError(f'this network cannot be used here: {REFUSAL}')
    if not isinstance(network, ConvolutionalPoseMachine):
        raise ValueError(f'model={model!r} must be a name or a ConvolutionalPoseMachine')
    if network.joints is None or network.input_size is None:
        raise ValueError(
            'the network has no joints or no input_size, so its output cannot be understood; give '
            'both to create_model or build_network, for example joints=JointSet(names) (of '
            'cpm_plugin.core) with the names of the keypoints in their order'
        )
    if network.training:
        raise ValueError('the network is in training mode; call eval() first')
    return network.joints, network.input_size


@torch.no_grad()
def _decode(
    network: ConvolutionalPoseMachine, crops: list[Image], joints: JointSet, flip_test: bool
) -> tuple[Any, Any]:
    """Find the keypoints (N, K, 2) in pixels of the crops, and their scores (N, K)."""
    reference = next(network.parameters())
    batch = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2)).to(reference.device)
    images = ((batch.float() - 128) / 256).to(reference.dtype)
    beliefs: Tensor = network(images)[-1][:, : len(joints.names)]
    if flip_test:
        mirrored = network(images.flip(3))[-1].flip(3)
        beliefs = (beliefs + mirrored[:, list(joints.flip_indices)]) * 0.5
    return decode_peaks(beliefs.float().cpu().numpy())
