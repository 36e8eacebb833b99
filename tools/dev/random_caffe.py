"""Random weights of the authors' Caffe networks, as ``.caffemodel`` files, and inputs for them.

``compare_caffe.py`` and the tests compare networks on these. Numbers of fields are those of
``src/caffe/proto/caffe.proto`` in the authors' Caffe (github.com/shihenw/caffe). They are written
here once more, and not taken from the reader, so that a test would find a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from cpm_plugin.core.conversion.caffe import Layers
from cpm_plugin.core.conversion.caffe_networks import layer_names
from cpm_plugin.core.models.registry import create_model


class _Fields(NamedTuple):
    """Field numbers of a layer's message, and the value of ``type`` for a convolution."""

    name: int
    type: int
    blobs: int
    convolution: int | bytes


_TODAY = _Fields(1, 2, 7, b'Convolution')  # LayerParameter
_LEGACY = _Fields(4, 5, 6, 4)  # V1LayerParameter
_DATA, _SHAPE = 5, 7  # of BlobProto
_DIM = 1  # of BlobShape
_VARINT, _BYTES = 0, 2  # protobuf's wire types


def random_layers(name: str, seed: int) -> Layers:
    """Make random weights of a network, the same for the same seed.

    Weights are uniform with the variance of He's rule. The outputs of all stages are then of the
    order of 1, and it makes sense to compare them. Biases are uniform in [-0.1, 0.1], the slopes of
    PReLU in [-0.5, 0.5].

    Args:
        name: One of ``CAFFE_MODELS``.
        seed: Seed of the random numbers.

    Returns:
        Caffe's names of layers, mapped to their blobs.

    Raises:
        ValueError: If the name is not in ``CAFFE_MODELS``.
    """
    rng = np.random.default_rng(seed)
    names = layer_names(name)
    with torch.device('meta'):
        shapes = create_model(name).state_dict()
    layers: Layers = {}
    for layer, module in names.items():
        shape = tuple(shapes[f'{module}.weight'].shape)
        if len(shape) == 1:  # PReLU
            layers[layer] = [_uniform(rng, shape, 0.5)]
            continue
        bound = math.sqrt(6 / math.prod(shape[1:]))
        layers[layer] = [_uniform(rng, shape, bound), _uniform(rng, shape[:1], 0.1)]
    return layers


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> Any:
    """Draw float32 numbers in [-bound, bound]."""
    return np.float32(bound) * (2 * rng.random(shape, dtype=np.float32) - 1)


def random_inputs(
    height: int, width: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make random inputs to compare networks on.

    The values of the image are value / 256 - 0.5, as the authors' are. The center map differs from
    cell to cell. Otherwise the average of its pool would be nearly the same everywhere.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        seed: Seed of the random numbers.

    Returns:
        Image (1, 3, H, W), with values in [-0.5, 0.5), and center map (1, 1, H, W), with values
            from 0 to 4.
    """
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (1, 3, height, width)) / np.float32(256) - np.float32(0.5)
    cells = rng.random((-(-height // 8), -(-width // 8)), dtype=np.float32)
    center = 4 * cells.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    center = center * rng.random((height, width), dtype=np.float32)
    return image.astype(np.float32), center[None, None]


def write_caffemodel(
    path: str | Path, layers: Mapping[str, Sequence[NDArray[Any]]], *, legacy: bool = False
) -> None:
    """Write convolutions and PReLUs as a file that Caffe, OpenCV and ``read_caffemodel`` read.

    Args:
        path: File to write; an existing file is replaced.
        layers: Names of layers, mapped to their blobs, which are written as float32.
        legacy: Write as Caffe did before 2015: ``V1LayerParameter``, and shapes of four numbers.
    """
    number, fields = (2, _LEGACY) if legacy else (100, _TODAY)
    with open(path, 'wb') as file:
        for name, blobs in layers.items():
            kind = fields.convolution if len(blobs) != 1 or blobs[0].ndim != 1 else b'PReLU'
            parts = [_field(fields.name, name.encode()), _field(fields.type, kind)]
            parts += [_field(fields.blobs, _blob_bytes(blob, legacy)) for blob in blobs]
            file.write(_field(number, b''.join(parts)))


def _field(number: int, value: int | bytes) -> bytes:
    """Return the bytes of a field with its number and value."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Return the bytes of a varint."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _blob_bytes(blob: NDArray[Any], legacy: bool) -> bytes:
    """Return the bytes of a blob."""
    if legacy:
        old_shape = (1,) * (4 - blob.ndim) + blob.shape
        shape = b''.join(_field(number, size) for number, size in enumerate(old_shape, start=1))
    else:
        shape = _field(_SHAPE, _field(_DIM, b''.join(map(_varint, blob.shape))))
    return shape + _field(_DATA, blob.astype('<f4').tobytes())
