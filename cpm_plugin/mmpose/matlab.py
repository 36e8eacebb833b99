"""Reading of MATLAB files that are not trusted.

SciPy's reader believes what a file says of itself. For a broken one it may read memory that is not
its own, which ends the process, or ask for any amount of memory. So the structure is checked first:
sizes, types and numbers of all elements, as the *MAT-File Format* of MathWorks (level 5) has them.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any

from scipy.io import loadmat

# Types of elements.
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_NUMBERS = frozenset({*range(1, 8), 9, 12, 13})
_TEXTS = _NUMBERS | {16, 17, 18}
# Classes of arrays.
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x08  # flag of an array
_DEEPEST = 32  # of arrays in arrays; SciPy's reader calls itself
_LARGEST = 1 << 29  # bytes of a variable that is compressed


class _Broken(Exception):
    """Bytes that are no MATLAB file."""


def load_variable(path: str | Path, name: str, *, simplify: bool = False) -> Any:
    """Read a variable of a MATLAB file, after a check of its structure.

    Args:
        path: File of MATLAB 5 or later (not 7.3, which is HDF5).
        name: Name of the variable.
        simplify: Structs become dicts, and dimensions of size 1 are left out; see
            ``simplify_cells`` of ``scipy.io.loadmat``.

    Returns:
        The variable, as of ``scipy.io.loadmat``.

    Raises:
        ValueError: If the file is broken, or the variable has other than numbers, texts, cells and
            structs.
        KeyError: If it has no such variable.
        OSError: If the file cannot be read.
    """
    content = Path(path).read_bytes()
    try:
        check_structure(content, name)
    except _Broken as error:
        raise ValueError(f'it is broken or no file of MATLAB 5: {error}') from error
    file = io.BytesIO(content)
    return loadmat(file, simplify_cells=simplify, variable_names=[name])[name]


def check_structure(content: bytes, name: str) -> None:
    """Check that the bytes are a file of MATLAB 5 with a variable that can be read.

    Args:
        content: The file.
        name: Name of the variable. Of others, only what their readers have to skip is checked.

    Raises:
        _Broken: If they are not. The reader names the file.
    """
    order = {b'IM': '<', b'MI': '>'}.get(content[126:128])
    if order is None or 0 in content[:4]:
        raise _Broken('another header')
    if struct.unpack(order + 'H', content[124:126])[0] >> 8 != 1:
        raise _Broken('another version')
    reader = _Reader(content, 128, len(content), order)
    while reader.at < reader.end:
        kind, view = reader.element(padded=False)
        if kind == _COMPRESSED:
            inside = _Reader(_decompress(view), 0, None, order)
            kind, view = inside.element(padded=False)
            if inside.at != inside.end:
                raise _Broken('more than a variable in a compressed one')
        if kind != _MATRIX:
            raise _Broken(f'type {kind} in place of a variable')
        _check_array(view, order, depth=0, only=name)


def _decompress(view: memoryview) -> bytes:
    """Return what is in a compressed element."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(view, _LARGEST)
    except zlib.error as error:
        raise _Broken(str(error)) from error
    if not stream.eof:
        raise _Broken(f'a compressed variable is cut off, or larger than {_LARGEST:,} bytes')
    return content


class _Reader:
    """Position in bytes that are a sequence of elements."""

    def __init__(
        self, content: bytes | memoryview, begin: int, end: int | None, order: str
    ) -> None:
        self.view, self.at, self.order = memoryview(content), begin, order
        self.end = len(self.view) if end is None else end

    def element(self, padded: bool = True) -> tuple[int, memoryview]:
        """Return type and bytes of the next element, and go past it."""
        if self.at + 8 > self.end:
            raise _Broken('it ends inside an element')
        kind, size = struct.unpack_from(self.order + 'II', self.view, self.at)
        if kind >> 16:  # four bytes at most, in the place of the size
            kind, size, begin, after = kind & 0xFFFF, kind >> 16, self.at + 4, self.at + 8
            if size > 4:
                raise _Broken(f'a small element of {size} bytes')
        else:
            begin = self.at + 8
            after = begin + size + (-size % 8 if padded else 0)
        if after > self.end:
            raise _Broken('an element is longer than what it is in')
        self.at = after
        return kind, self.view[begin : begin + size]

    def expect(self, *kinds: int) -> memoryview:
        """Return the bytes of the next element, which must be of one of some types."""
        kind, view = self.element()
        if kind not in kinds:
            raise _Broken(f'an element of type {kind}')
        return view


def _check_array(view: memoryview, order: str, depth: int, only: str | None = None) -> None:
    """Raise ``_Broken`` unless the bytes are those of an array, or of one of another name."""
    if not len(view) and only is None:
        return  # an empty array in a cell
    if depth > _DEEPEST:
        raise _Broken(f'arrays in arrays, more than {_DEEPEST} deep')
    reader = _Reader(view, 0, None, order)
    flags, dims = reader.expect(_UINT32), reader.expect(_INT32)
    name = reader.expect(_INT8)
    if len(flags) != 8 or len(dims) % 4 or not 8 <= len(dims) <= 4 * 32:
        raise _Broken('an array without flags, or of no or too many dimensions')
    if only is not None and bytes(name) != only.encode():
        return
    (word,) = struct.unpack_from(order + 'I', flags)
    kind = word & 0xFF
    shape = struct.unpack(f'{order}{len(dims) // 4}i', dims)
    count = math.prod(shape)
    if min(shape) < 0 or count > len(view):
        raise _Broken(f'an array of shape {shape} in {len(view)} bytes')
    if kind in (_CELL, _STRUCT):
        if kind == _STRUCT:
            count *= _number_of_fields(reader)
        for _ in range(count):
            _check_array(reader.expect(_MATRIX), order, depth + 1)
    elif kind == _CHAR:
        reader.expect(*_TEXTS)
    elif kind in _NUMERIC:
        for _ in range(2 if word >> 8 & _COMPLEX else 1):
            reader.expect(*_NUMBERS)
    else:
        raise _Broken(f'an array of class {kind}')
    if reader.at != reader.end:
        raise _Broken('an array is longer than its elements')


def _number_of_fields(reader: _Reader) -> int:
    """Return the number of fields of a struct."""
    length = reader.expect(_INT32)
    names = reader.expect(_INT8)
    size = struct.unpack(reader.order + 'i', length)[0] if len(length) == 4 else 0
    if size <= 0 or len(names) % size:
        raise _Broken('a struct without names of its fields')
    return len(names) // size
