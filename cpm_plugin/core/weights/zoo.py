"""Trained weights by the name of their model: in the package, in a folder, or downloaded.

A zoo is a folder with ``index.json`` and, beside it, the files of weights; the package's own is
``cpm_plugin/weights``. ``tools/publish_model.py`` writes them. The index maps names of models to::

    {"file": "cpm_....pth", "sha256": "<64 hexadecimal digits>", "url": null or where to get it,
     "config": "configs/....py", "license": "who may use the weights, for what"}
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

PACKAGED = Path(__file__).parents[2] / 'weights'
INDEX = 'index.json'


@dataclass(frozen=True)
class ZooEntry:
    """A line of the index, see ``cpm_plugin.core.weights.zoo``.

    Raises:
        ValueError: for a file that is not a name alone, or no sha256.
    """

    file: str
    sha256: str
    config: str
    license: str
    url: str | None = None

    def __post_init__(self) -> None:
        texts = (self.file, self.sha256, self.config, self.license, self.url or '')
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f'all of an entry must be text: {texts}')
        if not self.file or Path(self.file).name != self.file:
            raise ValueError(f'file {self.file!r} must be a name without a folder')
        if not re.fullmatch('[0-9a-f]{64}', self.sha256):
            raise ValueError(f'sha256 {self.sha256!r} must be 64 hexadecimal digits')


def read_index(zoo: str | Path | None = None) -> dict[str, ZooEntry]:
    """Names of models with weights -> what the index says.

    Args:
        zoo: the folder; None: the package's.

    Raises:
        ValueError: naming the file, if there is no index or it cannot be understood.
    """
    path = Path(zoo or PACKAGED) / INDEX
    try:
        entries: Any = json.loads(path.read_text())
        return {name: ZooEntry(**entry) for name, entry in entries.items()}
    except OSError as error:
        raise ValueError(
            f'no zoo of weights: {path} cannot be read ({error.strerror}); give a folder that '
            'tools/publish_model.py has written'
        ) from error
    except (TypeError, AttributeError, ValueError) as error:
        raise ValueError(f'{path} is no index of weights: {error}') from error


def file_sha256(path: Path) -> str:
    """Of the bytes of a file, in hexadecimal digits."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def weights_file(name: str, zoo: str | Path | None = None) -> Path:
    """The file of a model's trained weights, its checksum verified.

    Taken from the zoo's folder, else from PyTorch Hub's cache, ``torch.hub.get_dir()`` +
    ``/checkpoints``, else downloaded into that.

    Args:
        name: of the model.
        zoo: the folder; None: the package's.

    Raises:
        ValueError: if there are no weights of that name, they cannot be had, or are not those that
            were published. A download with another checksum is removed.
    """
    folder = Path(zoo or PACKAGED)
    entries = read_index(folder)
    if name not in entries:
        raise ValueError(
            f'no trained weights of {name!r} in {folder}; there are: '
            f'{", ".join(sorted(entries)) or "none"}'
        )
    entry = entries[name]
    local = folder / entry.file
    if local.is_file():
        _check(local, entry, 'restore the file')
        return local
    if entry.url is None:
        raise ValueError(
            f'the weights of {name!r} are not there: no file {local}, and the index has no URL for '
            'them; put the file back'
        )
    cached = Path(torch.hub.get_dir()) / 'checkpoints' / entry.file
    if cached.is_file():
        _check(cached, entry, 'remove it, and it is downloaded again')
        return cached
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(entry.url, str(cached), hash_prefix=entry.sha256)
    except Exception as error:  # whatever the network, or the checksum, makes of it
        raise ValueError(
            f'the weights of {name!r} could not be had from {entry.url}: {error}. Nothing was '
            f'kept; get the file some other way and put it at {local}'
        ) from error
    return cached


def _check(path: Path, entry: ZooEntry, remedy: str) -> None:
    found = file_sha256(path)
    if found != entry.sha256:
        raise ValueError(
            f'{path} is not the file that was published: its sha256 is {found[:8]}..., the '
            f"index's {entry.sha256[:8]}...; {remedy}"
        )
