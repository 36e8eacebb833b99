"""``create_model`` and ``list_models``: models by name, with trained weights if wanted.

The models are those of ``person_models`` and ``affinity_models``. All take BGR images with values
(v - 128) / 256. Those of ``affinity_models`` are for several people: they give ``PartMaps`` and not
belief maps alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..weights.checkpoints import load_checkpoint
from ..weights.transfer import load_into_other_outputs
from ..weights.zoo import read_index, weights_file
from .affinity_models import AFFINITY_MODELS
from .affinity_network import AffinityPoseMachine
from .network import ConvolutionalPoseMachine
from .person_models import PERSON_MODELS

Network = ConvolutionalPoseMachine | AffinityPoseMachine

MODELS: dict[str, Callable[..., Network]] = {**PERSON_MODELS, **AFFINITY_MODELS}


def list_models(*, pretrained: bool | str | Path | None = False) -> list[str]:
    """List the names of models that ``create_model`` accepts, in alphabetical order.

    Args:
        pretrained: True for the models with trained weights in the package. A folder for those
            with weights in that zoo (``cpm_plugin.core.weights.zoo``).

    Returns:
        Names of models.

    Raises:
        ValueError: If the zoo has no index.

    Examples:
        >>> from cpm_plugin.core import list_models
        >>> 'cpm_movenet_3s' in list_models(pretrained=True)
        True
    """
    if not pretrained:
        return sorted(MODELS)
    return sorted(name for name in read_index(_zoo(pretrained)) if name in MODELS)


def _zoo(pretrained: bool | str | Path) -> str | Path | None:
    """Return the folder of a zoo, or None for that of the package."""
    return None if pretrained is True else str(pretrained)


# Settings that only change the outputs, and what depends on their number.
_OUTPUTS = frozenset({'num_keypoints', 'background', 'joints'})


def create_model(
    name: str,
    *,
    pretrained: bool | str | Path | None = False,
    checkpoint: str | Path | None = None,
    **settings: Any,
) -> Network:
    """Build a named model, with trained weights if wanted.

    Args:
        name: One of ``list_models()``.
        pretrained: True for the trained weights of the package, which the models of
            ``list_models(pretrained=True)`` have. A folder for the weights of that zoo
            (``cpm_plugin.core.weights.zoo``). Mind the license of the weights. With another
            ``num_keypoints`` or ``background``, the weights of layers that depend on it begin anew,
            and a logged warning names them.
        checkpoint: File with weights of the model, see ``load_checkpoint``.
        **settings: Changes of the model, see ``build_network``, such as ``num_keypoints=17`` and
            ``num_stages=3``. If ``num_keypoints`` is changed, the ``joints`` of the model are None
            unless they are given.

    Returns:
        The network, in training mode. Without weights, it is initialized at random.

    Raises:
        ValueError: If a name or setting is unknown, or the weights are missing or do not fit.

    Examples:
        17 keypoints and the background:

        >>> import torch
        >>> from cpm_plugin.core import create_model
        >>> model = create_model('cpm_slim_3s', num_keypoints=17).eval()
        >>> model(torch.zeros(1, 3, 128, 96))[-1].shape
        torch.Size([1, 18, 16, 12])
    """
    if name not in MODELS:
        if pretrained and name in read_index(_zoo(pretrained)):
            raise ValueError(
                f'{name!r} has weights in this zoo, but no network here has this name; use its '
                'config, by cpm_plugin.apps.zoo.pose2d, or publish it by one of these names: '
                f'{", ".join(list_models())}'
            )
        raise ValueError(f'no model {name!r}; there are: {", ".join(list_models())}')
    if pretrained:
        if checkpoint is not None:
            raise ValueError(
                f'pretrained={pretrained!r} and checkpoint={str(checkpoint)!r}: give one of them'
            )
        checkpoint = weights_file(name, _zoo(pretrained))
    model = MODELS[name](**settings)
    if checkpoint is None:
        return model
    if pretrained and _OUTPUTS & settings.keys():
        same = {key: value for key, value in settings.items() if key not in _OUTPUTS}
        load_into_other_outputs(model, checkpoint, MODELS[name](**same))
    else:
        load_checkpoint(model, checkpoint)
    return model
