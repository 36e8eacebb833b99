"""``LargeKernelConv2d``, an ``nn.Conv2d`` that computes its values by the faster of two methods."""

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
    """Set how the convolutions of a model are computed.

    Args:
        module: Model whose ``LargeKernelConv2d`` layers are set, in place.
        method: ``'auto'``, ``'direct'`` or ``'tiled'``; see ``LargeKernelConv2d``.

    Raises:
        ValueError: If the method is unknown.

    Examples:
        >>> from cpm_plugin.core import create_model, set_conv_method
        >>> model = create_model('cpm_slim_3s')
        >>> set_conv_method(model, 'direct')
        >>> model.stages.first.conv1.conv.method
        'direct'
    """
    check_method(method)
    for layer in module.modules():
        if isinstance(layer, LargeKernelConv2d):
            layer.method = method


class _Kept:
    """A transformed kernel, and what is needed to tell whether the weights have changed since.

    Writing through ``weight.data``, as MMEngine's EMA does, leaves the version of the tensor as it
    was. The values are therefore compared too, unless the weights are known to be frozen.

    Args:
        weight: (D, C, k, k).
        tile: Size of the tiles.
        frozen: The weights will not change, and no copy of them is needed.
    """

    def __init__(self, weight: Tensor, tile: Tile, frozen: bool) -> None:
        self.tile = tile
        self.points = transform_weight(weight, tile)
        self._identity = _identity(weight)
        self._values = None if frozen else weight.clone()

    def belongs_to(self, weight: Tensor, tile: Tile, frozen: bool) -> bool:
        """Tell whether the transformed kernel is that of these weights and this tile."""
        if self.tile != tile or self._identity != _identity(weight):
            return False
        return frozen or (self._values is not None and torch.equal(self._values, weight))


def _identity(weight: Tensor) -> tuple[Any, ...]:
    """Return what changes when a tensor is replaced or written in place."""
    version = None if weight.is_inference() else weight._version
    return weight.data_ptr(), version, weight.dtype, weight.device


class LargeKernelConv2d(nn.Conv2d):
    """A drop-in ``nn.Conv2d`` that may compute large kernels by tiles.

    Arguments, parameters and state dict are those of ``nn.Conv2d``, and so are the values, to
    rounding.

    Tiles (``cpm_plugin.core.conv.tiled``) are possible for odd square kernels with stride 1, one
    group and zero padding that keeps the size, in float32 or float64. All other convolutions are
    computed directly. So are half precision, autocast, models that are traced, compiled or
    exported, and all inside ``torch.func`` and forward-mode differentiation.

    In eval mode without gradients, the layer keeps the transformed weights. It drops them when the
    weights change or ``train`` or ``eval`` is called. Keeping them takes memory.

    Some differences remain. The output of tiles has the shape (N, D, H, W), but its memory format
    is channels-last. An input value that is not finite spoils all outputs of the tiles that see
    it. ``torch.jit.script`` does not take this layer. ``print`` shows ``last_choice``.

    Args:
        *args: Positional arguments of ``nn.Conv2d``.
        method: ``'auto'`` for the method that ``choose`` expects to be faster, ``'direct'`` for
            plain ``conv2d``, bit for bit, or ``'tiled'``.
        **kwargs: Keyword arguments of ``nn.Conv2d``.

    Attributes:
        frozen: The weights are no longer written through ``weight.data``, and the layer need not
            compare them. Default: False.
        last_choice: Choice of the last forward pass, or None if tiles were not possible.

    Raises:
        ValueError: If the method is unknown.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core import LargeKernelConv2d
        >>> conv = LargeKernelConv2d(8, 16, 9, padding=4, method='tiled').eval()
        >>> x = torch.rand(1, 8, 24, 24)
        >>> with torch.no_grad():
        ...     y = conv(x)
        ...     expected = torch.nn.functional.conv2d(x, conv.weight, conv.bias, padding=4)
        >>> torch.allclose(y, expected, atol=1e-5)
        True
    """

    def __init__(self, *args: Any, method: str = 'auto', **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.method = method
        self.frozen = False  # True: weights are no longer written through weight.data
        self.last_choice: Choice | None = None
        self._kept: _Kept | None = None

    @property
    def method(self) -> str:
        """How the convolution is computed; it may be set at any time."""
        return self._method

    @method.setter
    def method(self, value: str) -> None:
        check_method(value)
        self._method = value
        self._kept = None

    def forward(self, x: Tensor) -> Tensor:
        """Compute the convolution: (N, C, H, W) -> (N, D, H, W).

        Args:
            x: (N, C, H, W).

        Returns:
            (N, D, H, W), as ``nn.Conv2d``.
        """
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
        """Tell whether tiles are possible for this input."""
        size = self.kernel_size[0]
        return (
            self.method != 'direct'
            # No subclasses: fake tensors would stay in the caches.
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
            and not is_recorded(x)
            and not _is_transformed()
        )

    def _points(self, tile: Tile) -> list[Tensor]:
        """Return the transformed weights, and make them anew if the kept ones do not fit."""
        kept = self._kept  # another thread may replace it
        if kept is None or not kept.belongs_to(self.weight, tile, self.frozen):
            self._kept = None  # free the old ones before the new ones are made
            self._kept = kept = _Kept(self.weight.detach(), tile, self.frozen)
        return kept.points

    def train(self, mode: bool = True) -> LargeKernelConv2d:
        """Set the mode as ``nn.Module.train`` does, and drop the kept weights.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The layer itself.
        """
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the kept weights."""
        return {**self.__dict__, '_kept': None}

    def extra_repr(self) -> str:
        """Return the text of ``nn.Conv2d`` with the method and the last choice."""
        text = f'{super().extra_repr()}, method={self.method}'  # type: ignore[no-untyped-call]
        return text if self.last_choice is None else f'{text}, last {self.last_choice}'


def is_recorded(x: Any) -> bool:
    """Tell whether the model is being traced, compiled or exported.

    What is recorded from one pass then stands for all later passes. The size of the batch must
    therefore not be asked for.

    Args:
        x: Input of the model. ``torch.fx.symbolic_trace`` gives no tensor but a ``Proxy``.

    Returns:
        Whether it is.
    """
    if not isinstance(x, Tensor):
        return True
    compiler = getattr(torch, 'compiler', None)  # not in torch 2.0
    compiling = hasattr(compiler, 'is_compiling') and compiler.is_compiling()  # type: ignore[union-attr]
    return compiling or torch.jit.is_tracing()  # type: ignore[no-untyped-call]


def _is_transformed() -> bool:
    """Tell whether ``torch.func`` or forward-mode differentiation is at work.

    Tiles have no rules for them. Inside, the tangent of a weight would be lost without a word.
    """
    if torch.autograd.forward_ad._current_level >= 0:
        return True
    functorch = getattr(torch._C, '_functorch', None)
    peek = getattr(functorch, 'peek_interpreter_stack', None)
    return peek is not None and peek() is not None


def is_autocast(device: str) -> bool:
    """Tell whether autocast is enabled.

    Args:
        device: Type of the device, such as ``'cpu'``.

    Returns:
        Whether it is, for this device.
    """
    try:
        return torch.is_autocast_enabled(device)
    except TypeError:  # before torch 2.4
        return torch.is_autocast_cpu_enabled() if device == 'cpu' else torch.is_autocast_enabled()
