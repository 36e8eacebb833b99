"""Reading, writing and loading of checkpoints.

Names of weights from MMPose are converted. Weights that do not fit are refused; nothing is
guessed.
"""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .archive import describe_unusable, load_file
from .files import whole_file

# MMPose's TopdownPoseEstimator holds the trunks in its backbone and the stages in its head.
_MMPOSE_PREFIXES = {'backbone.trunks.': 'trunks.', 'head.stages.': 'stages.'}

# First bytes of files of torch.save: zip archives, and pickles from before PyTorch 1.6.
PYTORCH_STARTS = (b'PK', b'\x80')

_SHOWN = 3  # names in a message, of each kind of mismatch


def from_mmpose(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state dict of an MMPose estimator to that of the core model.

    The estimator has the components ``CPMBackbone`` and ``CPMStageHead``.

    Args:
        state_dict: Names and weights of the estimator. Names outside both components, such as
            those of a loss or a data preprocessor, are dropped.

    Returns:
        State dict of a ``ConvolutionalPoseMachine``, with the same tensors.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.weights.checkpoints import from_mmpose
        >>> list(from_mmpose({'head.stages.first.beliefs.bias': torch.zeros(15)}))
        ['stages.first.beliefs.bias']
    """
    renamed = {}
    for key, value in state_dict.items():
        for theirs, ours in _MMPOSE_PREFIXES.items():
            if key.startswith(theirs):
                renamed[ours + key.removeprefix(theirs)] = value
    return renamed


def to_mmpose(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the state dict of a core model to that of an MMPose estimator.

    This is the inverse of ``from_mmpose``.

    Args:
        state_dict: State dict of a ``ConvolutionalPoseMachine``.

    Returns:
        State dict of an estimator with ``CPMBackbone`` and ``CPMStageHead``, with the same tensors.
    """
    prefixes = {ours: theirs for theirs, ours in _MMPOSE_PREFIXES.items()}
    return {
        key.replace(ours, prefixes[ours], 1): value
        for key, value in state_dict.items()
        for ours in prefixes
        if key.startswith(ours)
    }


def describe_mismatch(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Describe why weights cannot be loaded.

    Args:
        expected: State dict of the model.
        given: State dict to be loaded.

    Returns:
        Names that are missing, of another shape, or left over, the first three of each kind. ``''``
            if the weights fit.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.weights.checkpoints import describe_mismatch
        >>> describe_mismatch({'w': torch.zeros(2)}, {'w': torch.zeros(3), 'b': torch.zeros(1)})
        'of another shape: w (3,) (the model has (2,)); left over: b'
    """
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


def _first(keys: Iterable[str]) -> str:
    """Join the first names of a list, and say how many more there are."""
    keys = list(keys)
    more = f' and {len(keys) - _SHOWN} more' if len(keys) > _SHOWN else ''
    return ', '.join(keys[:_SHOWN]) + more


def numpy_safe_globals() -> list[Any]:
    """List what numpy arrays and scalars in a file need to be read with ``weights_only=True``.

    MMPose keeps the meta information of its dataset as arrays beside the weights. The list has the
    names of numpy 1 and of numpy 2, since either may have written the file.

    Returns:
        Entries for ``torch.serialization.safe_globals``.
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
        (_empty_bytes, 'builtins.bytes'),
    ]


def _empty_bytes(*given: Any) -> bytes:
    """Make what an array without elements is pickled with: ``bytes()``, and nothing else."""
    if given:
        raise pickle.UnpicklingError('bytes(...) in a checkpoint is not allowed')
    return b''


def allow_list_is_needed() -> bool:
    """Tell whether this torch (2.6 or later) reads files safely by default, with an allow-list."""
    return tuple(map(int, torch.__version__.split('.')[:2])) >= (2, 6)


def _numpy_allowed() -> AbstractContextManager[None]:
    """Return a context in which numpy arrays may be read from a checkpoint."""
    if not allow_list_is_needed():
        return nullcontext()
    # At its end the context removes its entries. Those that others allowed before must stay.
    known = torch.serialization.get_safe_globals()
    return torch.serialization.safe_globals([x for x in numpy_safe_globals() if x not in known])


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the state dict and the meta information of a checkpoint.

    Only tensors and numpy arrays are read (``weights_only=True``): no code in the file is run.

    Args:
        path: File of ``write_checkpoint``, of MMPose, or with a bare state dict.

    Returns:
        State dict, on the CPU, and ``meta``, which is empty for a bare state dict.

    Raises:
        ValueError: If the file is missing, broken, unreadable or no checkpoint, or a weight is not
            finite, sparse or quantized; the message names it.

    Examples:
        >>> import tempfile
        >>> import torch
        >>> from cpm_plugin.core.weights import read_checkpoint
        >>> with tempfile.NamedTemporaryFile(suffix='.pth') as file:
        ...     torch.save({'weight': torch.ones(2)}, file.name)
        ...     state_dict, meta = read_checkpoint(file.name)
        >>> state_dict, meta
        ({'weight': tensor([1., 1.])}, {})
    """
    if not Path(path).is_file():
        problem = ' is a folder; give a file' if Path(path).is_dir() else ': no such file'
        raise ValueError(f'checkpoint {path}{problem}')
    foreign = False
    try:
        with open(path, 'rb') as file:
            foreign = not file.read(2).startswith(PYTORCH_STARTS)
        with _numpy_allowed():
            loaded: Any = load_file(path)
    except Exception as error:  # for a broken file, torch.load may raise nearly anything
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
    if problem := describe_unusable(state):
        raise ValueError(f'checkpoint {path}: {problem}. Use an earlier one, or train it again')
    meta = loaded.get('meta')
    return state, meta if isinstance(meta, dict) else {}


def write_checkpoint(
    path: str | Path, state_dict: Mapping[str, Tensor], meta: Mapping[str, Any]
) -> None:
    """Write a new checkpoint, ``{'state_dict': ..., 'meta': ...}``.

    The file is written completely or not at all. Its folder is made if there is none.

    Args:
        path: File to write; it must not exist.
        state_dict: Names and weights.
        meta: Information about the weights.

    Raises:
        ValueError: If the file exists, or a part of the path of its folder is a file.
        OSError: If it cannot be written, as on a full disk.

    Examples:
        >>> import tempfile
        >>> import torch
        >>> from pathlib import Path
        >>> from cpm_plugin.core.weights import read_checkpoint, write_checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / 'new' / 'model.pth'
        ...     write_checkpoint(path, {'weight': torch.ones(2)}, meta={'epoch': 3})
        ...     state_dict, meta = read_checkpoint(path)
        >>> meta
        {'epoch': 3}
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
    try:
        # Not by its path, from which torch.save would take a name into the archive.
        with whole_file(target, new=True) as part, open(part, 'wb') as file:
            torch.save({'state_dict': dict(state_dict), 'meta': dict(meta)}, file)
    except FileExistsError as error:
        raise ValueError(f'{target} exists; give the name of a new file') from error
    except (OSError, RuntimeError) as error:  # PyTorch's word for a full disk is a RuntimeError
        reason = str(error).splitlines()[0]
        raise OSError(
            f'{target} cannot be written to the end ({reason}); is the disk full?'
        ) from error


def load_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Load the weights in a file into a model, all of them or none.

    Args:
        model: Model that takes the weights, in place.
        path: Checkpoint as for ``read_checkpoint``. It may also be of an MMPose run with
            ``CPMBackbone`` and ``CPMStageHead``, after MMPose's ``publish_model.py`` has removed
            what are not weights.

    Raises:
        ValueError: If the file is missing, unreadable or does not fit; the message names it.

    Examples:
        >>> from cpm_plugin.core import create_model, load_checkpoint
        >>> from cpm_plugin.core.weights import weights_file
        >>> model = create_model('cpm_slim_3s')
        >>> load_checkpoint(model, weights_file('cpm_slim_3s'))
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
