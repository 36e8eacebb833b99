"""Model zoo: trained weights by the name of their model, in the package, in a folder or downloaded.

A zoo is a folder with ``index.json`` and, beside it, the files of weights. That of the package is
``cpm_plugin/weights``. ``tools/publish_model.py`` writes both. The index maps names of models to
entries (``ZooEntry``)::

    {"file": "cpm_....pth", "sha256": "<64 hexadecimal digits>", "url": null or "https://...",
     "config": "configs/....py", "license": "who may use the weights, for what"}
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch

from .download import download

PACKAGED = Path(__file__).parents[2] / 'weights'
INDEX = 'index.json'


@dataclass(frozen=True)
class ZooEntry:
    """Entry of the index of a zoo: the weights of one model.

    Attributes:
        file: Name of the file of weights, without a folder: at most 200 letters, digits and
            ``. _ + -``.
        sha256: Checksum of the file, 64 hexadecimal digits.
        config: Path of the config that the model was trained with, inside the zoo or the project.
        license: Who may use the weights, and for what.
        url: Where the file can be downloaded, by http or https, or None.

    Raises:
        ValueError: If a value is no text, or does not have the form that is described above.
    """

    file: str
    sha256: str
    config: str
    license: str
    url: str | None = None

    def __post_init__(self) -> None:
        texts = [self.file, self.sha256, self.config, self.license]
        if self.url is not None:
            texts.append(self.url)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f'all of an entry must be text: {texts}')
        if not re.fullmatch(r'\w[\w.+-]{0,199}', self.file):
            raise ValueError(
                f'file {self.file[:80]!r} must be a name without a folder, of letters, digits and '
                '. _ + -, 200 at the most'
            )
        parts = PurePosixPath(self.config).parts
        if not parts or parts[0] == '/' or '..' in parts or '\\' in self.config:
            raise ValueError(  # a config is code: one from elsewhere would run as the zoo's
                f'config {self.config[:80]!r} must be a path inside the zoo or the project'
            )
        if self.url is not None and urlparse(self.url).scheme not in ('http', 'https'):
            raise ValueError(f'url {self.url[:80]!r} must begin with http:// or https://')
        if not re.fullmatch('[0-9a-f]{64}', self.sha256):
            raise ValueError(f'sha256 {self.sha256!r} must be 64 hexadecimal digits')


def read_index(zoo: str | Path | None = None) -> dict[str, ZooEntry]:
    """Read the index of a zoo.

    Args:
        zoo: Folder of the zoo; None is that of the package.

    Returns:
        Names of models with weights, mapped to their entries.

    Raises:
        ValueError: If there is no index or it cannot be understood; the message names the file.

    Examples:
        >>> from cpm_plugin.core.weights import read_index
        >>> read_index()['cpm_slim_3s'].license
        'academic use only: trained on LSP Extended'
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
    except (TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f'{path} is no index of weights: {error}') from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 checksum of a file, in hexadecimal digits."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def weights_file(name: str, zoo: str | Path | None = None) -> Path:
    """Return the file of a model's trained weights, after verifying its checksum.

    The file is looked for in the folder of the zoo, and then in the cache of PyTorch Hub
    (``torch.hub.get_dir()``, folder ``checkpoints``). If it is in neither, it is downloaded to the
    cache.

    Args:
        name: Name of the model.
        zoo: Folder of the zoo; None is that of the package.

    Returns:
        Path of the file.

    Raises:
        ValueError: If there are no weights of that name, the file is missing and cannot be
            downloaded, or its checksum is not that of the index. A download with another checksum
            is removed.

    Examples:
        >>> from cpm_plugin.core.weights import weights_file
        >>> weights_file('cpm_slim_3s').suffix
        '.pth'
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
        download(entry.url, cached, sha256=entry.sha256)
    except (OSError, ValueError) as error:
        raise ValueError(
            f'the weights of {name!r} could not be had: {error}. Nothing was kept; get the file '
            f'some other way and put it at {local}'
        ) from error
    return cached


def _check(path: Path, entry: ZooEntry, remedy: str) -> None:
    """Raise ValueError, with a remedy, if a file does not have the checksum of its entry."""
    found = file_sha256(path)
    if found != entry.sha256:
        raise ValueError(
            f'{path} is not the file that was published: its sha256 is {found[:8]}..., the '
            f"index's {entry.sha256[:8]}...; {remedy}"
        )
