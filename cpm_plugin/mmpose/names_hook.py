"""Hook that refuses keypoints that are not those the model learned, or in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from .labels import keypoint_names

from mmpose.registry import HOOKS

# Steps of a pipeline that make other keypoints of a dataset's, and arguments of metrics that do.
_CONVERTERS = ('KeypointConverter', 'SelectJoints')
_METRIC_CONVERTERS = ('pred_converter', 'gt_converter')


@HOOKS.register_module()
class KeypointNamesHook(Hook):
    """Compare the names of the keypoints of the datasets with those that the model learned.

    A channel of the model is one keypoint. Where the list of another annotation file has another
    order, MMPose compares a wrist with an ankle, and reports a low figure with exit code 0.

    What the model learned is in ``train_dataloader``, or else in the ``dataset_meta`` of its
    checkpoint. Nothing is compared where that is unknown, where the config converts keypoints
    (``KeypointConverter``, ``SelectJoints``, ``pred_converter``, ``gt_converter``), or where the
    head gives other joints than it has (``output_joints``). A ``load_from`` of a training may have
    any names.

    Examples:
        In a config; the configs of this project have it in their base:

        >>> default_hooks = dict(names=dict(type='KeypointNamesHook'))
    """

    def __init__(self) -> None:
        self._learned: Sequence[str] = ()
        self._where = ''

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the names in a checkpoint."""
        meta = checkpoint.get('meta')
        found = meta.get('dataset_meta') if isinstance(meta, dict) else None
        if not converts_keypoints(runner.cfg.get('train_dataloader')):
            self._learned = _names(found)
            self._where = 'the checkpoint (its dataset_meta)'

    def before_train(self, runner: Runner) -> None:
        """Compare train with a resumed checkpoint, and val with train.

        Raises:
            ValueError: If the names differ. The message has both lists.
        """
        if runner._resume:
            self._check(runner, 'train', runner.train_loop)
        learned = (
            () if converts_keypoints(runner.cfg.get('train_dataloader')) else _of(runner.train_loop)
        )
        self._learned, self._where = learned, 'train_dataloader'
        self._check(runner, 'val', runner.val_loop)

    def before_val(self, runner: Runner) -> None:
        """Compare val with what the model learned; see ``before_train``."""
        self._check(runner, 'val', runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Compare test with what the model learned; see ``before_train``."""
        self._check(runner, 'test', runner.test_loop)

    def _check(self, runner: Runner, split: str, loop: Any) -> None:
        names = _of(loop)
        if not names or not self._learned or list(names) == list(self._learned):
            return
        settings = (runner.cfg.get(f'{split}_{part}') for part in ('dataloader', 'evaluator'))
        if any(map(converts_keypoints, settings)) or (
            split != 'train' and _gives_other_joints(runner)
        ):
            return
        raise ValueError(
            f'the keypoints of {split}_dataloader are {", ".join(names)}, but those of '
            f'{self._where} are {", ".join(self._learned)}; a channel would stand for two '
            'keypoints. Write both annotations with one list of keypoints. If only the spelling '
            'differs, leave this check out: default_hooks=dict(names=None)'
        )


def _of(loop: Any) -> list[str]:
    """Return the names of the keypoints of a loop's dataset; none if it does not have them."""
    dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
    return _names(getattr(dataset, 'metainfo', None))


def _names(meta: Any) -> list[str]:
    return keypoint_names(meta) if isinstance(meta, Mapping) else []


def converts_keypoints(settings: Any) -> bool:
    """Tell whether settings make other keypoints than those of the annotations.

    Args:
        settings: A config, or its part for a loader or an evaluator.

    Returns:
        Whether there is a ``KeypointConverter``, a ``SelectJoints`` or a metric's converter in it.

    Examples:
        >>> from cpm_plugin.mmpose.names_hook import converts_keypoints
        >>> converts_keypoints(dict(pipeline=[dict(type='LoadImage'), dict(type='SelectJoints')]))
        True
    """
    if isinstance(settings, Mapping):
        kind = settings.get('type')
        if getattr(kind, '__name__', kind) in _CONVERTERS:
            return True
        if any(settings.get(name) for name in _METRIC_CONVERTERS):
            return True
        return any(map(converts_keypoints, settings.values()))
    return isinstance(settings, list | tuple) and any(map(converts_keypoints, settings))


def _gives_other_joints(runner: Runner) -> bool:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return getattr(getattr(model, 'head', None), 'output_sources', None) is not None
