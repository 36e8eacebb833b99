"""Hook that trains the stages of a CPM one after the other, to compare with joint training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from ..core.models.loss import IntermediateSupervisionLoss
from ..core.models.trunks import FeatureTrunks
from .head import CPMStageHead

from mmpose.registry import HOOKS


@HOOKS.register_module()
class StageByStageHook(Hook):
    """Train each stage alone, with those before it frozen; then all stages together.

    While stage t is trained alone, only its loss counts. All other stages are frozen: they get no
    gradient, the optimizer leaves them as they are, also with weight decay or momentum, and their
    batch statistics stay fixed. The loss of the others is logged as 0.

    The trunks belong to the stage that sees them first: to stage 1 its own trunk, or the one trunk
    for all stages; to stage 2 the second trunk of the paper. A single trunk is thus that of stage 1
    for all stages.

    Which stage is trained depends on the epoch alone, so that a resumed training goes on rightly.
    The learning rate should begin anew with each stage; see the ``stagewise`` configs of LSP
    Extended. A validation is of the last stage, and says nothing before that is trained.

    Args:
        epochs: For each stage, the number of epochs that it is trained alone. In the epochs of the
            training that are left, all stages are trained together, with the ``stage_weights`` of
            the loss.

    Raises:
        ValueError: If a number is below 1. At the start of a training: if there are more or fewer
            stages, or fewer epochs; if the head, the loss or the loop is another; if the loss of a
            stage has the weight 0; or if several processes train without
            ``find_unused_parameters``.

    Examples:
        Three stages with two epochs each, and all together after that, in a config:

        >>> custom_hooks = [dict(type='StageByStageHook', epochs=[2, 2, 2])]
    """

    def __init__(self, epochs: Sequence[int]) -> None:
        if not epochs or any(type(length) is not int or length < 1 for length in epochs):
            raise ValueError(
                f'epochs={list(epochs)} must have a whole number of at least 1 for each stage'
            )
        self.epochs = tuple(epochs)
        self._frozen: list[nn.Module] = []

    def before_train(self, runner: Runner) -> None:
        """Check that the model and the length of the training fit.

        Raises:
            ValueError: If not; see the class.
        """
        model = runner.model
        if is_model_wrapper(model):
            if not getattr(model, 'find_unused_parameters', True):
                raise ValueError(
                    'StageByStageHook with several processes: frozen stages get no gradient; set '
                    'find_unused_parameters=True in the config'
                )
            model = model.module
        head = getattr(model, 'head', None)
        if not isinstance(head, CPMStageHead):
            raise ValueError(
                f'StageByStageHook needs a CPMStageHead, the model has {type(head).__name__}; '
                'leave the hook out'
            )
        loss = head.loss_module
        if not isinstance(loss, IntermediateSupervisionLoss):
            raise ValueError(
                f'StageByStageHook needs an IntermediateSupervisionLoss, the head has '
                f'{type(loss).__name__}; change model.head.loss'
            )
        stages = head.stages.num_stages
        if len(self.epochs) != stages:
            raise ValueError(
                f'epochs={list(self.epochs)} has {len(self.epochs)} numbers, the model {stages} '
                'stages; give one for each stage'
            )
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                f'StageByStageHook needs a training by epochs, this has '
                f'{type(runner.train_loop).__name__}; set train_cfg.by_epoch=True and max_epochs'
            )
        if sum(self.epochs) > runner.max_epochs:
            raise ValueError(
                f'epochs={list(self.epochs)} are {sum(self.epochs)} together, the training has '
                f'{runner.max_epochs}; give fewer, or set train_cfg.max_epochs'
            )
        weights = loss.stage_weights or (1.0,) * stages
        if 0 in weights:
            raise ValueError(
                f'stage_weights={weights} of the loss: a stage of weight 0 would learn nothing '
                'alone; leave model.head.loss.stage_weights out'
            )
        self._weights, self._given = weights, loss.stage_weights
        self._loss = loss
        self._parts = parts_of_stages(model)
        # What the config itself freezes, such as groups of an encoder, stays frozen.
        self._trained = [
            [p for module in part for p in module.parameters() if p.requires_grad]
            for part in self._parts
        ]

    def before_train_epoch(self, runner: Runner) -> None:
        """Freeze all stages but that of the epoch, or none."""
        stage = self.stage_in(runner.epoch)
        for number, parameters in enumerate(self._trained, start=1):
            for parameter in parameters:
                parameter.requires_grad_(stage in (None, number))
                if stage not in (None, number):
                    # A gradient of zeros would let weight decay and momentum move it.
                    parameter.grad = None
        self._frozen = [
            module
            for number, part in enumerate(self._parts, start=1)
            if stage not in (None, number)
            for module in part
        ]
        if stage is None:
            self._loss.stage_weights = self._given
        else:
            self._loss.stage_weights = tuple(
                weight if number == stage else 0.0
                for number, weight in enumerate(self._weights, start=1)
            )
        what = 'all stages together' if stage is None else f'stage {stage} alone'
        runner.logger.info(f'StageByStageHook: epoch {runner.epoch + 1} trains {what}')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep the batch statistics of frozen stages; the loop sets all to training mode."""
        for module in self._frozen:
            module.eval()

    def after_train(self, runner: Runner) -> None:
        """Leave the model and its loss as they were before the training."""
        for parameters in self._trained:
            for parameter in parameters:
                parameter.requires_grad_()
        self._loss.stage_weights = self._given

    def stage_in(self, epoch: int) -> int | None:
        """Return the stage that is trained alone in an epoch.

        Args:
            epoch: Number of the epoch, from 0.

        Returns:
            Number of the stage, from 1; None if all are trained together.
        """
        for stage, length in enumerate(self.epochs, start=1):
            if epoch < length:
                return stage
            epoch -= length
        return None


def parts_of_stages(model: Any) -> list[list[nn.Module]]:
    """Divide a model into the parts that its stages are the first to use.

    Args:
        model: A ``TopdownPoseEstimator`` with a ``CPMStageHead``.

    Returns:
        Modules of each stage, stage 1 first.
    """
    stages = model.head.stages
    later: list[list[nn.Module]] = [[stage] for stage in stages.later]
    trunks = getattr(model.backbone, 'trunks', None)
    if later and isinstance(trunks, FeatureTrunks) and trunks.shared_trunk is not None:
        later[0].append(trunks.shared_trunk)
        return [[trunks.stage1_trunk, stages.first], *later]
    neck = [model.neck] if getattr(model, 'neck', None) is not None else []
    return [[model.backbone, *neck, stages.first], *later]
