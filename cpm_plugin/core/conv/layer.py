"""``LargeKernelConv2d``, an ``nn.Conv2d`` that computes its values by one of three methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from . import tiled as tiled_conv
from .choice import Choice, check_method, choose, fits_fourier
from .fourier_op import OPERATORS, is_possible, row_fourier, row_fourier_weight
from .modes import is_autocast, is_compiled, is_recorded, is_transformed
from .tiled import TiledConv2d, transform_weight

_PLAIN = (Tensor, nn.Parameter)


def set_conv_method(module: nn.Module, method: str) -> None:
    """Set how the convolutions of a model are computed.

    Args:
        module: Model whose ``LargeKernelConv2d`` layers are set, in place.
        method: ``'auto'``, ``'direct'``, ``'tiled'`` or ``'fourier'``; see ``LargeKernelConv2d``.

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


def kept_kernels(module: nn.Module) -> list[Any]:
    """Return the transformed kernels that the convolutions of a model keep at this moment.

    A layer keeps one, and drops it for another width and at ``train`` or ``eval``. A CUDA graph
    reads it where it lay, and so must hold it.

    Args:
        module: Model with ``LargeKernelConv2d`` layers.

    Returns:
        The kernels; what they are is known to the layers alone.
    """
    layers = (layer for layer in module.modules() if isinstance(layer, LargeKernelConv2d))
    return [layer._kept for layer in layers if layer._kept is not None]


class _Kept:
    """A transformed kernel, and what is needed to tell whether the weights have changed since.

    Writing through ``weight.data``, as MMEngine's EMA does, leaves the version of the tensor as it
    was. The values are therefore compared too, unless the weights are known to be frozen.

    Args:
        weight: (D, C, k, k).
        kind: What the kernel is transformed for, such as the size of the tiles.
        transform: Transforms it.
        frozen: The weights will not change, and no copy of them is needed.
    """

    def __init__(
        self, weight: Tensor, kind: Any, transform: Callable[[Tensor], Any], frozen: bool
    ) -> None:
        self.kind = kind
        self.points = transform(weight)
        self._identity = _identity(weight)
        self._values = None if frozen else weight.clone()

    def belongs_to(self, weight: Tensor, kind: Any, frozen: bool) -> bool:
        """Tell whether the transformed kernel is that of these weights and this kind."""
        if self.kind != kind or self._identity != _identity(weight):
            return False
        return frozen or (self._values is not None and torch.equal(self._values, weight))


def _identity(weight: Tensor) -> tuple[Any, ...]:
    """Return what changes when a tensor is replaced or written in place."""
    version = None if weight.is_inference() else weight._version
    return weight.data_ptr(), version, weight.dtype, weight.device


class LargeKernelConv2d(nn.Conv2d):
    """A drop-in ``nn.Conv2d`` that may compute large kernels by tiles, or by row-Fourier.

    Arguments, parameters and state dict are those of ``nn.Conv2d``, and so are the values, to
    rounding.

    Tiles (``cpm_plugin.core.conv.tiled``) are possible for odd square kernels with stride 1, one
    group and zero padding that keeps the size, in float32 or float64. All other convolutions are
    computed directly. So are half precision, autocast, models that are traced, compiled or
    exported, and all inside ``torch.func`` and forward-mode differentiation.

    Row-Fourier (``cpm_plugin.core.conv.fourier``) is meant for GPUs, and is taken only where it is
    asked for. **It has not run on a GPU yet.** It takes the same convolutions, from 5x5 and 16
    channels on: in half precision, under autocast and ``torch.compile``, too. An NVIDIA GPU from
    compute capability 8.0 on, Triton and PyTorch 2.4 are required. Products of float32 are in TF32
    there, and float32 is computed directly where PyTorch's settings forbid TF32. A CPU computes it
    in plain PyTorch, slowly. Exported models are plain conv2d.

    In eval mode without gradients, the layer keeps the transformed weights. It drops them when the
    weights change or ``train`` or ``eval`` is called. Keeping them takes memory. On a GPU,
    row-Fourier keeps weights only if they are ``frozen``, since to compare them the CPU would wait.

    Some differences remain. The output of tiles and row-Fourier has the shape (N, D, H, W), but its
    memory format is channels-last. An input value that is not finite spoils all outputs of the
    tiles, or of the pieces of rows, that see it. ``torch.jit.script`` does not take this layer.
    ``print`` shows ``last_choice``.

    Args:
        *args: Positional arguments of ``nn.Conv2d``.
        method: ``'auto'`` for the method that ``choose`` expects to be faster, ``'direct'`` for
            plain ``conv2d``, bit for bit, ``'tiled'`` or ``'fourier'``.
        **kwargs: Keyword arguments of ``nn.Conv2d``.

    Attributes:
        frozen: The weights are no longer written through ``weight.data``, and the layer need not
            compare them. Default: False.
        last_choice: Choice of the last forward pass, or None if it could only be direct, or was
            compiled.

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
        return self.convolve(x, self.weight, self.bias, keep=True)

    def convolve(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, *, keep: bool = False
    ) -> Tensor:
        """Compute the convolution with given weights, such as those of several layers in a row.

        Args:
            x: (N, C, H, W).
            weight: (E, C, k, k), with any number of outputs.
            bias: (E,) or None.
            keep: The weights are those of the layer, which may keep what they are transformed to.

        Returns:
            (N, E, H, W).
        """
        self.last_choice = None
        if self.method == 'fourier':
            return self._by_rows(x, weight, bias, keep)
        if not self._may_be_tiled(x, weight):
            return self._conv_forward(x, weight, bias)
        training = self._is_learned(x, weight, bias)
        tile = self._choose(x, weight, training).tile
        if tile is None:
            return self._conv_forward(x, weight, bias)
        if training:
            return TiledConv2d.apply(x, weight, bias, tile)  # type: ignore[no-untyped-call]
        points = None
        if keep and not self.training:
            points = self._points(tile, lambda weight: transform_weight(weight, tile))
        return tiled_conv.forward(x, weight, bias, tile, points)

    def _is_learned(self, *values: Tensor | None) -> bool:
        """Tell whether there will be a backward pass."""
        learned = any(value is not None and value.requires_grad for value in values)
        return torch.is_grad_enabled() and learned

    def _choose(self, x: Tensor, weight: Tensor, training: bool) -> Choice:
        """Choose how to compute, and remember the choice."""
        self.last_choice = choose(
            tuple(x.shape),
            tuple(weight.shape),
            training=training or self.training,
            method=self.method,
            device=x.device.type,
        )
        return self.last_choice

    def _by_rows(self, x: Tensor, weight: Tensor, bias: Tensor | None, keep: bool) -> Tensor:
        """Compute by row-Fourier, or directly where that is not possible."""
        dtype = self._type_of_rows(x, weight)
        if dtype is None:
            return self._conv_forward(x, weight, bias)
        x, width, kept = x.to(dtype), x.shape[3], None
        if not is_compiled(x):
            training = self._is_learned(x, weight, bias)
            if self._choose(x, weight, training).row is None:
                return self._conv_forward(x, weight, bias)
            keep = keep and not (training or self.training)
            # Comparing weights would make the CPU wait for a GPU.
            if keep and (self.frozen or x.device.type == 'cpu'):
                kept = self._points(
                    (width, dtype), lambda weight: row_fourier_weight(weight, width, dtype)
                )
        return row_fourier(x, weight, bias, kept)

    def _type_of_rows(self, x: Tensor, weight: Tensor) -> torch.dtype | None:
        """Return the type of the products of row-Fourier, or None if that is not possible."""
        shape = (len(weight), self.in_channels, *self.kernel_size)
        if not (OPERATORS and self._fits(x, weight) and fits_fourier(shape)):
            return None
        compiled = is_compiled(x)
        if (is_recorded(x) and not compiled) or is_transformed():
            return None
        dtype, device = x.dtype, x.device
        if is_autocast(device.type) and torch.float64 not in (dtype, weight.dtype):
            dtype = torch.get_autocast_dtype(device.type)
        elif dtype != weight.dtype:
            return None
        # A compiled operator looks for itself, and computes directly if need be.
        return dtype if compiled or is_possible(device, dtype) else None

    def _may_be_tiled(self, x: Tensor, weight: Tensor) -> bool:
        """Tell whether tiles are possible for this input."""
        return (
            self.method != 'direct'
            and self._fits(x, weight)
            and x.dtype == weight.dtype
            and x.dtype in (torch.float32, torch.float64)
            and not is_autocast(x.device.type)
            and not is_recorded(x)
            and not is_transformed()
        )

    def _fits(self, x: Tensor, weight: Tensor) -> bool:
        """Tell whether the input and the sizes are those of a large kernel."""
        size = self.kernel_size[0]
        return (
            # No subclasses: fake tensors would stay in the caches.
            type(x) in _PLAIN
            and type(weight) in _PLAIN
            and x.ndim == 4
            and x.device.type in ('cpu', 'cuda')
            and x.shape[1] == self.in_channels
            and size % 2 == 1
            and size > 1
            and self.kernel_size == (size, size)
            and self.stride == self.dilation == (1, 1)
            and self.groups == 1
            and self.padding in (size // 2, (size // 2,) * 2, 'same')
            and self.padding_mode == 'zeros'
        )

    def _points(self, kind: Any, transform: Callable[[Tensor], Any]) -> Any:
        """Return the transformed weights, and make them anew if the kept ones do not fit."""
        kept = self._kept  # another thread may replace it
        if kept is None or not kept.belongs_to(self.weight, kind, self.frozen):
            self._kept = None  # free the old ones before the new ones are made
            self._kept = kept = _Kept(self.weight.detach(), kind, transform, self.frozen)
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
