"""Kernels of the row-Fourier convolution for a GPU, in Triton; ``fourier_triton`` calls them.

Shapes are those of ``fourier.Steps``. All tensors but the convolution's kernel are contiguous.
Among the arguments, a piece is one of all N H T pieces. ``room`` is C' or D'. In products, ``deep``
and ``wide`` are the numbers of values that go in and that come out, 2 C' and 2 D'.

Every sum has one order. There are no atomics, so a run gives the same numbers as the last one.

Without Triton, the module can be imported, and its kernels are None. Their arguments have no types,
since Triton takes no names from elsewhere for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

# Numbers on which no alignment depends. Triton need not compile a kernel anew where they are 1 or
# a multiple of 16.
_PLAIN_NUMBERS = (
    'pieces', 'width', 'outputs', 'first', 'inputs', 'values', 'count', 'height', 'size', 'step',
    'parts',
)  # fmt: skip


def _kernel(function: Callable[..., None]) -> Any:
    """Compile a function by Triton when it is called; return None where there is no Triton."""
    return None if triton is None else triton.jit(function, do_not_specialize=_PLAIN_NUMBERS)


@_kernel
def to_points(
    x, matrix, points, pieces, width, outputs, first,
    channels, room, inputs, values,
    BLOCK: tl.constexpr, INPUTS: tl.constexpr, VALUES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Transform one piece of one row of an image, for some channels."""
    piece = tl.program_id(0)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place, value = tl.arange(0, INPUTS), tl.arange(0, VALUES)
    column = piece % pieces * outputs + first + place
    inside = (place < inputs) & (column >= 0) & (column < width)
    rows = x + (piece // pieces).to(tl.int64) * width * channels
    data = tl.load(
        rows + column[:, None] * channels + channel[None, :],
        mask=inside[:, None] & (channel < channels)[None, :],
        other=0.0,
    )
    transform = tl.load(
        matrix + value[:, None] * inputs + place[None, :],
        mask=(value < values)[:, None] & (place < inputs)[None, :],
        other=0.0,
    )
    made = tl.dot(transform, data, input_precision=PRECISION)
    tl.store(
        points + piece.to(tl.int64) * values * room + value[:, None] * room + channel[None, :],
        made.to(points.dtype.element_ty),
        mask=(value < values)[:, None] & (channel < room)[None, :],
    )


@_kernel
def from_points(
    points, matrix, bias, y, pieces, width, outputs,
    channels, room, values,
    BLOCK: tl.constexpr, OUTPUTS: tl.constexpr, VALUES: tl.constexpr, BIAS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Transform one piece of one row back, for some channels, and add the bias."""
    piece = tl.program_id(0)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place, value = tl.arange(0, OUTPUTS), tl.arange(0, VALUES)
    data = tl.load(
        points + piece.to(tl.int64) * values * room + value[:, None] * room + channel[None, :],
        mask=(value < values)[:, None] & (channel < channels)[None, :],
        other=0.0,
    )
    transform = tl.load(
        matrix + place[:, None] * values + value[None, :],
        mask=(place < outputs)[:, None] & (value < values)[None, :],
        other=0.0,
    )
    made = tl.dot(transform, data, input_precision=PRECISION)
    if BIAS:
        more = tl.load(bias + channel, mask=channel < channels, other=0.0)
        made += more.to(tl.float32)[None, :]
    column = piece % pieces * outputs + place
    inside = (place < outputs) & (column < width)
    rows = y + (piece // pieces).to(tl.int64) * width * channels
    tl.store(
        rows + column[:, None] * channels + channel[None, :],
        made.to(y.dtype.element_ty),
        mask=inside[:, None] & (channel < channels)[None, :],
    )


@_kernel
def products(
    points, weights, found, count, height, pieces, size,
    step, deep, wide, deep_stride, wide_stride,
    DEEP: tl.constexpr, STEPS: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Multiply some pieces at one frequency by the kernel; sum over its rows and the channels."""
    frequency, frequencies = tl.program_id(1), tl.num_programs(1)
    across = tl.cdiv(wide, WIDE)
    piece = tl.program_id(0) // across * BLOCK + tl.arange(0, BLOCK)
    column = tl.program_id(0) % across * WIDE + tl.arange(0, WIDE)
    channel = tl.arange(0, DEEP)
    row = piece // pieces % height
    data = points + piece.to(tl.int64)[:, None] * (frequencies * deep) + frequency * deep
    kernel = weights + frequency.to(tl.int64) * size * deep * wide
    kernel += channel[:, None] * deep_stride + column[None, :] * wide_stride
    total = tl.zeros((BLOCK, WIDE), tl.float32)
    for number in range(size * STEPS):
        tap = number // STEPS
        start = number % STEPS * DEEP
        shift = (tap - size // 2) * step
        seen = (piece < count) & (row + shift >= 0) & (row + shift < height)
        some = tl.load(
            data + shift * pieces * frequencies * deep + start + channel[None, :],
            mask=seen[:, None],
            other=0.0,
        )
        factors = tl.load(
            kernel + tap * deep * wide + start * deep_stride,
            mask=(column < wide)[None, :],
            other=0.0,
        )
        total = tl.dot(some, factors, total, input_precision=PRECISION)
    tl.store(
        found + piece.to(tl.int64)[:, None] * (frequencies * wide) + frequency * wide
        + column[None, :],
        total.to(found.dtype.element_ty),
        mask=(piece < count)[:, None] & (column < wide)[None, :],
    )  # fmt: skip


@_kernel
def sums(
    points, gradients, found, count, height, pieces, deep,
    wide,
    DEEP: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Sum over all pieces the products of data and gradients, at one frequency for one tap."""
    tap, size = tl.program_id(1), tl.num_programs(1)
    frequency, frequencies = tl.program_id(2), tl.num_programs(2)
    across = tl.cdiv(wide, WIDE)
    channel = tl.program_id(0) // across * DEEP + tl.arange(0, DEEP)
    column = tl.program_id(0) % across * WIDE + tl.arange(0, WIDE)
    shift = size // 2 - tap
    total = tl.zeros((DEEP, WIDE), tl.float32)
    for start in range(0, count, BLOCK):
        piece = start + tl.arange(0, BLOCK)
        row = piece // pieces % height + shift
        seen = (piece < count) & (row >= 0) & (row < height)
        place = piece.to(tl.int64)[:, None] * frequencies + frequency
        data = tl.load(
            points + place * deep + channel[None, :],
            mask=seen[:, None] & (channel < deep)[None, :],
            other=0.0,
        )
        results = tl.load(
            gradients + (place + shift * pieces * frequencies) * wide + column[None, :],
            mask=seen[:, None] & (column < wide)[None, :],
            other=0.0,
        )
        total = tl.dot(tl.trans(data), results, total, input_precision=PRECISION)
    place = (frequency.to(tl.int64) * size + tap) * deep + channel
    tl.store(
        found + place[:, None] * wide + column[None, :],
        total,
        mask=(channel < deep)[:, None] & (column < wide)[None, :],
    )


@_kernel
def weight_points(
    weight, taps, found, channels, outputs, deep, wide,
    by_output, by_channel, by_row, by_tap, parts,
    BLOCK: tl.constexpr, TAPS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Transform one row of taps of the kernel, for one channel and some outputs."""
    line, size = tl.program_id(0), tl.num_programs(0)
    channel = tl.program_id(1)
    output = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    tap, part = tl.arange(0, TAPS), tl.arange(0, PARTS)
    known = tl.where(channel < channels, outputs, 0)  # the channels beyond are 0
    data = tl.load(
        weight + line * by_row + channel * by_channel + tap[:, None] * by_tap
        + output[None, :] * by_output,
        mask=(tap < size)[:, None] & (output < known)[None, :],
        other=0.0,
    )  # fmt: skip
    transform = tl.load(
        taps + part[:, None] * size + tap[None, :],
        mask=(part < parts)[:, None] & (tap < size)[None, :],
        other=0.0,
    )
    made = tl.dot(transform, data.to(tl.float32), input_precision='ieee')
    # the parts are frequency, part in, part out; the kernel has the row before the part in
    place = ((part // 4 * size + line) * 2 + part % 4 // 2) * deep + channel
    tl.store(
        found + (place[:, None].to(tl.int64) * 2 + part[:, None] % 2) * wide + output[None, :],
        made.to(found.dtype.element_ty),
        mask=(part < parts)[:, None] & (output < wide)[None, :],
    )


@_kernel
def weight_gradient(
    sums, lags, found, outputs, deep, wide, by_output,
    by_channel, by_row, by_tap, parts,
    BLOCK: tl.constexpr, TAPS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Do the transposed of ``weight_points``."""
    line, size = tl.program_id(0), tl.num_programs(0)
    channel = tl.program_id(1)
    output = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    tap = tl.arange(0, TAPS)
    made = tl.zeros((TAPS, BLOCK), tl.float32)
    for start in range(0, parts, PARTS):
        part = start + tl.arange(0, PARTS)
        place = ((part // 4 * size + line) * 2 + part % 4 // 2) * deep + channel
        data = tl.load(
            sums + (place[:, None].to(tl.int64) * 2 + part[:, None] % 2) * wide + output[None, :],
            mask=(part < parts)[:, None] & (output < outputs)[None, :],
            other=0.0,
        )
        transform = tl.load(
            lags + tap[:, None] * parts + part[None, :],
            mask=(tap < size)[:, None] & (part < parts)[None, :],
            other=0.0,
        )
        made = tl.dot(transform, data, made, input_precision='ieee')
    tl.store(
        found + line * by_row + channel * by_channel + tap[:, None] * by_tap
        + output[None, :] * by_output,
        made.to(found.dtype.element_ty),
        mask=(tap < size)[:, None] & (output < outputs)[None, :],
    )  # fmt: skip
