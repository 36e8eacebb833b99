"""``compile=True`` of a config: ``torch.compile`` for the network, and for nothing around it.

MMEngine compiles the whole training step of a model: the backward pass and the optimizer, the log,
and what MMPose writes into its samples. PyTorch 2.13 fails at that, for stock models too, if a
sample has an array in its ``metainfo``. For models with a part of ours, only backbone and head are
compiled here.
"""

from __future__ import annotations

import functools
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from .affinity_head import CPMPAFHead
from .backbone import CPMBackbone
from .head import CPMStageHead


def install() -> None:
    """Let MMEngine's runner compile the networks of models with a part of ours, once."""
    compile_step = Runner._maybe_compile
    if hasattr(compile_step, '__wrapped__'):
        return

    @functools.wraps(compile_step)
    def maybe_compile(self: Runner, target: str) -> None:
        options = self.cfg.get('compile', None)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if (not isinstance(options, dict) and options is not True) or not has_own_parts(model):
            compile_step(self, target)
            return
        compile_network(model, {} if options is True else dict(options))
        self.logger.info(
            'Backbone and head are compiled. The first iterations of training and of validation '
            'take a while'
        )

    Runner._maybe_compile = maybe_compile


def has_own_parts(model: nn.Module) -> bool:
    """Tell whether a model has a backbone or a head of ours.

    Args:
        model: Model of MMPose.

    Returns:
        Whether it has.
    """
    own = CPMBackbone | CPMStageHead | CPMPAFHead
    return any(isinstance(getattr(model, name, None), own) for name in ('backbone', 'head'))


def compile_network(model: Any, options: dict[str, Any]) -> None:
    """Compile the backbone of a model, and the modules of its head but for the loss.

    Weights keep their names, and copies of the model, as of ``EMAHook``, are not compiled.

    Args:
        model: Model of MMPose; it is changed in place.
        options: Arguments of ``torch.compile``, such as ``mode``.
    """
    parts = [child for name, child in model.head.named_children() if name != 'loss_module']
    for part in [model.backbone, *parts]:
        part.compile(**options)
