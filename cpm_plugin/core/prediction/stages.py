"""What every stage of a network believes of people: belief maps of their crops."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..maps.geometry import FloatArray
from ..maps.joints import JointSet
from ..models.affinity_models import AFFINITY_MODELS
from ..models.affinity_network import REFUSAL, AffinityPoseMachine
from ..models.inference import optimize_for_inference
from ..models.network import ConvolutionalPoseMachine
from ..models.registry import create_model
from .crops import person_crop
from .images import Image, read_image

DEFAULT_MODEL = 'cpm_movenet_3s'


class PersonStages(NamedTuple):
    """Belief maps of every stage for one person.

    Attributes:
        beliefs: (T, K, h, w), stage 1 first, without the background.
        crop: (S, S, 3) of uint8, BGR, what the network saw.
        corner: (2,), the x and y in image pixels that the crop's pixel (0, 0) shows.
        step: Image pixels per pixel of the crop.
        joints: Names of the K joints, and the links between them.
    """

    beliefs: npt.NDArray[np.float32]
    crop: Image
    corner: FloatArray
    step: float
    joints: JointSet

    def to_image(self, points: FloatArray) -> FloatArray:
        """Return where pixels of the crop (..., 2) are in the image, in its pixels."""
        return points * self.step + self.corner


def person_stages(
    image: Any,
    box: npt.ArrayLike | None = None,
    model: str | ConvolutionalPoseMachine = DEFAULT_MODEL,
    *,
    device: str = 'cpu',
    flip_test: bool = True,
) -> PersonStages:
    """Compute what every stage believes of a person.

    The peaks of the last stage are the keypoints that ``predict`` gives.

    Args:
        image: See ``predict``; one image.
        box: (4,), x1, y1, x2, y2 in image pixels. None: the image is the box.
        model: See ``predict``.
        device: See ``predict``.
        flip_test: See ``predict``. It is done at each stage.

    Returns:
        The belief maps, and the crop they are of.

    Raises:
        ValueError: If the image, box, model or device is wrong. The message names it.
        ImportError: If Pillow is needed to read an image, and missing.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core.prediction import person_stages
        >>> stages = person_stages(np.zeros((120, 80, 3), np.uint8), model='cpm_slim_3s')
        >>> stages.beliefs.shape, stages.crop.shape
        ((3, 14, 16, 16), (128, 128, 3))
    """
    picture = read_image(image)
    network = trained_network(model, device) if isinstance(model, str) else model
    joints, size = usable(network, model)
    height, width = picture.shape[:2]
    crop, corner, step = person_crop(picture, (0, 0, width, height) if box is None else box, size)
    beliefs = stage_beliefs(network, [crop], joints, flip_test)
    return PersonStages(np.concatenate(beliefs), crop, corner, step, joints)


@lru_cache(maxsize=4)
def trained_network(name: str, device: str) -> ConvolutionalPoseMachine:
    """Build a trained model for inference, once.

    Args:
        name: Name of a model with weights in the package.
        device: Device, such as ``'cpu'``.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: If there is no such model, or no such device.

    Examples:
        >>> from cpm_plugin.core.prediction.stages import trained_network
        >>> trained_network('cpm_slim_3s', 'cpu') is trained_network('cpm_slim_3s', 'cpu')
        True
    """
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


def usable(network: ConvolutionalPoseMachine, model: Any) -> tuple[JointSet, int]:
    """Check that the belief maps of a network can be understood.

    Args:
        network: The network.
        model: What the user gave for it, for the message.

    Returns:
        Its joints, and the side of its input in pixels.

    Raises:
        ValueError: If it is for several people, no network, has no joints or no input size, or is
            in training mode.
    """
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
def stage_beliefs(
    network: ConvolutionalPoseMachine, crops: Sequence[Image], joints: JointSet, flip_test: bool
) -> list[npt.NDArray[np.float32]]:
    """Compute the belief maps of every stage for crops of people.

    Args:
        network: The network.
        crops: N arrays (S, S, 3) of uint8, BGR.
        joints: Its K joints.
        flip_test: Whether to average each stage with that of the mirrored crops.

    Returns:
        T arrays (N, K, h, w), stage 1 first, without the background.
    """
    reference = next(network.parameters())
    batch = torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2)).to(reference.device)
    images = ((batch.float() - 128) / 256).to(reference.dtype)
    count = len(joints.names)
    stages = [maps[:, :count] for maps in network(images)]
    if flip_test:
        channels = list(joints.flip_indices)
        mirrored = [maps.flip(3)[:, channels] for maps in network(images.flip(3))]
        stages = [(maps + other) * 0.5 for maps, other in zip(stages, mirrored)]
    return [maps.float().cpu().numpy() for maps in stages]
