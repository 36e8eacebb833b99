"""Refuse checkpoints that do not fit, by name.

MMEngine loads with ``strict=False``: a checkpoint of another model only logs a warning,
and the test that follows prints the figures of random weights with exit code 0.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..core.weights.archive import describe_unusable
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
