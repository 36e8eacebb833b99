"""Ways to spoil a file: pure functions of its bytes and a random generator."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

Operation = Callable[[bytes, random.Random], bytes]

_VALUE = re.compile(
    rb'-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|"(?:[^"\\]|\\.)*"|\[[^\[\]]*\]|\{[^{}]*\}|true|false|null'
)
_PICKLED = re.compile(rb'K.|M..', re.DOTALL)
_NUMBER = re.compile(rb'-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?')
_EXTREME_NUMBERS = (
    'NaN', 'Infinity', '-Infinity', '1e999', '-1e999', '1e308', '1e39', '1e-320', '-1', '0', '-0.0',
    '0.5', str(2**31), str(2**63), str(-(2**63)), '9' * 400, '9' * 5000,
)  # fmt: skip
_EXTREME_VALUES = (
    *_EXTREME_NUMBERS, 'null', 'true', 'false', '[]', '{}', '""', '"x"', '[[]]', '[[[1]]]', '[NaN]',
    '{"a": []}', r'"\ud800"', r'"\u0000"', '"../../x"', '"' + 'a' * 100_000 + '"', '[0, 0, -1, -1]',
    '[' * 100_000, '[' * 900 + ']' * 900, '[' * 100_000 + ']' * 100_000,
)  # fmt: skip
# Formats of the struct module, and values in them.
_BINARY_NUMBERS = tuple(
    struct.pack(order + kind, value)
    for order in '<>'
    for kind, values in {
        'f': (float('nan'), float('inf'), -float('inf'), 3e38, -1.0),
        'd': (float('nan'), float('inf'), -float('inf'), 1e308, -1.0),
        'I': (0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1),
        'Q': (0, 2**31, 2**40, 2**63 - 1, 2**64 - 1),
    }.items()
    for value in values
)


def _span(content: bytes, rng: random.Random, largest: int = 64) -> tuple[int, int]:
    """Return begin and end of a random block."""
    begin = rng.randrange(len(content) + 1)
    return begin, min(len(content), begin + rng.randint(1, largest))


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    """Flip 1 to 8 bits."""
    spoilt = bytearray(content)
    for _ in range(rng.randint(1, 8) if spoilt else 0):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def flip_bits_of_header(content: bytes, rng: random.Random) -> bytes:
    """Flip 1 to 8 of the first 64 bytes' bits."""
    return flip_bits(content[:64], rng) + content[64:]


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Leave out the end; now and then nearly nothing or nearly everything stays."""
    length = rng.choice((rng.randrange(len(content) + 1), rng.randrange(16), len(content) - 1))
    return content[: max(0, length)]


def insert_bytes(content: bytes, rng: random.Random) -> bytes:
    """Insert random bytes."""
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.randint(1, 64)) + content[at:]


def delete_block(content: bytes, rng: random.Random) -> bytes:
    """Leave out a block."""
    begin, end = _span(content, rng)
    return content[:begin] + content[end:]


def repeat_block(content: bytes, rng: random.Random) -> bytes:
    """Repeat a block once, or a thousand times."""
    begin, end = _span(content, rng)
    return content[:begin] + content[begin:end] * rng.choice((2, 3, 1000)) + content[end:]


def overwrite_block(content: bytes, rng: random.Random) -> bytes:
    """Overwrite a block by zeros, ones or random bytes."""
    begin, end = _span(content, rng)
    size = end - begin
    block = rng.choice((bytes(size), b'\xff' * size, rng.randbytes(size)))
    return content[:begin] + block + content[end:]


def extreme_binary_number(content: bytes, rng: random.Random) -> bytes:
    """Overwrite 4 or 8 bytes by a number that is not finite, huge or negative."""
    value = rng.choice(_BINARY_NUMBERS)
    at = rng.randrange(max(1, len(content) - len(value)))
    if rng.random() < 0.5:
        at -= at % 4
    return content[:at] + value + content[at + len(value) :]


def extreme_header_number(content: bytes, rng: random.Random) -> bytes:
    """Overwrite a number in the first 128 bytes, where formats keep sizes."""
    return extreme_binary_number(content[:128], rng) + content[128:]


def resize_png(content: bytes, rng: random.Random) -> bytes:
    """Change width and height in the header of a PNG, with its checksum."""
    if not content.startswith(b'\x89PNG') or len(content) < 33:
        return extreme_header_number(content, rng)
    sizes = (0, 1, 47, 30_000, 30_000, 60_000, 1_000_000, 2**31 - 1, 2**32 - 1)
    header = b'IHDR' + struct.pack('>II', rng.choice(sizes), rng.choice(sizes)) + content[24:29]
    return content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:]


def _replace(pattern: re.Pattern[bytes], values: Sequence[str]) -> Operation:
    def replace(content: bytes, rng: random.Random) -> bytes:
        found = list(pattern.finditer(content))
        if not found:
            return flip_bits(content, rng)
        match = rng.choice(found)
        return content[: match.start()] + rng.choice(values).encode() + content[match.end() :]

    return replace


extreme_number = _replace(_NUMBER, _EXTREME_NUMBERS)
extreme_number.__name__ = 'extreme_number'
extreme_value = _replace(_VALUE, _EXTREME_VALUES)
extreme_value.__name__ = 'extreme_value'


def repeat_value(content: bytes, rng: random.Random) -> bytes:
    """Write a value of a text twice, with a comma or a space between."""
    found = list(_VALUE.finditer(content))
    if not found:
        return repeat_block(content, rng)
    match = rng.choice(found)
    return content[: match.end()] + rng.choice((b', ', b' ')) + match[0] + content[match.end() :]


def remove_value(content: bytes, rng: random.Random) -> bytes:
    """Leave out a value of a text, and the comma after it."""
    found = list(_VALUE.finditer(content))
    if not found:
        return delete_block(content, rng)
    match = rng.choice(found)
    return content[: match.start()] + content[match.end() :].removeprefix(b',')


def extreme_pickled_number(content: bytes, rng: random.Random) -> bytes:
    """Change a small number of a pickle to an extreme one, in pickle's own form."""
    found = list(_PICKLED.finditer(content))
    if not found:
        return extreme_binary_number(content, rng)
    match = rng.choice(found)
    values = (-1, 0, 1, 2**16, 2**30, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1)
    value = rng.choice(values)
    if -(2**31) <= value < 2**31:
        number = b'J' + struct.pack('<i', value)
    else:
        number = b'\x8a\x08' + struct.pack('<q', value)
    return content[: match.start()] + number + content[match.end() :]


def edit_archive(content: bytes, rng: random.Random) -> bytes:
    """Change a record of a zip archive, with correct checksums; spoil bytes if it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        records = []
    if not records:
        return rng.choice(BYTES)(content, rng)
    place = rng.randrange(len(records))
    if rng.random() < 0.4:  # what torch.load interprets
        place = next((i for i, (name, _) in enumerate(records) if name.endswith('.pkl')), place)
    name, record = records[place]
    compression = zipfile.ZIP_STORED
    what = rng.randrange(8)
    if what == 0:
        del records[place]
    elif what == 1:
        records.append((name, rng.choice(BYTES)(record, rng)))  # a second one of the same name
    elif what == 2:
        other = rng.choice(('x', name + '/', '../' + name, 'é' + name, name.upper()))
        records[place] = (other, record)
    elif what == 3:
        compression = zipfile.ZIP_DEFLATED
        records[place] = (name, record + bytes(rng.choice((0, 10_000_000))))
    elif what == 4:
        records[place] = (name, records[rng.randrange(len(records))][1])
    else:
        operation = rng.choice((extreme_pickled_number, *BYTES, extreme_pickled_number))
        records[place] = (name, operation(record, rng))
    edited = io.BytesIO()
    with zipfile.ZipFile(edited, 'w') as archive:
        for name, record in records:
            info = zipfile.ZipInfo(name)  # of a fixed date
            archive.writestr(info, record, compression)
    return edited.getvalue()


BYTES: tuple[Operation, ...] = (
    flip_bits, flip_bits_of_header, truncate, insert_bytes, delete_block, repeat_block,
    overwrite_block, extreme_binary_number, extreme_header_number,
)  # fmt: skip
TEXT: tuple[Operation, ...] = (
    extreme_number, extreme_number, extreme_value, extreme_value, extreme_value, repeat_value,
    remove_value, flip_bits, truncate, insert_bytes, delete_block, repeat_block,
)  # fmt: skip
IMAGE: tuple[Operation, ...] = (*BYTES, extreme_header_number, resize_png)
ARCHIVE: tuple[Operation, ...] = (*BYTES, extreme_pickled_number, *[edit_archive] * 9)


def mutate(
    content: bytes, rng: random.Random, operations: Sequence[Operation]
) -> tuple[bytes, list[str]]:
    """Apply one to three operations.

    Args:
        content: The file.
        rng: Random generator, which alone decides what happens.
        operations: Operations to choose from.

    Returns:
        The spoilt file, which differs, and the names of what was done to it.
    """
    for _ in range(100):
        chosen = [rng.choice(operations) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        spoilt = content
        for operation in chosen:
            spoilt = operation(spoilt, rng)
        if spoilt != content:
            break
    return spoilt, [operation.__name__ for operation in chosen]
