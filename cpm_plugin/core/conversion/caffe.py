"""Reading of Caffe's weight files (``.caffemodel``) without Caffe or protobuf.

Numbers of fields are those of ``src/caffe/proto/caffe.proto`` in the authors' Caffe
(github.com/shihenw/caffe). ``cpm_plugin.core.conversion.caffe_networks`` relates Caffe's layers to
ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Layers = dict[str, list[NDArray[np.float32]]]


@dataclass(frozen=True)
class _Layer:
    """Field numbers of a layer's message.

    Attributes:
        name: Field of the name.
        blobs: Field of the blobs.
    """

    name: int
    blobs: int


# By the field of NetParameter that holds the layers: 100 is LayerParameter, 2 V1LayerParameter.
_LAYERS = {
    100: _Layer(name=1, blobs=7),
    2: _Layer(name=4, blobs=6),
}
# All fields of NetParameter. A file with others is no caffemodel.
_NET_FIELDS = {*range(1, 9), 100}
# Fields of BlobProto. Fields 1 to 4 are num, channels, height and width, the shape in old files.
_DATA, _SHAPE, _DOUBLE_DATA = 5, 7, 8
_DIM = 1  # field of BlobShape

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types


class _Broken(Exception):
    """Bytes that are no message, or only a part of one."""


class _Truncated(_Broken):
    """A message that ends inside one of its fields.

    Args:
        number: Number of the field.
        missing: Number of bytes that are missing.
        rest: Bytes of the field that are there.
    """

    def __init__(self, number: int, missing: int, rest: memoryview) -> None:
        super().__init__(f'a field in it needs {missing} bytes more than there are')
        self.number, self.missing, self.rest = number, missing, rest


def read_caffemodel(path: str | Path) -> Layers:
    """Read the weights of all layers of a ``.caffemodel``.

    Files of today's Caffe and of Caffe before 2015 are read.

    Args:
        path: File to read.

    Returns:
        Names of layers, mapped to their blobs, in the order of the file. Those of a convolution are
            weight (out, in, h, w) and bias (out,). Layers without blobs are left out.

    Raises:
        ValueError: If the file is missing, truncated, broken or no caffemodel, or a value is not
            finite. The message names the file, and the layer if there is one.

    Examples:
        The smallest file: one layer ``conv1`` with a blob of two values.

        >>> import tempfile
        >>> from pathlib import Path
        >>> from cpm_plugin.core.conversion import read_caffemodel
        >>> content = 'a20618 0a05636f6e7631 3a0f 3a030a0102 2a080000803f00000040'
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / 'small.caffemodel'
        ...     _ = path.write_bytes(bytes.fromhex(content))
        ...     read_caffemodel(path)
        {'conv1': [array([1., 2.], dtype=float32)]}
    """
    if not Path(path).is_file():
        problem = ' is a folder; give a file' if Path(path).is_dir() else ': no such file'
        raise ValueError(f'{path}{problem}')
    content = Path(path).read_bytes()
    if content.startswith(b'PK'):
        raise ValueError(f'{path} is an archive, as PyTorch writes them, and no caffemodel')
    if _is_text(content):
        raise ValueError(f'{path} is text, not weights; give the .caffemodel')
    layers: Layers = {}
    try:
        for number, value in _fields(memoryview(content)):
            if number not in _NET_FIELDS:
                raise _Broken(f'a network has no field {number}')
            if number in _LAYERS:
                name, blobs = _read_layer(_bytes(value), _LAYERS[number])
                if name in layers and blobs:
                    raise _Broken(f'layer {name!r} is in it twice')
                if blobs:
                    layers[name] = blobs
    except _Broken as error:
        problem = f'is truncated, broken or no caffemodel: {error}'
        if isinstance(error, _Truncated) and (name := _name_in(error.rest, error.number)):
            problem = (
                f'is truncated: its {len(content)} bytes end inside layer {name!r}, which needs '
                f'at least {error.missing} more'
            )
        raise ValueError(f'{path} {problem}. Download it again and compare its size') from error
    if not layers:
        raise ValueError(f'{path}: no layers with weights in it; it is no caffemodel')
    for name, blobs in layers.items():
        for number, blob in enumerate(blobs):
            if not np.isfinite(blob).all():
                raise ValueError(
                    f'{path}: {name} {blob_name(number)} has values that are not finite (NaN or '
                    'infinite). Download it again and compare its size'
                )
    return layers


def blob_name(number: int) -> str:
    """Return what the blob of a convolution is: weight, bias, or blob 2 and so on.

    Args:
        number: Number of the blob in its layer, from 0 on.

    Returns:
        Its name.
    """
    return ('weight', 'bias')[number] if number < 2 else f'blob {number}'


def _is_text(content: bytes) -> bool:
    """Tell whether the bytes are text in UTF-8.

    No layer is: the tags in ``_LAYERS`` are control characters.
    """
    if not content or re.search(rb'[\x00-\x08\x0e-\x1f]', content):
        return False
    with suppress(UnicodeDecodeError):
        content.decode()
        return True
    return False


def _read_layer(view: memoryview, fields: _Layer) -> tuple[str, list[NDArray[np.float32]]]:
    """Read the name and the blobs of a layer."""
    name, blobs = '', []
    try:
        for number, value in _fields(view):
            if number == fields.name:
                name = str(_bytes(value), errors='replace')
            elif number == fields.blobs:
                blobs.append(_read_blob(_bytes(value)))
    except _Broken as error:
        raise _Broken(f'layer {name!r}: {error}') from error
    return name, blobs


def _name_in(layer: memoryview, number: int) -> str:
    """Return the name of a truncated layer, or ``''`` if the name is not in it."""
    with suppress(_Broken):
        for field, value in _fields(layer):
            if number in _LAYERS and field == _LAYERS[number].name:
                return str(_bytes(value), errors='replace')
    return ''


def _read_blob(view: memoryview) -> NDArray[np.float32]:
    """Read the values of a blob in its shape."""
    shape: tuple[int, ...] | None = None
    old_shape = [0, 0, 0, 0]
    parts: dict[int, list[NDArray[Any]]] = {_DATA: [], _DOUBLE_DATA: []}
    for number, value in _fields(view):
        if number == _SHAPE:
            shape = _read_shape(_bytes(value))
        elif 1 <= number <= 4 and isinstance(value, int):
            old_shape[number - 1] = value
        elif number in parts:
            parts[number].append(_numbers(_bytes(value), '<f4' if number == _DATA else '<f8'))
    if shape is None:  # in old files, a bias is (1, 1, 1, N)
        shape = tuple(old_shape[3:] if old_shape[:3] == [1, 1, 1] else old_shape)
    with np.errstate(over='ignore'):  # too large a double becomes inf, which is refused
        values = np.concatenate(
            [np.empty(0, np.float32), *(parts[_DOUBLE_DATA] or parts[_DATA])],
            dtype=np.float32,
            casting='same_kind',
        )
    try:
        return values.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise _Broken(f'a blob of shape {shape} has {values.size} values') from error


def _read_shape(view: memoryview) -> tuple[int, ...]:
    """Read the shape of a blob."""
    shape: list[int] = []
    for number, value in _fields(view):
        if number == _DIM and isinstance(value, int):
            shape.append(value)
        elif number == _DIM:
            at = 0
            while at < len(_bytes(value)):
                dim, at = _varint(_bytes(value), at)
                shape.append(dim)
    return tuple(shape)


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: number and value.

    The value is an integer for a varint and bytes for all others. Consecutive values of fixed size
    with the same number come together. A repeated field thus looks the same whether it is packed
    or not.
    """
    at = 0
    while at < len(view):
        start = at
        tag, at = _varint(view, at)
        number, wire = tag >> 3, tag & 7
        if number == 0 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise _Broken(f'{tag} at byte {start} begins no field')
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(view, at)
            if size > len(view) - at:
                raise _Truncated(number, size - (len(view) - at), view[at:])
            yield number, view[at : at + size]
            at += size
        else:
            values = _run(view[start:], at - start, 8 if wire == _FIXED64 else 4)
            yield number, memoryview(values.tobytes())
            at = start + values.shape[0] * (at - start + values.shape[1])


def _run(view: memoryview, tag_size: int, value_size: int) -> NDArray[np.uint8]:
    """Return the values of consecutive fields with the same tag as the first.

    There are at most 65,536 of them, so that the time to read is linear in the size of the file.

    Args:
        view: Bytes that begin with the first tag.
        tag_size: Size of a tag in bytes.
        value_size: Size of a value in bytes.

    Returns:
        (count, value_size), bytes of the values.
    """
    step = tag_size + value_size
    count = min(len(view) // step, 1 << 16)
    if not count:
        raise _Broken('it ends in the middle of a number')
    records = np.frombuffer(view, np.uint8, count * step).reshape(count, step)
    same = (records[:, :tag_size] == records[0, :tag_size]).all(axis=1)
    return records[: count if same.all() else int(same.argmin()), tag_size:]


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the varint that begins at byte ``at``, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at == len(view):
            raise _Broken('it ends in the middle of a number')
        value |= (view[at] & 127) << shift
        at += 1
        if view[at - 1] < 128:
            return value, at
    raise _Broken('a number in it has more than ten bytes')


def _bytes(value: int | memoryview) -> memoryview:
    """Return the bytes of a field; raise ``_Broken`` for a varint."""
    if isinstance(value, int):
        raise _Broken('a number where bytes are expected')
    return value


def _numbers(view: memoryview, dtype: str) -> NDArray[Any]:
    """Return the numbers in the bytes of a field."""
    if len(view) % np.dtype(dtype).itemsize:
        raise _Broken(f'{len(view)} bytes of values are no whole number of values')
    return np.frombuffer(view, dtype)
