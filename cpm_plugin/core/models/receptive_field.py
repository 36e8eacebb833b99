"""Receptive fields of the stages: which pixels of the input a cell of a belief map depends on.

They are computed from the kernel sizes, strides and paddings of the layers, not from weights. The
paper (section 3.2) has 160 pixels for stage 1 and 400 for stage 2, whose own layers see 31 x 31
cells. That is with 2x2 pools. The authors' deploy files have 3x3 pools, and so 167 and 407.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .encoder_trunk import EncoderTrunk
from .encoders import MobileEncoder, SameConv
from .network import ConvolutionalPoseMachine
from .stages import RefinementStage
from .trunks import FeatureTrunks, Trunks, VggTrunk


@dataclass(frozen=True)
class Field:
    """Pixels that the cells of a map depend on, along one axis.

    Cell c depends on pixels ``c * stride + first[p]`` to ``c * stride + last[p]``, where p is c
    modulo the number of phases. There are several phases after an upsampling, whose weights repeat.

    Attributes:
        stride: Input pixels per cell.
        first: First pixel, relative to the cell, for each phase.
        last: Last pixel, relative to the cell, for each phase.
    """

    stride: int = 1
    first: tuple[int, ...] = (0,)
    last: tuple[int, ...] = (0,)

    @property
    def size(self) -> int:
        """Number of pixels, of the phase with the most."""
        return max(last - first for first, last in zip(self.first, self.last)) + 1

    def through(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Field:
        """Return the field after a convolution or a pool.

        Args:
            kernel: Cells of its window.
            stride: Cells between two windows.
            padding: Cells before the first cell.
            dilation: Cells between two cells of the window.

        Returns:
            The field of its output.

        Raises:
            ValueError: If the stride is not 1 after an upsampling.

        Examples:
            >>> from cpm_plugin.core.models.receptive_field import Field
            >>> Field().through(9, padding=4).through(3, stride=2).size
            11
        """
        phases = len(self.first)
        if phases > 1 and stride != 1:
            raise ValueError(f'a layer of stride {stride} after an upsampling; must be 1')
        taps = [tap * dilation - padding for tap in range(kernel)]
        first, last = [], []
        for phase in range(phases):
            seen = [(tap * self.stride, (phase + tap) % phases) for tap in taps]
            first.append(min(shift + self.first[p] for shift, p in seen))
            last.append(max(shift + self.last[p] for shift, p in seen))
        return Field(self.stride * stride, tuple(first), tuple(last))

    def joined(self, *others: Field) -> Field:
        """Return the field of maps that are added or concatenated.

        Args:
            *others: Fields of the other maps, of the same stride.

        Returns:
            A field that covers all.

        Raises:
            ValueError: If the strides differ.
        """
        fields = (self, *others)
        if len({field.stride for field in fields}) > 1:
            raise ValueError(f'maps of strides {[field.stride for field in fields]} do not fit')
        phases = range(max(len(field.first) for field in fields))
        return Field(
            self.stride,
            tuple(min(field.first[p % len(field.first)] for field in fields) for p in phases),
            tuple(max(field.last[p % len(field.last)] for field in fields) for p in phases),
        )

    def upsampled(self, factor: int) -> Field:
        """Return the field after bilinear upsampling by a factor, between two cells each.

        Args:
            factor: An even number, or 1 for none.

        Returns:
            The field, with as many phases as the factor.
        """
        if factor == 1:
            return self
        stride = self.stride // factor
        # Cell c lies at (c + 0.5) / factor - 0.5, between the cell of this index and the next one.
        left = [(2 * c + 1 - factor) // (2 * factor) for c in range(factor)]
        return Field(
            stride,
            tuple(cell * self.stride - c * stride + self.first[0] for c, cell in enumerate(left)),
            tuple(
                (cell + 1) * self.stride - c * stride + self.last[0] for c, cell in enumerate(left)
            ),
        )


class StageField(NamedTuple):
    """Receptive field of one stage, along each side.

    Attributes:
        pixels: Pixels of the input.
        cells: Cells of its own input: of the features for stage 1, of the beliefs before it for
            later stages.
    """

    pixels: int
    cells: int


def receptive_field(model: ConvolutionalPoseMachine) -> list[StageField]:
    """Compute the receptive field of each stage from the layers of a network.

    The image may be smaller. The center map is left out: it depends on no pixel.

    Args:
        model: The network. Of an encoder, sides of the image that its strides divide are assumed.

    Returns:
        A field for each stage, stage 1 first.

    Raises:
        ValueError: If the trunks are of an unknown kind, or have unknown layers.

    Examples:
        >>> from cpm_plugin.core import create_model
        >>> from cpm_plugin.core.models import receptive_field
        >>> [field.pixels for field in receptive_field(create_model('cpm_slim_3s'))]
        [75, 219, 363]
    """
    local, shared = trunk_fields(model.trunks)
    first = model.stages.first
    found = _along(first, local)
    fields = [StageField(found.size, _along(first, Field()).size)]
    for stage in model.stages.later:
        assert isinstance(stage, RefinementStage)
        after = nn.Sequential(stage.refine, stage.beliefs)
        found = _along(after, found.joined(_along(stage.reduce, shared)))
        fields.append(StageField(found.size, _along(after, Field()).size))
    return fields


def trunk_fields(trunks: Trunks) -> tuple[Field, Field]:
    """Compute the fields of the stage-1 features and of the shared features.

    Args:
        trunks: See ``receptive_field``.

    Returns:
        Both fields; the same for trunks without a second one.

    Raises:
        ValueError: If the trunks are of an unknown kind.
    """
    if isinstance(trunks, FeatureTrunks):
        local = _along(trunks.stage1_trunk, Field())
        return local, _along(trunks.shared_trunk or trunks.stage1_trunk, Field())
    if isinstance(trunks, VggTrunk):
        field = _along(trunks.layers, Field())
    elif isinstance(trunks, EncoderTrunk) and isinstance(trunks.encoder, MobileEncoder):
        levels = [
            _along(lateral, level).upsampled(level.stride // trunks.stride)
            for lateral, level in zip(trunks.lateral, _levels(trunks.encoder))
        ]
        field = levels[0].joined(*levels[1:])
    else:
        raise ValueError(
            f'{type(trunks).__name__} is no trunk whose layers are known; there are FeatureTrunks, '
            'VggTrunk, and EncoderTrunk with a MobileEncoder'
        )
    return field, field


def _levels(encoder: MobileEncoder) -> Iterable[Field]:
    """Yield the fields at strides 8, 16 and 32. A block adds its input, which sees less."""
    field = _along(encoder.stem, Field())
    for number, block in enumerate(encoder.blocks):
        field = _along(block, field)
        if number in encoder._ends:
            yield field


_SEES_ONE_CELL = (
    nn.ReLU, nn.ReLU6, nn.PReLU, nn.Dropout, nn.Identity, nn.modules.batchnorm._BatchNorm,
)  # fmt: skip


def _along(module: nn.Module, field: Field) -> Field:
    """Return the field after a chain of layers, which lie in a module in their order."""
    if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride, padding, dilation = (
            _one_number(getattr(module, name, 1))
            for name in ('kernel_size', 'stride', 'padding', 'dilation')
        )
        return field.through(kernel, stride, padding, dilation)
    if isinstance(module, SameConv):  # padded as TensorFlow's SAME, for sides that strides divide
        kernel, stride = module.conv.kernel_size[0], module.conv.stride[0]
        return field.through(kernel, stride, max(kernel - stride, 0) // 2)
    if isinstance(module, _SEES_ONE_CELL):
        return field
    children = list(module.children())
    if not children:
        raise ValueError(f'the receptive field of {type(module).__name__} is not known')
    for child in children:
        field = _along(child, field)
    return field


def _one_number(value: object) -> int:
    numbers = set(value) if isinstance(value, tuple) else {value}
    if len(numbers) > 1:
        raise ValueError(f'a window of {value}: it must be square')
    number = numbers.pop()
    assert isinstance(number, int)
    return number


def effective_field(model: ConvolutionalPoseMachine, images: Tensor) -> list[float]:
    """Measure how far the pixels that matter are from the center cell, for each stage.

    Source: Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural
    Networks" (NeurIPS 2016): gradients of the cell in the middle with respect to the pixels. Their
    absolute values are summed over joints, images and colors. The field is the side of the square
    around the cell with 95 % of them.

    Args:
        model: The network, with trained weights, in evaluation mode.
        images: (N, 3, H, W), as the network takes them.

    Returns:
        A side in pixels for each stage.

    Raises:
        ValueError: If a stage has no gradient.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core import create_model
        >>> from cpm_plugin.core.models import effective_field
        >>> model = create_model('cpm_slim_3s').eval()
        >>> len(effective_field(model, torch.rand(1, 3, 64, 64) - 0.5))
        3
    """
    joints = model.stages.num_keypoints
    sizes = []
    for stage in range(model.stages.num_stages):
        inputs = images.detach().clone().requires_grad_()
        beliefs = model(inputs)[stage]
        row, column = beliefs.shape[2] // 2, beliefs.shape[3] // 2
        total = torch.zeros(images.shape[2:])
        for joint in range(joints):
            (slope,) = torch.autograd.grad(
                beliefs[:, joint, row, column].sum(), inputs, retain_graph=joint < joints - 1
            )
            total += slope.abs().sum(dim=(0, 1))
        if not total.any():
            raise ValueError(f'stage {stage + 1} has no gradient; give trained weights')
        stride = model.trunks.stride
        y, x = (
            (torch.arange(side) - (cell * stride + (stride - 1) / 2)).abs()
            for side, cell in zip(images.shape[2:], (row, column))
        )
        away = torch.maximum(y[:, None], x).flatten()
        order = away.argsort()
        share = total.flatten()[order].cumsum(0) / total.sum()
        sizes.append(float(2 * away[order][int((share < 0.95).sum())] + 1))
    return sizes
