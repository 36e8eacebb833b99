"""Refuse checkpoints that do not fit.

MMEngine loads with ``strict=False``: a checkpoint of another model only logs a warning,
and the test that follows prints the figures of random weights with exit code 0.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..core.checkpoints import describe_mismatch


def refuse_mismatch(module: nn.Module) -> None:
    """Make loading a state dict into ``module`` raise ValueError unless all of it fits."""

    def check(state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        given = {
            key.removeprefix(prefix): value
            for key, value in state_dict.items()
            if key.startswith(prefix)
        }
        problem = describe_mismatch(module.state_dict(), given)
        if problem:
            raise ValueError(
                f'the checkpoint does not fit {type(module).__name__} '
                f'(prefix {prefix!r}); {problem}. Use the config it was trained with; to '
                'fine-tune from another model, set strict_load=False in the backbone and the head'
            )

    module._register_load_state_dict_pre_hook(check)
