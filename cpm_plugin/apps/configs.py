"""Configs of users, read, changed and built, with errors that name the config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..core.weights.checkpoints import read_checkpoint
from ..mmpose.options import options_checked
from .errors import one_line

from mmpose.apis import init_model
from mmpose.apis.inference import dataset_meta_from_config


@contextmanager
def named(config: str | Path) -> Iterator[None]:
    """Turn every error of a config into a ValueError that names it.

    A config is code, and names code to be run. It may therefore raise anything.

    Args:
        config: Path of the config.

    Raises:
        ValueError: Instead of any other error.
    """
    try:
        yield
    except Exception as error:
        reason = one_line(error)
        if 'need at least one array' in reason:  # MMEngine, of a dataset
            reason = 'a dataset of it has no samples'
        raise ValueError(f'{config}: {reason}') from error


def read_config(
    path: str | Path, options: Mapping[str, Any] | None = None, *, needs: Sequence[str] = ()
) -> Config:
    """Read a config. One without ``default_scope`` gets that of MMPose.

    Args:
        path: Path of the config.
        options: Changes of it, by dotted name. Of names that it does not know, a warning is
            printed.
        needs: Settings that it must have.

    Returns:
        Config.

    Raises:
        ValueError: If it cannot be read, or a setting is missing. The message names both.
    """
    if not Path(path).is_file():
        raise ValueError(f'{path}: no such file')
    with named(path):
        config = Config.fromfile(path)
        with options_checked():
            config.merge_from_dict(dict(options or {}))
        if missing := [name for name in needs if config.get(name) is None]:
            raise ValueError(f'no {" and no ".join(missing)} in it; give a config of MMPose')
        if config.get('default_scope') is None:  # as in configs in the style of Python modules
            config.default_scope = 'mmpose'
    return config


def build_model(config: Config, checkpoint: str | Path, device: str) -> Any:
    """Build the model of a config and load its weights.

    Args:
        config: Config of ``read_config``.
        checkpoint: Path of the checkpoint.
        device: Device, such as ``'cpu'`` or ``'cuda:0'``.

    Returns:
        A ``TopdownPoseEstimator``, in evaluation mode.

    Raises:
        ValueError: If the config cannot be built, the checkpoint cannot be read or does not fit, or
            neither has names of keypoints. The message names the config.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(f'{checkpoint}: no such file')
    unknown = 'train_dataloader' in config and not has_names(config)
    with named(config.filename):
        try:
            model = init_model(config, str(checkpoint), device=device)
        except AssertionError:  # which MMPose raises for an OwnCocoDataset
            if not unknown:
                raise
        if unknown:
            keypoints_apart(config, checkpoint)
        return model


def has_names(config: Config) -> bool:
    """Tell whether MMPose finds the names of the keypoints in a config.

    It looks at the class or the ``metainfo`` of the dataset for training. An ``OwnCocoDataset`` has
    none there, and neither has a dataset in another, such as in ``RepeatDataset``.

    Args:
        config: Config of ``read_config``.

    Returns:
        Whether it does.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    try:
        return dataset_meta_from_config(config, dataset_mode='train') is not None
    except AssertionError:
        return False


def keypoints_apart(config: Config, checkpoint: str | Path) -> dict[str, Any]:
    """Return the names of a model's keypoints where its config does not have them.

    MMPose looks for them in a checkpoint, then in the config. So they must stay in the checkpoint.

    Args:
        config: Config of the training, of ``read_config``.
        checkpoint: Path of its checkpoint.

    Returns:
        ``dataset_meta`` for the meta information of another checkpoint, or nothing.

    Raises:
        ValueError: If the checkpoint cannot be read, or neither has names.
    """
    if has_names(config):
        return {}
    _, meta = read_checkpoint(checkpoint)
    if not meta.get('dataset_meta'):
        raise ValueError(
            f'{checkpoint} has no names of keypoints (dataset_meta), and the config has none that '
            'MMPose finds. Take the checkpoint that the training wrote, or set '
            'train_dataloader.dataset.metainfo'
        )
    return {'dataset_meta': meta['dataset_meta']}
