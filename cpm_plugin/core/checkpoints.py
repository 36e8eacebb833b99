"""Weights from a file into a model; foreign names are renamed, nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# MMPose's TopdownPoseEstimator keeps our two halves in its backbone and head.
_MMPOSE_PREFIXES = {'backbone.trunks.': 'trunks.', 'head.stages.': 'stages.'}


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


def load_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Load the weights in ``path`` into ``model``, all of them or none.

    Takes a bare state dict, ``{'state_dict': ...}``, or a checkpoint of an MMPose run
    with ``CPMBackbone`` and ``CPMStageHead``. Reads tensors only (``weights_only``).

    Raises:
        ValueError: naming the file, if it is missing, unreadable or does not fit.
    """
    if not Path(path).is_file():
        raise ValueError(f'checkpoint {path}: no such file')
    try:
        loaded: Any = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a broken file makes torch.load raise nearly anything
        if 'Weights only load failed' in str(error):
            problem = 'cannot be read safely: it holds more than weights'
            remedy = (
                "if a training run wrote it, strip it first with MMPose's "
                'tools/misc/publish_model.py'
            )
        else:
            reason = (str(error) or repr(error)).splitlines()[0]
            problem, remedy = f'cannot be read ({reason})', 'it is broken or no checkpoint'
        raise ValueError(f'checkpoint {path} {problem}; {remedy}') from error
    state = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ValueError(f'checkpoint {path}: no state dict of names and tensors in it')
    if any(key.startswith(tuple(_MMPOSE_PREFIXES)) for key in state):
        state = from_mmpose(state)
    problem = describe_mismatch(model.state_dict(), state)
    if problem:
        raise ValueError(
            f'checkpoint {path} does not fit the model; {problem}. Build the model with the '
            'arguments it was trained with'
        )
    model.load_state_dict(state)
