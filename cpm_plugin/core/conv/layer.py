"""``LargeKernelConv2d``: ``nn.Conv2d`` that takes the faster of two ways to the same values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from . import tiled as tiled_conv
from .choice import Choice, check_method, choose
from .tile_grid import Tile
from .tiled import TiledConv2d, transform_weight

_PLAIN = (Tensor, nn.Parameter)


def set_conv_method(module: nn.Module, method: str) -> None:
    """Set ``method`` of every ``LargeKernelConv2d`` in ``module``.

    Raises:
        ValueError: for another method than ``auto``, ``direct`` and ``tiled``.
    """
    check_method(method)
    for layer in module.modules():
        if isinstance(layer, LargeKernelConv2d):
            layer.method = method


class _Kept:
    """A transformed kernel, and what tells whether it is still that of the weights.

    Writing through ``weight.data``, as MMEngine's EMA does, leaves the version as it was: so
    the values are compared, too, unless the weights are known to be frozen.
    """

    def __init__(self, weight: Tensor, tile: Tile, frozen: bool) -> None:
        self.tile = tile
        self.points = transform_weight(weight, tile)
        self._identity = _identity(weight)
        self._values = None if frozen else weight.clone()

    def belongs_to(self, weight: Tensor, tile: Tile, frozen: bool) -> bool:
        if self.tile != tile or self._identity != _identity(weight):
            return False
        return frozen or (self._values is not None and torch.equal(self._values, weight))


def _identity(weight: Tensor) -> tuple[Any, ...]:
    version = None if weight.is_inference() else weight._version
    return weight.data_ptr(), version, weight.dtype, weight.device


class LargeKernelConv2d(nn.Conv2d):
    """``nn.Conv2d`` with the same arguments, parameters, state dict and, to rounding, values.

    Odd square kernels with stride 1 and zero padding that keeps the size may be computed by
    tiles (``tiled``); all others, half precision, autocast, and what is being traced,
    compiled or exported go directly. In eval mode without gradients the transformed weights
    are kept, and dropped when the weights change or the mode is set.

    What comes from tiles is in channels-last order, (N, D, H, W) as ever. An input that is not
    finite spoils the whole of the tiles that see it. ``torch.func`` needs ``method='direct'``,
    and ``torch.jit.script`` does not take this layer. ``print`` shows ``last_choice``.

    Args:
        method: ``auto``: what ``choose`` expects to be
            faster; ``direct``: plain conv2d, bit for bit; ``tiled``.

    Raises:
        ValueError: for another method.
    """

    def __init__(self, *args: Any, method: str = 'auto', **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method = method
        self.frozen = False  # nobody writes through weight.data any more
        self.last_choice: Choice | None = None
        self._kept: _Kept | None = None

    @property
    def method(self) -> str:
        return self._method

    @method.setter
    def method(self, value: str) -> None:
        check_method(value)
        self._method = value
        self._kept = None

    def forward(self, x: Tensor) -> Tensor:
        self.last_choice = None
        if not self._may_be_tiled(x):
            return super().forward(x)
        learned = (x, self.weight) if self.bias is None else (x, self.weight, self.bias)
        training = torch.is_grad_enabled() and any(value.requires_grad for value in learned)
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
            # no subclasses: fake tensors would stay in the caches
            and type(x) in _PLAIN
            and type(self.weight) in _PLAIN
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
            and not is_autocast(x.device.type)
            and not is_recorded()
        )

    def _points(self, tile: Tile) -> list[Tensor]:
        kept = self._kept  # another thread may put its own there
        if kept is None or not kept.belongs_to(self.weight, tile, self.frozen):
            self._kept = None  # before the new ones are made: only one at a time
            self._kept = kept = _Kept(self.weight.detach(), tile, self.frozen)
        return kept.points

    def train(self, mode: bool = True) -> LargeKernelConv2d:
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the kept weights."""
        return {**self.__dict__, '_kept': None}

    def extra_repr(self) -> str:
        text = f'{super().extra_repr()}, method={self.method}'  # type: ignore[no-untyped-call]
        return text if self.last_choice is None else f'{text}, last {self.last_choice}'


def is_recorded() -> bool:
    """Whether this is traced, compiled or exported: what runs once is then all there is."""
    compiler = getattr(torch, 'compiler', None)  # not in torch 2.0
    compiling = hasattr(compiler, 'is_compiling') and compiler.is_compiling()  # type: ignore[union-attr]
    return compiling or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def is_autocast(device: str) -> bool:
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:  # before torch 2.4
        return torch.is_autocast_cpu_enabled() if device == 'cpu' else torch.is_autocast_enabled()
