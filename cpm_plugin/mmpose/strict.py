"""Refusal of checkpoints that do not fit a component, with the names of the weights.

MMEngine loads with ``strict=False``. For a checkpoint of another model it only logs a warning, and
the test that follows prints the results of random weights with exit code 0.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..core.weights.archive import describe_unusable
from ..core.weights.checkpoints import describe_mismatch


def refuse_mismatch(module: nn.Module) -> None:
    """Make ``module`` raise ValueError when it loads a state dict that does not fit completely.

    This is so for every caller, because a module does not know whether ``strict=False`` was given.

    Args:
        module: Module whose loading is checked.
    """
    module._register_load_state_dict_pre_hook(_check, with_module=True)


def _check(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Raise ValueError if the weights of a module in a state dict do not fit it."""
    given = {
        key.removeprefix(prefix): value
        for key, value in state_dict.items()
        if key.startswith(prefix)
    }
    # Old checkpoints do not have the counter num_batches_tracked.
    expected = {
        key: value
        for key, value in module.state_dict().items()
        if key in given or not key.endswith('num_batches_tracked')
    }
    if problem := describe_unusable(given):
        raise ValueError(
            f'the checkpoint cannot be used in {type(module).__name__}: {prefix}{problem}. Use an '
            'earlier one, or train it again'
        )
    problem = describe_mismatch(expected, given)
    if problem:
        raise ValueError(
            f'the checkpoint does not fit {type(module).__name__} (prefix {prefix!r}); {problem}. '
            'Use the config it was trained with; to fine-tune from another model, set '
            'strict_load=False in the backbone and the head'
        )
