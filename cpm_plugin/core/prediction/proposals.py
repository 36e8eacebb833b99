"""``propose_people``: everybody in an image, by a network with part affinity fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..maps.geometry import FloatArray, cell_to_pixel, pixel_to_cell
from ..maps.grouping import group_people
from ..maps.joints import JointSet
from ..models.affinity_network import AffinityPoseMachine
from ..models.affinity_stages import last_maps, mirror_back
from .images import Image, read_image
from .poses import Poses

# Input height of OpenPose's networks: net_resolution in its flags.hpp is -1x368.
_SIZE = 368
# Sides of the input are multiples of this: every encoder here halves them five times at most.
_MULTIPLE = 32
# Margin of the box on every side, as a part of its longer side: that of LspDataset's boxes, which
# the shipped top-down models were trained with.
MARGIN = 0.1


class ImageMaps(NamedTuple):
    """Maps of a whole image, and how its pixels became those of the network input.

    Attributes:
        beliefs: (K, h, w), without the background.
        fields: (2L, h, w), x and y of each limb's field in turn.
        ratio: (2,), pixels of the network input per image pixel, in x and y.
        stride: Pixels of the network input per cell.
    """

    beliefs: Tensor
    fields: Tensor
    ratio: FloatArray
    stride: int

    def to_image(self, points: FloatArray) -> FloatArray:
        """Return where pixels of the network input (..., 2) are in the image, in its pixels."""
        # Resizing maps the border to the border, half a pixel beyond the first center.
        return (points + 0.5) / self.ratio - 0.5

    def from_image(self, points: FloatArray) -> FloatArray:
        """Return where pixels of the image (..., 2) are in the network input, in its pixels."""
        return (points + 0.5) * self.ratio - 0.5


def propose_people(
    image: Any,
    network: AffinityPoseMachine,
    *,
    size: int | None = None,
    scales: Sequence[float] = (1.0,),
    flip_test: bool = False,
    **grouping: Any,
) -> Poses:
    """Find everybody in an image: belief maps and fields of the whole image, grouped into people.

    The poses are the first proposal. A top-down network refines them, if it looks at their boxes.

    Args:
        image: Path, PIL image, or array; see ``read_image``.
        network: Trained network with joints and limbs, in evaluation mode.
        size: Longer side of the image in the network, in pixels. By default the ``input_size`` of
            the network, or 368.
        scales: Factors of ``size``. The maps of all are averaged, at the cells of the largest.
        flip_test: Average the maps with those of the mirrored image. It takes twice the time.
        **grouping: Thresholds of ``group_people``.

    Returns:
        The poses, the surest person first. A joint that was not found has the score 0, and is at
            (0, 0). The box is that of the joints found, and a tenth of its longer side around them.

    Raises:
        ValueError: If the image, the network, a size or a scale is wrong. The message names it.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.core import build_affinity_network
        >>> from cpm_plugin.core.prediction import propose_people
        >>> network = build_affinity_network(
        ...     joints='lsp', vgg_tail=None, num_stages=1, channels=8, trunk_kernel_size=3
        ... ).eval()
        >>> len(propose_people(np.zeros((60, 80, 3), np.uint8), network, size=64))
        0
    """
    picture = read_image(image)
    maps = image_maps(picture, network, size=size, scales=scales, flip_test=flip_test)
    return people_in(maps, picture, network, **grouping)


def people_in(
    maps: ImageMaps, image: Image, network: AffinityPoseMachine, **grouping: Any
) -> Poses:
    """Group the maps of an image into people.

    Args:
        maps: Maps of ``image_maps``.
        image: (H, W, 3) of uint8, in BGR order, the image they are of.
        network: The network they are of, which knows the joints and limbs.
        **grouping: Thresholds of ``group_people``.

    Returns:
        The poses; see ``propose_people``.

    Raises:
        ValueError: If the maps and the network do not fit together, or a threshold is wrong.
    """
    joints = _usable(network)
    found = group_people(
        maps.beliefs,
        maps.fields,
        joints.limb_indices,
        stride=maps.stride,
        tree=joints.tree_limbs,
        **grouping,
    )
    known = found.scores > 0
    points = np.where(known[..., None], maps.to_image(found.keypoints), 0.0)
    boxes = [box_of(person[seen]) for person, seen in zip(points, known)]
    return Poses(points, found.scores, np.reshape(boxes, (-1, 4)), joints, image)


@torch.no_grad()
def image_maps(
    image: Image,
    network: AffinityPoseMachine,
    *,
    size: int | None = None,
    scales: Sequence[float] = (1.0,),
    flip_test: bool = False,
) -> ImageMaps:
    """Compute the last belief maps and fields of a whole image.

    The image is resized, its aspect ratio kept. To the right and below, it is filled up to a
    multiple of 32 pixels with gray, the 0 of the network's values.

    Args:
        image: (H, W, 3) of uint8, in BGR order.
        network: See ``propose_people``.
        size: See ``propose_people``.
        scales: See ``propose_people``.
        flip_test: See ``propose_people``.

    Returns:
        The maps, without the background, in float32 on the CPU.

    Raises:
        ValueError: If the network, the size or a scale is wrong. The message names it.
    """
    joints = _usable(network)
    longer = size if size is not None else network.input_size or _SIZE
    if longer < 1 or not scales or not all(0 < scale < np.inf for scale in scales):
        raise ValueError(f'size={longer} and scales={tuple(scales)} must be positive')
    largest, *others = sorted(scales, reverse=True)
    result = _maps_at(image, network, joints, longer * largest, flip_test)
    beliefs, fields = result.beliefs, result.fields
    for scale in others:
        maps = _maps_at(image, network, joints, longer * scale, flip_test)
        beliefs = beliefs + _resampled(maps, maps.beliefs, result)
        fields = fields + _resampled(maps, maps.fields, result)
    return result._replace(beliefs=beliefs / len(scales), fields=fields / len(scales))


def _usable(network: Any) -> JointSet:
    """Return the joints of a network; raise ValueError if it cannot be used."""
    if not isinstance(network, AffinityPoseMachine):
        raise ValueError(
            f'{type(network).__name__} gives no part affinity fields; give an AffinityPoseMachine, '
            'which create_model and build_affinity_network make'
        )
    joints: JointSet | None = network.joints
    if joints is None or not joints.limbs:
        raise ValueError(
            'the network has no joints with limbs, so its output cannot be understood; build it '
            'with joints'
        )
    if network.training:
        raise ValueError('the network is in training mode; call eval() first')
    return joints


def _maps_at(
    image: Image, network: AffinityPoseMachine, joints: JointSet, longer: float, flip_test: bool
) -> ImageMaps:
    """Compute the maps of an image whose longer side is resized to ``longer`` pixels."""
    reference = next(network.parameters())
    height, width = image.shape[:2]
    factor = longer / max(height, width)
    rows, columns = (max(1, round(side * factor)) for side in (height, width))
    pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(reference.device).float()
    # Where the image becomes smaller, it is averaged, so that no pixel is skipped.
    resized = functional.interpolate(
        pixels, (rows, columns), mode='bilinear', align_corners=False, antialias=True
    )
    missing = (0, -columns % _MULTIPLE, 0, -rows % _MULTIPLE)
    values = functional.pad((resized - 128) / 256, missing).to(reference.dtype)
    beliefs, fields = _last(network, values, joints)
    if flip_test:
        # The whole input is mirrored, so that cells meet cells.
        others = mirror_back(*_last(network, values.flip(-1), joints), joints)
        beliefs, fields = 0.5 * (beliefs + others[0]), 0.5 * (fields + others[1])
    return ImageMaps(
        beliefs[0].cpu(),
        fields[0].cpu(),
        np.array([columns / width, rows / height]),
        values.shape[3] // beliefs.shape[3],
    )


def _last(network: AffinityPoseMachine, values: Tensor, joints: JointSet) -> tuple[Tensor, Tensor]:
    """Return the last belief maps, without background, and fields, in float32."""
    last = last_maps(network(values))
    assert last.beliefs is not None and last.fields is not None  # last_maps has both
    return last.beliefs[:, : len(joints.names)].float(), last.fields.float()


def _resampled(maps: ImageMaps, values: Tensor, target: ImageMaps) -> Tensor:
    """Interpolate ``values`` (C, h, w) of one scale at the cells of another; 0 outside of them."""
    size = target.beliefs.shape[1:]
    axes = []
    for axis in (0, 1):  # x, y
        centers = np.zeros((size[1 - axis], 2))
        centers[:, axis] = cell_to_pixel(np.arange(len(centers)), target.stride)
        there = maps.from_image(target.to_image(centers))[:, axis]
        cells = pixel_to_cell(there, maps.stride)
        axes.append(2 * (cells + 0.5) / values.shape[2 - axis] - 1)  # of grid_sample: -1 to 1
    x, y = (torch.from_numpy(axis).float() for axis in axes)
    grid = torch.stack([x[None].expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=2)
    sampled: Tensor = functional.grid_sample(values[None], grid[None], align_corners=False)[0]
    return sampled


def box_of(points: FloatArray) -> FloatArray:
    """Compute the bounding box of points, with a margin and never without area.

    Args:
        points: (M, 2), at least one, in pixels.

    Returns:
        (4,), x1, y1, x2, y2.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    border = max(MARGIN * float((high - low).max()), 0.5)
    return np.concatenate([low - border, high + border])
