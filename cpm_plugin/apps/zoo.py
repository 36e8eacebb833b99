"""Published models for MMPose: their configs and weights by name."""

from __future__ import annotations

from pathlib import Path

from ..core.weights.files import write_whole
from ..core.weights.zoo import PACKAGED, read_index, weights_file

# Where configs are: in the package in a wheel (as mim wants them), beside it in a clone.
_PACKAGE = Path(__file__).parents[1]
_ROOTS = (_PACKAGE / '.mim', _PACKAGE.parent)


def in_project(config: Path) -> str:
    """A config's path from the project's root, ``configs/...``, or '' if it is not in it."""
    for root in _ROOTS:
        if config.resolve().is_relative_to(root.resolve() / 'configs'):
            return config.resolve().relative_to(root.resolve()).as_posix()
    return ''


def config_file(name: str, zoo: str | Path | None = None) -> Path:
    """A published model's config: in its zoo, or in the project, wherever that is installed.

    Args:
        name: As the index has it, a file of the zoo or ``configs/...``.
        zoo: The folder; None: the package's.

    Raises:
        ValueError: Naming the places looked at.
    """
    places = [root / name for root in (Path(zoo or PACKAGED), *_ROOTS)]
    for root, place in zip((Path(zoo or PACKAGED), *_ROOTS), places):
        if place.is_file():
            if not place.resolve().is_relative_to(root.resolve()):  # it is code
                raise ValueError(f'config {name} leads out of {root}; keep it inside')
            return place
    raise ValueError(f'no config {name}; looked at {", ".join(map(str, places))}')


def pose2d(name: str, zoo: str | Path | None = None) -> dict[str, str]:
    """A published model as arguments of stock ``MMPoseInferencer``.

    For example, without a detector, for images of one person::

        MMPoseInferencer(**pose2d('cpm_lite0_3s'), det_model='whole_image', device='cpu')

    Args:
        name: Of a published model; the package's are ``cpm_plugin.list_models(pretrained=True)``.
        zoo: The folder of another zoo than the package's (``cpm_plugin.core.weights.zoo``).

    Returns:
        ``pose2d``, the config's path, and ``pose2d_weights``, the verified file of weights.

    Raises:
        ValueError: For a name without weights, or if they or the config cannot be had.
    """
    weights = weights_file(name, zoo)
    config = config_file(read_index(zoo)[name].config, zoo)
    return dict(pose2d=str(config), pose2d_weights=str(weights))


def write_text(path: Path, text: str) -> None:
    """Write a file of text, all of it or nothing; makes its folder."""
    write_whole(path, text.encode())
