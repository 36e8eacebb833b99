"""``LargeKernelConv2d``: ``nn.Conv2d`` that takes the faster of two ways to the same values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from . import tiled_conv
from .conv_choice import METHODS, Choice, choose
from .tile_grid import Tile
from .tiled_conv import TiledConv2d, transform_weight


def set_conv_method(module: nn.Module, method: str) -> None:
    """Set ``method`` of every :class:`LargeKernelConv2d` in ``module``.

    Raises:
        ValueError: for another method than ``auto``, ``direct`` and ``tiled``.
    """
    for layer in module.modules():
        if isinstance(layer, LargeKernelConv2d):
            layer.method = method


class _Kept:
    """Transformed weights and what tells whether they are still the weights'."""

    def __init__(self, weight: Tensor, tile: Tile) -> None:
        self.tile = tile
        self.points = transform_weight(weight, tile)
        self._identity = _identity(weight)
        self._sample = _sample(weight).clone()

    def belongs_to(self, weight: Tensor, tile: Tile) -> bool:
        return (
            self.tile == tile
            and self._identity == _identity(weight)
            and torch.equal(self._sample, _sample(weight))
        )


def _identity(weight: Tensor) -> tuple[Any, ...]:
    return weight.data_ptr(), weight._version, weight.dtype, weight.device


def _sample(weight: Tensor) -> Tensor:
    """Some hundred values: writing through ``weight.data``, as MMEngine's EMA does, leaves the
    version as it was."""
    step = max(1, weight.numel() // 256)
    return torch.as_strided(weight, (weight.numel() // step,), (step,), weight.storage_offset())


class LargeKernelConv2d(nn.Conv2d):
    """``nn.Conv2d`` with the same arguments, parameters, state dict and, to rounding, values.

    Odd square kernels with stride 1 and zero padding that keeps the size may be computed by
    tiles (:mod:`.tiled_conv`); all others, half precision, and what is being traced or
    exported go directly. In eval mode without gradients the transformed weights are kept,
    and dropped when the weights change or the mode is set.

    ``print`` shows the last choice, :attr:`last_choice`.

    Args:
        method: ``auto``: what :func:`~cpm_plugin.core.conv_choice.choose` expects to be
            faster; ``direct``: plain conv2d, bit for bit; ``tiled``.

    Raises:
        ValueError: for another method.
    """

    def __init__(self, *args: Any, method: str = 'auto', **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method = method
        self.last_choice: Choice | None = None
        self._kept: _Kept | None = None

    @property
    def method(self) -> str:
        return self._method

    @method.setter
    def method(self, value: str) -> None:
        if value not in METHODS:
            raise ValueError(f'method {value!r}: there are {", ".join(METHODS)}')
        self._method = value
        self._kept = None

    def forward(self, x: Tensor) -> Tensor:
        if not self._may_be_tiled(x):
            return super().forward(x)
        training = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        self.last_choice = choose(
            tuple(x.shape),
            tuple(self.weight.shape),
            training=training or self.training,
            method=self.method,
            device=x.device.type,
        )
        tile = self.last_choice.tile
        if tile is None:
            return super().forward(x)
        if training:
            return TiledConv2d.apply(x, self.weight, self.bias, tile)  # type: ignore[no-untyped-call]
        points = None if self.training else self._points(tile)
        return tiled_conv.forward(x, self.weight, self.bias, tile, points)

    def _may_be_tiled(self, x: Tensor) -> bool:
        size = self.kernel_size[0]
        return (
            self.method != 'direct'
            and x.ndim == 4
            and x.device.type in ('cpu', 'cuda')
            and x.shape[1] == self.in_channels
            and x.dtype == self.weight.dtype
            and x.dtype in (torch.float32, torch.float64)
            and size % 2 == 1
            and size > 1
            and self.kernel_size == (size, size)
            and self.stride == self.dilation == (1, 1)
            and self.groups == 1
            and self.padding in (size // 2, (size // 2,) * 2, 'same')
            and self.padding_mode == 'zeros'
            and not torch.is_autocast_enabled(x.device.type)
            and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
            and not torch.compiler.is_compiling()
        )

    def _points(self, tile: Tile) -> list[Tensor]:
        if self._kept is None or not self._kept.belongs_to(self.weight, tile):
            self._kept = None  # before the new ones are made: only one at a time
            self._kept = _Kept(self.weight.detach(), tile)
        return self._kept.points

    def train(self, mode: bool = True) -> LargeKernelConv2d:
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the kept weights."""
        return {**self.__dict__, '_kept': None}

    def extra_repr(self) -> str:
        text = f'{super().extra_repr()}, method={self.method}'  # type: ignore[no-untyped-call]
        return text if self.last_choice is None else f'{text}, last {self.last_choice}'
