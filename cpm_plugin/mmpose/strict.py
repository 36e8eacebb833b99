"""Refuse checkpoints that cannot be read or do not fit, by name.

MMEngine loads with ``strict=False``: a checkpoint of another model only logs a warning,
and the test that follows prints the figures of random weights with exit code 0.
"""

from __future__ import annotations

from typing import Any

from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import nn

from ..core.weights.checkpoints import describe_mismatch


def refuse_mismatch(module: nn.Module) -> None:
    """Make loading a state dict into ``module`` raise ValueError unless all of it fits.

    Whoever loads: modules are not told whether strict=False was asked for.
    """
    module._register_load_state_dict_pre_hook(_check, with_module=True)


def _check(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    given = {
        key.removeprefix(prefix): value
        for key, value in state_dict.items()
        if key.startswith(prefix)
    }
    # a counter that old checkpoints lack
    expected = {
        key: value
        for key, value in module.state_dict().items()
        if key in given or not key.endswith('num_batches_tracked')
    }
    problem = describe_mismatch(expected, given)
    if problem:
        raise ValueError(
            f'the checkpoint does not fit {type(module).__name__} (prefix {prefix!r}); {problem}. '
            'Use the config it was trained with; to fine-tune from another model, set '
            'strict_load=False in the backbone and the head'
        )


# MMEngine's log takes the name of the backend from the function's.
@mmengine_checkpoint.CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any) -> dict[str, Any]:
    """MMEngine's loader of local files, whose errors on a broken one do not name it."""
    try:
        return mmengine_checkpoint.load_from_local(filename, map_location)
    except FileNotFoundError:
        raise
    except Exception as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ValueError(
            f'checkpoint {filename} cannot be read ({reason}); it is broken or no checkpoint'
        ) from error
