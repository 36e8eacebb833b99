"""Configs of users, read, changed and built, with errors that name the config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..mmpose.options import options_checked
from .errors import one_line

from mmpose.apis import init_model


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
        ValueError: If the config cannot be built, or the checkpoint cannot be read or does not fit.
            The message names the config.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(f'{checkpoint}: no such file')
    with named(config.filename):
        return init_model(config, str(checkpoint), device=device)
