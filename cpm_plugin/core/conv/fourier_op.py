"""The row-Fourier convolution as operators of PyTorch: ``cpm_plugin::row_fourier`` and its parts.

As operators, they are single nodes for ``torch.compile``, which need not look inside. Autograd
keeps only the input and the weight. The steps are kernels in Triton on a GPU, and plain PyTorch on
a CPU. Where neither is possible (``is_possible``), the operators compute directly. PyTorch has
operators of this kind since 2.4. Before, there are none.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .fourier import Steps, backward, forward, padded, tf32_allowed, transform_weight
from .fourier_matrices import row_of
from .fourier_plain import PLAIN

OPERATORS = hasattr(torch.library, 'custom_op')  # whether there are the operators
_HALF = (torch.float16, torch.bfloat16)


def is_possible(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether there is a row-Fourier convolution for a device and a type.

    Args:
        device: Device of the input.
        dtype: Type of the input.

    Returns:
        Whether PyTorch is 2.4 or later, and the device is a CPU, or an NVIDIA GPU from compute
            capability 8.0 on with Triton. On a GPU the type must be float16, bfloat16 or, where
            PyTorch's convolutions may use TF32, float32.
    """
    if not OPERATORS or not dtype.is_floating_point:
        return False
    if device.type != 'cuda':
        return device.type == 'cpu'
    fits = dtype in _HALF or (dtype == torch.float32 and tf32_allowed())
    return fits and _has_kernels(device)


@lru_cache(maxsize=64)
def _has_kernels(device: torch.device) -> bool:
    """Tell whether the kernels run on a GPU."""
    return (
        torch.version.hip is None
        and find_spec('triton') is not None
        and torch.cuda.get_device_capability(device) >= (8, 0)
    )


def _steps(x: Tensor) -> Steps:
    """Return who computes, where that is possible."""
    if x.is_cuda:
        from .fourier_triton import STEPS  # imports Triton

        return STEPS
    return PLAIN


def row_fourier(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, kept: Tensor | None = None
) -> Tensor:
    """Compute ``conv2d(x, weight, bias, padding=k // 2)``, with gradients.

    Args:
        x: (N, C, H, W), a float type. The products are of this type.
        weight: (D, C, k, k), k odd. It may be float32 where ``x`` has half precision, as in
            autocast: it is not copied to another type, and its gradient has its own.
        bias: (D,), of any float type, or None.
        kept: ``row_fourier_weight`` of this weight for the width and type of ``x``, to save time
            where no gradients are needed, or None.

    Returns:
        (N, D, H, W) of the type of ``x``, in channels-last memory format.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.conv.fourier_op import row_fourier
        >>> x, weight = torch.rand(2, 3, 20, 30), torch.rand(4, 3, 9, 9)
        >>> expected = torch.nn.functional.conv2d(x, weight, padding=4)
        >>> torch.allclose(row_fourier(x, weight), expected, rtol=1e-5)
        True
    """
    found: Tensor = torch.ops.cpm_plugin.row_fourier(x, weight, bias, kept)
    return found


def row_fourier_weight(weight: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Transform a weight once for many forward passes.

    Args:
        weight: (D, C, k, k), k odd.
        width: Width of the inputs.
        dtype: Type of the inputs.

    Returns:
        The transformed weight, of that type; see ``fourier``.
    """
    found: Tensor = torch.ops.cpm_plugin.row_fourier_weight(weight, width, dtype)
    return found


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None, kept: Tensor | None) -> Tensor:
    if x.numel() == 0:
        return _empty(x, len(weight))
    with torch.autocast(x.device.type, enabled=False):
        if is_possible(x.device, x.dtype):
            found = forward(x, weight, bias, kept, _steps(x))
            # No view: autograd refuses to change views of an operator in place, as ReLU does.
            place = found.storage_offset(), found.shape, found.stride()
            return found.new_empty(0).set_(found.untyped_storage(), *place)
        bias = None if bias is None else bias.to(x.dtype)
        found = F.conv2d(x, weight.to(x.dtype), bias, padding=weight.shape[2] // 2)
        return _empty(x, len(weight)).copy_(found)


def _empty(x: Tensor, channels: int) -> Tensor:
    """Make an empty image (N, channels, H, W), in channels-last memory format; it is no view."""
    images, _, height, width = x.shape
    return torch.empty(
        (images, channels, height, width),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )


def _forward_fake(x: Tensor, weight: Tensor, bias: Tensor | None, kept: Tensor | None) -> Tensor:
    return _empty(x, weight.shape[0])


def _weight(weight: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    with torch.autocast(weight.device.type, enabled=False):
        by = _steps(weight) if is_possible(weight.device, dtype) else PLAIN
        return transform_weight(weight, width, dtype, by)


def _weight_fake(weight: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    outputs, channels, size, _ = weight.shape
    shape = (row_of(width, size).frequencies, size, 2 * padded(channels), 2 * padded(outputs))
    return weight.new_empty(shape, dtype=dtype)


def _backward(
    gradient: Tensor, x: Tensor, weight: Tensor, for_x: bool, for_weight: bool
) -> tuple[Tensor, Tensor]:
    """Compute both gradients; an empty tensor stands for one that is not wanted."""
    of_x: Tensor | None = None
    of_weight: Tensor | None = None
    if x.numel() == 0:
        of_x, of_weight = _empty(x, x.shape[1]), torch.zeros_like(weight)
    else:
        with torch.autocast(x.device.type, enabled=False):
            if is_possible(x.device, x.dtype):
                of_x, of_weight = backward(
                    gradient, x, weight, _steps(x), for_x=for_x, for_weight=for_weight
                )
            else:
                of_x, of_weight = _by_conv2d(gradient, x, weight, for_x, for_weight)
                of_x = None if of_x is None else _empty(x, x.shape[1]).copy_(of_x)
                of_weight = None if of_weight is None else torch.empty_like(weight).copy_(of_weight)
    return (
        of_x if for_x and of_x is not None else x.new_empty(0),
        of_weight if for_weight and of_weight is not None else weight.new_empty(0),
    )


def _by_conv2d(
    gradient: Tensor, x: Tensor, weight: Tensor, for_x: bool, for_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Compute both gradients as ``conv2d`` does."""
    border, needed = [weight.shape[2] // 2] * 2, [for_x, for_weight, False]
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight.to(x.dtype), None, [1, 1], border, [1, 1], False, [0, 0], 1, needed
    )
    return of_x, of_weight.to(weight.dtype) if for_weight else None


def _backward_fake(
    gradient: Tensor, x: Tensor, weight: Tensor, for_x: bool, for_weight: bool
) -> tuple[Tensor, Tensor]:
    return (
        _empty(x, x.shape[1]) if for_x else x.new_empty(0),
        torch.empty_like(weight) if for_weight else weight.new_empty(0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, _ = inputs
    ctx.save_for_backward(x, weight)
    ctx.bias_type = None if bias is None else bias.dtype


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Compute the gradients that autograd asks for."""
    x, weight = ctx.saved_tensors
    for_x, for_weight, for_bias, _ = ctx.needs_input_grad
    bias = gradient.sum(dim=(0, 2, 3), dtype=ctx.bias_type) if for_bias else None
    if not for_x and not for_weight:
        return None, None, bias, None
    if torch.is_grad_enabled():  # create_graph=True: autograd must know the operation
        return (*_by_conv2d(gradient, x, weight, for_x, for_weight), bias, None)
    of_x, of_weight = torch.ops.cpm_plugin.row_fourier_backward(
        gradient, x, weight, for_x, for_weight
    )
    return of_x if for_x else None, of_weight if for_weight else None, bias, None


def _define(name: str, schema: str, function: Any, fake: Any) -> Any:
    """Define an operator that changes none of its inputs."""
    operator = torch.library.custom_op(
        f'cpm_plugin::{name}', function, mutates_args=(), schema=schema
    )
    operator.register_fake(fake)
    return operator


if OPERATORS:
    _define(
        'row_fourier_weight', '(Tensor weight, SymInt width, ScalarType dtype) -> Tensor',
        _weight, _weight_fake,
    )  # fmt: skip
    _define(
        'row_fourier_backward',
        '(Tensor gradient, Tensor x, Tensor weight, bool for_x, bool for_weight)'
        ' -> (Tensor, Tensor)',
        _backward, _backward_fake,
    )  # fmt: skip
    _define(
        'row_fourier', '(Tensor x, Tensor weight, Tensor? bias, Tensor? kept) -> Tensor',
        _forward, _forward_fake,
    ).register_autograd(_gradients, setup_context=_save)  # fmt: skip
