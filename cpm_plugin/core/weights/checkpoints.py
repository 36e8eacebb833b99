"""Weights from a file into a model; foreign names are renamed, nothing is guessed."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# MMPose's TopdownPoseEstimator keeps our two halves in its backbone and head.
_MMPOSE_PREFIXES = {'backbone.trunks.': 'trunks.', 'head.stages.': 'stages.'}

# How torch.save's files begin: its zip archives, and its pickles of before PyTorch 1.6.
_PYTORCH_STARTS = (b'PK', b'\x80')


def from_mmpose(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of an MMPose estimator with our backbone and head -> of the core model.

    Keys of neither half (a loss, a data preprocessor) are dropped.
    """
    renamed = {}
    for key, value in state_dict.items():
        for theirs, ours in _MMPOSE_PREFIXES.items():
            if key.startswith(theirs):
                renamed[ours + key.removeprefix(theirs)] = value
    return renamed


def to_mmpose(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``from_mmpose``."""
    prefixes = {ours: theirs for theirs, ours in _MMPOSE_PREFIXES.items()}
    return {
        key.replace(ours, prefixes[ours], 1): value
        for key, value in state_dict.items()
        for ours in prefixes
        if key.startswith(ours)
    }


def describe_mismatch(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What keeps ``given`` from being loaded as ``expected``, or '' if nothing does."""
    problems = {
        'missing': [key for key in expected if key not in given],
        'of another shape': [
            f'{key} {tuple(given[key].shape)} (the model has {tuple(expected[key].shape)})'
            for key in expected
            if key in given and given[key].shape != expected[key].shape
        ],
        'left over': [key for key in given if key not in expected],
    }
    return '; '.join(f'{kind}: {_first(keys)}' for kind, keys in problems.items() if keys)


def _first(keys: Iterable[str], count: int = 3) -> str:
    keys = list(keys)
    more = f' and {len(keys) - count} more' if len(keys) > count else ''
    return ', '.join(keys[:count]) + more


def numpy_safe_globals() -> list[Any]:
    """What numpy arrays and scalars in a file need to pass ``weights_only=True``.

    MMPose keeps its dataset's meta information as arrays beside the weights. Names are
    those of numpy 1 and of numpy 2, whichever wrote the file.
    """
    multiarray = importlib.import_module(
        'numpy._core.multiarray' if hasattr(np, '_core') else 'numpy.core.multiarray'
    )
    functions = (multiarray._reconstruct, multiarray.scalar)
    return [
        np.ndarray,
        np.dtype,
        *(getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith('DType')),
        *(
            (function, f'{package}.multiarray.{function.__name__}')
            for function in functions
            for package in ('numpy.core', 'numpy._core')
        ),
    ]


def allow_list_is_needed() -> bool:
    """Whether this torch loads safely by default (2.6 and later), with an allow-list."""
    return tuple(map(int, torch.__version__.split('.')[:2])) >= (2, 6)


def _numpy_allowed() -> AbstractContextManager[None]:
    if not allow_list_is_needed():
        return nullcontext()
    # The context takes its entries back at its end: only those that nobody else allowed.
    known = torch.serialization.get_safe_globals()
    return torch.serialization.safe_globals([x for x in numpy_safe_globals() if x not in known])


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State dict and ``meta`` of a file; reads tensors and numpy arrays only (``weights_only``).

    Takes a bare state dict, too, whose meta is empty.

    Raises:
        ValueError: naming the file, if it is missing, unreadable or no checkpoint.
    """
    if not Path(path).is_file():
        problem = ' is a folder; give a file' if Path(path).is_dir() else ': no such file'
        raise ValueError(f'checkpoint {path}{problem}')
    foreign = False
    try:
        with open(path, 'rb') as file:
            foreign = not file.read(2).startswith(_PYTORCH_STARTS)
        with _numpy_allowed():
            loaded: Any = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a broken file makes torch.load raise nearly anything
        if foreign:
            problem = 'is no PyTorch checkpoint'
            remedy = 'weights of Caffe are converted by tools/convert_caffe.py'
        elif 'Weights only load failed' in str(error):
            problem = 'cannot be read safely: it holds more than weights'
            remedy = (
                'if an MMPose run wrote it, strip it first: python -m cpm_plugin.mmpose '
                'tools/misc/publish_model.py IN.pth OUT.pth'
            )
        else:
            reason = (str(error) or repr(error)).splitlines()[0]
            problem, remedy = f'cannot be read ({reason})', 'it is broken or no checkpoint'
        raise ValueError(f'checkpoint {path} {problem}; {remedy}') from error
    state: Any = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ValueError(f'checkpoint {path}: no state dict of names and tensors in it')
    meta = loaded.get('meta')
    return state, meta if isinstance(meta, dict) else {}


def write_checkpoint(
    path: str | Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]
) -> None:
    """Write ``{'state_dict': ..., 'meta': ...}``, all of the file or nothing. Makes its folder.

    Raises:
        ValueError: if there is such a file, or a file in its folder's place.
    """
    target = Path(path)
    if target.exists():
        raise ValueError(f'{target} exists; give the name of a new file')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f'{target} cannot be written: {target.parent} is no folder, for it or a part of it '
            'is a file; give another name'
        ) from error
    with tempfile.TemporaryDirectory(dir=target.parent, prefix='.writing') as folder:
        part = Path(folder) / target.name
        torch.save({'state_dict': dict(state_dict), 'meta': dict(meta)}, part)
        try:
            os.link(part, target)  # unlike a rename it does not replace
        except FileExistsError as error:
            raise ValueError(f'{target} exists; give the name of a new file') from error


def load_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Load the weights in ``path`` into ``model``, all of them or none.

    Takes what ``read_checkpoint`` does, ours or of an MMPose run with ``CPMBackbone``
    and ``CPMStageHead`` that MMPose's ``publish_model.py`` has stripped.

    Raises:
        ValueError: naming the file, if it is missing, unreadable or does not fit.
    """
    state, _ = read_checkpoint(path)
    if any(key.startswith(tuple(_MMPOSE_PREFIXES)) for key in state):
        state = from_mmpose(state)
    problem = describe_mismatch(model.state_dict(), state)
    if problem:
        raise ValueError(
            f'checkpoint {path} does not fit the model; {problem}. Build the model with the '
            'arguments it was trained with'
        )
    model.load_state_dict(state)
