"""MMEngine's loading of checkpoints, from wherever: verified, and without running what is in them.

A pickle runs code. MMEngine leaves it to PyTorch's default whether that is allowed, and asks for it
where a checkpoint comes from a URL. Imported with ``cpm_plugin.mmpose``, this module makes every
scheme of MMEngine (a file, http, https, modelzoo, torchvision, openmmlab, mmcls, s3, petrel, pavi)
load with ``weights_only=True``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..core.weights.archive import load_file
from ..core.weights.checkpoints import PYTORCH_STARTS
from ..core.weights.download import download


class _SafeTorch:
    """The module ``torch`` as MMEngine's loaders see it: its ``load`` runs nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        return torch.load(file, *args, **{**kwargs, 'weights_only': True})


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    **_: Any,
) -> Any:
    """A checkpoint from a URL, kept in PyTorch Hub's cache; in the place of PyTorch's.

    Args:
        url: ``http://`` or ``https://``.
        model_dir: The folder of the cache; None: PyTorch Hub's.
        map_location: As of ``torch.load``.
        progress: Has no meaning; it is PyTorch's argument.

    Raises:
        ValueError: If it cannot be had, or cannot be read safely; the message names it.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    cached = folder / Path(urlparse(url).path).name
    if not cached.is_file():
        download(url, cached)
    return _read(str(cached), map_location, f'{url}, kept at {cached},')


# MMEngine's log takes the name of the backend from the function's.
@mmengine_checkpoint.CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any) -> Any:
    """A checkpoint from a file.

    Args:
        filename: The file; ``~`` is the user's folder.
        map_location: As of ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, or holds more than weights; the message names it.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{filename} can not be found.')
    return _read(str(path), map_location, str(filename))


def _read(path: str, map_location: Any, shown: str) -> Any:
    try:
        return load_file(path, map_location)
    except Exception as error:  # of a broken file torch.load raises nearly anything
        reason = (str(error) or repr(error)).splitlines()[0]
        with open(path, 'rb') as file:
            is_pytorch = file.read(2).startswith(PYTORCH_STARTS)
        if is_pytorch and 'Weights only load failed' in str(error):
            raise ValueError(
                f'checkpoint {shown} holds more than weights, and is not read: that could run '
                'code. If you trust it, load it with torch.load(..., weights_only=False) and save '
                "its state_dict alone (a checkpoint of MMEngine's needs torch 2.6 or later here)"
            ) from error
        raise ValueError(
            f'checkpoint {shown} cannot be read ({reason}); it is broken or no checkpoint'
        ) from error


mmengine_checkpoint.load_url = load_url
mmengine_checkpoint.torch = _SafeTorch()
