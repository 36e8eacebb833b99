"""Tiled convolution with large kernels: the values of ``conv2d`` in far fewer operations.

The image is divided into tiles of m1 x m2 outputs; ``tile_grid`` explains the letters. Along rows
and then along columns, a tile and the kernel are multiplied by the small matrices of
``bilinear``. Where ``conv2d`` needs ``k * k`` products for an output, this needs about 1.5 n1 n2
products for a tile. Each of them is a matrix product over channels.

Stride 1, one group, odd square kernels, and zero padding that keeps the size are required.

The n1 rows at the points along y are made for a group of tiles. All that follows is done block by
block of these rows, so that the products never exist all at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from .tile_grid import Grid, Matrices, Tile, groups, matrices


def transform_weight(weight: Tensor, tile: Tile) -> list[Tensor]:
    """Transform a kernel once for many forward passes.

    Args:
        weight: (D, C, k, k).
        tile: Size of the tiles.

    Returns:
        For each block (R, C, D), the transformed kernel.
    """
    made = matrices(tile, weight.shape[2], weight.dtype, weight.device)
    return list(_weights_by_block(weight, made))


def _weights_by_block(weight: Tensor, made: Matrices) -> Iterator[Tensor]:
    """Yield what ``transform_weight`` returns, block by block."""
    outputs, channels, size, _ = weight.shape
    taps = weight.permute(2, 3, 1, 0).reshape(size, -1)
    rows = (made.along_y.taps @ taps).view(-1, size, channels * outputs)
    for block in made.blocks:
        along_x = made.of_block(block).taps
        yield (along_x @ rows[block].flatten(0, 1)).view(-1, channels, outputs)


def _empty_output(x: Tensor, channels: int) -> Tensor:
    """Make an empty tensor (N, channels, H, W) in channels-last memory format.

    It is no view: autograd refuses views that a function returns and that are changed in place.
    """
    return torch.empty(
        (x.shape[0], channels, *x.shape[2:]),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    tile: Tile,
    transformed: Iterable[Tensor] | None = None,
) -> Tensor:
    """Compute ``conv2d(x, weight, bias, padding=k // 2)`` without gradients.

    Args:
        x: (N, C, H, W).
        weight: (D, C, k, k), of the same dtype as ``x``.
        bias: (D,) or None.
        tile: Size of the tiles.
        transformed: ``transform_weight(weight, tile)``, if it has been computed already.

    Returns:
        (N, D, H, W) in channels-last memory format.
    """
    output = _empty_output(x, len(weight))
    for grid in groups(x, weight, tile, by_rows=True, kept=transformed is not None):
        weights = _weights_by_block(weight, grid.matrices) if transformed is None else transformed
        _forward_group(grid, x, weights, bias, output.permute(0, 2, 3, 1))
    return output


def _forward_group(
    grid: Grid, x: Tensor, weights: Iterable[Tensor], bias: Tensor | None, output: Tensor
) -> None:
    """Compute the outputs of a group and write them into ``output`` (N, H, W, D)."""
    channels, outputs, width = x.shape[1], output.shape[3], grid.tile.columns
    bands = grid.bands(x)
    results = x.new_empty(bands.shape[1], grid.tiles, width, outputs)
    for block, kernel in zip(grid.matrices.blocks, weights, strict=True):
        data, _, products = grid.matrices.of_block(block)
        seen = torch.bmm(_each(data, grid), grid.tiles_of(bands, block, channels))  # (T, R, C)
        product = torch.bmm(seen.transpose(0, 1), kernel)  # (R, T, D)
        if bias is not None and block.start == 0:
            # The first product is that at the point 1 along y and x. What is added to it is added
            # to every output.
            product[0] += bias
        for row, part in zip(results[block], torch.split(products.T, width)):
            torch.bmm(_each(part, grid), product.transpose(0, 1), out=row)
    grid.write(results, output)


def _each(matrix: Tensor, grid: Grid) -> Tensor:
    """Expand a matrix to all tiles of a group, without a copy."""
    return matrix.expand(grid.tiles, -1, -1)


def backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    tile: Tile,
    for_x: bool,
    for_weight: bool,
    transformed: Iterable[Tensor] | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients of ``forward`` from the gradient of its output.

    Args:
        gradient: (N, D, H, W), with respect to the output.
        x: (N, C, H, W).
        weight: (D, C, k, k).
        tile: Size of the tiles.
        for_x: Whether to compute the gradient with respect to ``x``.
        for_weight: Whether to compute the gradient with respect to ``weight``.
        transformed: ``transform_weight(weight, tile)``, if it has been computed already.

    Returns:
        Gradients with respect to ``x`` (N, C, H, W) and ``weight`` (D, C, k, k); None where not
            wanted.
    """
    if not for_x and not for_weight:
        return None, None
    outputs, channels, size, _ = weight.shape
    output = _empty_output(x, channels) if for_x else None
    rows: Tensor | None = None
    for grid in groups(x, weight, tile, by_rows=False):
        more = _backward_group(grid, gradient, x, weight, output, for_weight, transformed)
        rows = more if rows is None or more is None else rows.add_(more)
    if rows is None:
        return output, None
    made = matrices(tile, size, x.dtype, x.device)
    taps = made.along_y.taps.T @ rows.flatten(1)
    return output, taps.view(size, size, channels, outputs).permute(3, 2, 0, 1)


def _backward_group(
    grid: Grid,
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    output: Tensor | None,
    for_weight: bool,
    transformed: Iterable[Tensor] | None,
) -> Tensor | None:
    """Compute the gradients of a group.

    Args:
        grid: The group.
        gradient: (N, D, H, W), with respect to the output.
        x: (N, C, H, W).
        weight: (D, C, k, k).
        output: (N, C, H, W), where the gradient with respect to ``x`` is written, or None.
        for_weight: Whether to compute the gradient with respect to the kernel.
        transformed: ``transform_weight(weight, tile)``, if it has been computed already.

    Returns:
        (n1, k, C D), the gradient with respect to the kernel transformed along y, or None.
    """
    outputs, channels, size, _ = weight.shape
    results = grid.gradient_bands(gradient)
    bands = grid.bands(x) if for_weight else None
    rows = x.new_empty(results.shape[1], size, channels * outputs) if for_weight else None
    sums = None
    weights: Iterable[Tensor | None] = repeat(None)
    if output is not None:
        sums = x.new_zeros(*results.shape[:2], grid.padded[1] * channels)
        weights = transformed or _weights_by_block(weight, grid.matrices)
    for block, kernel in zip(grid.matrices.blocks, weights):
        data, along_x, products = grid.matrices.of_block(block)
        result = grid.outputs_of(results, block, outputs)
        product = torch.bmm(_each(products, grid), result).transpose(0, 1)  # (R, T, D)
        if sums is not None and kernel is not None:
            seen = torch.bmm(product, kernel.transpose(1, 2)).transpose(0, 1)  # (T, R, C)
            grid.add_tiles(torch.bmm(_each(data.T, grid), seen), sums, block, channels)
        if bands is not None and rows is not None:
            seen = torch.bmm(_each(data, grid), grid.tiles_of(bands, block, channels))
            kernels = torch.bmm(seen.permute(1, 2, 0), product)  # (R, C, D)
            torch.mm(along_x.T, kernels.flatten(1), out=rows[block].flatten(0, 1))
    if output is not None and sums is not None:
        grid.write_gradient(sums, output.permute(0, 2, 3, 1))
    return rows


class TiledConv2d(torch.autograd.Function):
    """``forward`` and ``backward`` for autograd.

    It keeps ``x``, the weight and, for the gradient of ``x``, the transformed weight.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, tile: Tile) -> Tensor:
        """Compute the output and save what the backward pass needs.

        Args:
            ctx: Autograd's context of this call.
            x: (N, C, H, W).
            weight: (D, C, k, k).
            bias: (D,), or None.
            tile: Size of the tiles.

        Returns:
            (N, D, H, W).
        """
        kernels = transform_weight(weight, tile)
        # Saved, and not attributes of ctx: autograd frees them as soon as they have been used.
        ctx.save_for_backward(x, weight, *(kernels if ctx.needs_input_grad[0] else ()))
        ctx.tile = tile
        return forward(x, weight, bias, tile, kernels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients that autograd asks for.

        Args:
            ctx: Autograd's context of the call of ``forward``.
            gradient: (N, D, H, W), gradient of the output.

        Returns:
            Gradients of ``x``, weight and bias, None where none is asked for, and None for the
                tile.
        """
        x, weight, *kernels = ctx.saved_tensors
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        bias = gradient.sum(dim=(0, 2, 3)) if for_bias else None
        # In the dtype of the forward pass, as the backward of conv2d.
        with torch.autocast(gradient.device.type, enabled=False):
            if torch.is_grad_enabled():  # create_graph=True: autograd must know the operation
                border, needed = [weight.shape[2] // 2] * 2, [for_x, for_weight, False]
                gradients = torch.ops.aten.convolution_backward(
                    gradient, x, weight, None, [1, 1], border, [1, 1], False, [0, 0], 1, needed
                )
                return (*gradients[:2], bias, None)
            gradients = backward(gradient, x, weight, ctx.tile, for_x, for_weight, kernels or None)
            return (*gradients, bias, None)
