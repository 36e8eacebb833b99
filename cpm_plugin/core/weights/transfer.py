"""Trained weights as a start for a model with other outputs (fine-tuning)."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from .checkpoints import load_checkpoint

_LOGGER = logging.getLogger('cpm_plugin')


@torch.no_grad()
def load_into_other_outputs(model: nn.Module, path: str | Path, original: nn.Module) -> list[str]:
    """Load the weights of one model into another that differs from it in its outputs.

    Weights whose shape depends on the number of outputs keep the values of ``model``. A warning is
    logged that names them.

    Args:
        model: Model that takes the weights, in place.
        path: Checkpoint of ``original``, see ``load_checkpoint``.
        original: Model that the checkpoint fits. It is changed.

    Returns:
        Names of the weights that begin anew.

    Raises:
        ValueError: If the checkpoint does not fit ``original``, or the two models do not have the
            same layers. Nothing is loaded then.

    Examples:
        >>> from cpm_plugin.core import create_model
        >>> from cpm_plugin.core.weights import weights_file
        >>> from cpm_plugin.core.weights.transfer import load_into_other_outputs
        >>> model = create_model('cpm_slim_3s', num_keypoints=17)
        >>> original = create_model('cpm_slim_3s')
        >>> load_into_other_outputs(model, weights_file('cpm_slim_3s'), original)[:2]
        ['stages.first.beliefs.weight', 'stages.first.beliefs.bias']
    """
    load_checkpoint(original, path)
    trained, own = original.state_dict(), model.state_dict()
    if other := trained.keys() ^ own.keys():
        raise ValueError(
            f'the model has other layers than its weights: {", ".join(sorted(other)[:3])}; change '
            'the outputs alone (num_keypoints, background), or train without these weights'
        )
    anew = [name for name in own if own[name].shape != trained[name].shape]
    model.load_state_dict({**trained, **{name: own[name] for name in anew}})
    if anew:
        _LOGGER.warning(
            '%d of %d weights begin anew for the other outputs: %s',
            len(anew), len(own), ', '.join(anew),
        )  # fmt: skip
    return anew
