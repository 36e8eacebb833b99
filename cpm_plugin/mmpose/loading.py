"""Safe loading of checkpoints by MMEngine: downloads are verified, and no code in them runs.

A pickle runs code. MMEngine leaves it to PyTorch's default whether that is allowed, and asks for
it where a checkpoint comes from a URL. ``cpm_plugin.mmpose`` calls ``install``. All schemes of
MMEngine then load with ``weights_only=True``: files, http, https, modelzoo, torchvision,
openmmlab, mmcls, s3, petrel and pavi.

One scheme is added: ``load_from = 'cpm_plugin://cpm_movenet_3s'`` takes the trained weights of that
name, wherever the package and the working folder are.
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
from ..core.weights.zoo import weights_file

SCHEME = 'cpm_plugin://'


def install() -> None:
    """Let MMEngine load checkpoints by the functions of this module."""
    mmengine_checkpoint.CheckpointLoader.register_scheme('', load_from_local, force=True)
    mmengine_checkpoint.CheckpointLoader.register_scheme(SCHEME, load_from_package, force=True)
    mmengine_checkpoint.load_url = load_url
    mmengine_checkpoint.torch = _SafeTorch()
    # OneDL's MMEngine allows what checkpoints hold for the time of a load, and then takes back what
    # compat has allowed for good.
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):
        mmengine_checkpoint._safe_torch_load = _SafeTorch.load


class _SafeTorch:
    """The module ``torch`` as MMEngine's loaders see it; its ``load`` runs no code of a file."""

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
    """Load a checkpoint from a URL and keep it in PyTorch Hub's cache.

    This replaces PyTorch's ``load_state_dict_from_url`` in MMEngine.

    Args:
        url: Address that begins with ``http://`` or ``https://``.
        model_dir: Folder of the cache. None: PyTorch Hub's.
        map_location: See ``torch.load``.
        progress: Has no effect; it is an argument of PyTorch's function.

    Returns:
        Content of the checkpoint.

    Raises:
        ValueError: If the file cannot be downloaded or cannot be read safely. The message names
            it.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    cached = folder / Path(urlparse(url).path).name
    if not cached.is_file():
        download(url, cached)
    return _read(str(cached), map_location, f'{url}, kept at {cached},')


# MMEngine's log takes the name of the backend from the names of these functions.
def load_from_local(filename: str, map_location: Any) -> Any:
    """Load a checkpoint from a file.

    Args:
        filename: Path of the file. ``~`` is the user's home folder.
        map_location: See ``torch.load``.

    Returns:
        Content of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken, or contains more than weights. The message names it.
    """
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'{filename} can not be found.')
    return _read(str(path), map_location, str(filename))


def load_from_package(filename: str, map_location: Any = None) -> Any:
    """Load the trained weights of a named model.

    Args:
        filename: ``cpm_plugin://`` and a name of ``cpm_plugin.list_models(pretrained=True)``.
        map_location: See ``torch.load``.

    Returns:
        Content of the checkpoint.

    Raises:
        ValueError: If there are no weights of that name. The message lists the names.
    """
    path = str(weights_file(filename.removeprefix(SCHEME)))
    return _read(path, map_location, f'{filename}, at {path},')


def _read(path: str, map_location: Any, shown: str) -> Any:
    try:
        return load_file(path, map_location)
    except Exception as error:  # for a broken file torch.load raises nearly anything
        reason = (str(error) or repr(error)).splitlines()[0]
        with open(path, 'rb') as file:
            is_pytorch = file.read(2).startswith(PYTORCH_STARTS)
        if is_pytorch and 'Weights only load failed' in str(error):
            raise ValueError(
                f'checkpoint {shown} contains more than weights, and is not read, because that '
                'could run code. If you trust it, load it with torch.load(..., weights_only=False) '
                "and save only its state_dict (a checkpoint of MMEngine's needs torch 2.6 or later "
                'here)'
            ) from error
        if not is_pytorch:  # PyTorch advises to run the code in it
            reason = 'PyTorch has not written it'
        raise ValueError(
            f'checkpoint {shown} cannot be read ({reason}); it is broken or not a checkpoint'
        ) from error
