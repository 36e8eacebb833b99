"""Files of weights, verified before they are read, and read without running anything in them."""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def verify_archive(path: str | Path) -> None:
    """Refuse a checkpoint whose records are broken, or are not what PyTorch writes.

    PyTorch stores records as they are, with a checksum each. A flipped bit would load as another
    weight; a compressed record can claim a thousand times the file's size in memory. Files from
    before PyTorch 1.6, which are no archives, have no checksums and pass.

    Args:
        path: The file.

    Raises:
        ValueError: Naming the record and what is wrong with it.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> path = Path(tempfile.mkdtemp()) / 'weights.pth'
        >>> torch.save({'weight': torch.zeros(3)}, path)
        >>> verify_archive(path)  # nothing is wrong with it
    """
    with open(path, 'rb') as file:
        if file.read(2) != b'PK':
            return
    try:
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                if record.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(
                        f'record {record.filename} is compressed, {record.compress_size:,} bytes '
                        f'to {record.file_size:,}: PyTorch does not write that, and it is not '
                        'unpacked'
                    )
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
        raise ValueError(f'it is cut off or broken ({error})') from error
    if broken is not None:
        raise ValueError(f'record {broken} has another checksum than when it was written')


def load_file(path: str | Path, map_location: Any = 'cpu') -> Any:
    """Load a file of ``torch.save``: tensors and plain values only, verified.

    Args:
        path: The file.
        map_location: As of ``torch.load``.

    Returns:
        What is in the file.

    Raises:
        ValueError: If it is broken; see ``verify_archive``.
        Exception: What ``torch.load`` raises, for contents that it does not read safely.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> path = Path(tempfile.mkdtemp()) / 'weights.pth'
        >>> torch.save({'weight': torch.zeros(3)}, path)
        >>> load_file(path)
        {'weight': tensor([0., 0., 0.])}
    """
    verify_archive(path)
    if map_location in ('cpu', torch.device('cpu')):
        map_location = _of_fixed_size
    with open(path, 'rb') as file:
        if file.read(2) == b'PK':
            return torch.load(path, map_location=map_location, weights_only=True)
        file.seek(0)
        content = io.BytesIO(file.read())  # which, unlike a file, gives no more memory than it has
    _verify_sizes(content)
    return torch.load(content, map_location=map_location, weights_only=True)


def _of_fixed_size(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
    """Return the same memory as a storage that cannot grow.

    PyTorch lets a storage grow for a tensor that claims to lie beyond its end. Such a tensor has
    whatever was in the memory, of any size; with a storage of fixed size, it is refused.
    """
    if storage.device.type != 'cpu':
        return storage  # without data, which is refused later
    values = torch.empty(0, dtype=torch.uint8).set_(storage)
    return torch.from_numpy(values.numpy()).untyped_storage()


def _verify_sizes(content: io.BytesIO) -> None:
    """Refuse a file of before PyTorch 1.6 that claims more values than it has bytes.

    PyTorch takes the memory for them before it looks for them.
    """
    size = len(content.getbuffer())
    try:
        claimed = _largest_storage(content)
    except Exception as error:  # pickletools raises nearly anything for a broken file
        raise ValueError(f'it is cut off or broken ({error})') from error
    if claimed > size:
        raise ValueError(f'it claims {claimed:,} values in {size:,} bytes')
    content.seek(0)


def _largest_storage(content: io.BytesIO) -> int:
    """Return the largest number of values of a storage in the four pickles of an old file.

    The fourth has the tensors. Nothing in them is run.
    """
    largest = 0
    for _ in range(4):
        numbers: list[int] = []  # since the last mark; before BINPERSID, those of a storage
        for code, argument, _place in pickletools.genops(content):
            if code.name == 'MARK':
                numbers = []
            elif isinstance(argument, int) and code.name.startswith(('BININT', 'LONG', 'INT')):
                numbers.append(argument)
            elif code.name == 'BINPERSID':
                largest = max(largest, *numbers, 0)
    return largest


def describe_unusable(state_dict: Mapping[str, Tensor]) -> str:
    """Say what keeps tensors from being weights of a model.

    Args:
        state_dict: Names and tensors.

    Returns:
        A clause with the name of the first such tensor, or ``''`` if there is none.

    Examples:
        >>> import torch
        >>> describe_unusable({'a': torch.ones(2), 'b': torch.tensor([1.0, float('nan')])})
        'b has values that are not finite'
    """
    for key, value in state_dict.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            kind = 'quantized' if value.is_quantized else 'without data' if value.is_meta else ''
            return f'{key} is {kind or "sparse"}; weights are dense tensors'
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            return f'{key} has the same values several times over; weights are dense tensors'
        if value.is_floating_point() and not torch.isfinite(value).all():
            return f'{key} has values that are not finite'
    return ''
