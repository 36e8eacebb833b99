"""Configs and weights of published models by name, for MMPose."""

from __future__ import annotations

from pathlib import Path

from ..core.weights.zoo import PACKAGED, read_index, weights_file

# Folders that have configs/: the package's .mim in a wheel (where mim expects it), else the clone.
_PACKAGE = Path(__file__).parents[1]
_ROOTS = (_PACKAGE / '.mim', _PACKAGE.parent)


def in_project(config: Path) -> str:
    """Return the path of a config from the root of the project.

    Args:
        config: Path of the config.

    Returns:
        ``configs/...``, or ``''`` if the config is not of this project.
    """
    for root in _ROOTS:
        if config.resolve().is_relative_to(root.resolve() / 'configs'):
            return config.resolve().relative_to(root.resolve()).as_posix()
    return ''


def config_file(name: str, zoo: str | Path | None = None) -> Path:
    """Find the config of a published model, in its zoo or in the installed project.

    Args:
        name: Path in the index: a file of the zoo, or ``configs/...``.
        zoo: Folder of the zoo. None: that of the package.

    Returns:
        Path of the file.

    Raises:
        ValueError: If there is no such config, or it leads out of its folder. The message names the
            places searched.
    """
    places = [root / name for root in (Path(zoo or PACKAGED), *_ROOTS)]
    for root, place in zip((Path(zoo or PACKAGED), *_ROOTS), places):
        if place.is_file():
            # A config is code that runs.
            if not place.resolve().is_relative_to(root.resolve()):
                raise ValueError(f'config {name} leads out of {root}; keep it inside')
            return place
    raise ValueError(f'no config {name}; looked at {", ".join(map(str, places))}')


def pose2d(name: str, zoo: str | Path | None = None) -> dict[str, str]:
    """Return a published model as arguments of stock ``MMPoseInferencer``.

    Args:
        name: Name of a published model. Those of the package are
            ``cpm_plugin.list_models(pretrained=True)``.
        zoo: Folder of another zoo than that of the package (``cpm_plugin.core.weights.zoo``).

    Returns:
        ``pose2d``, the path of the config, and ``pose2d_weights``, the path of the verified file
            of weights.

    Raises:
        ValueError: If there are no weights of that name, or they or the config are not available.

    Examples:
        Without a detector, for images of one person:

        ```python
        from mmpose.apis import MMPoseInferencer
        from cpm_plugin.apps.zoo import pose2d

        inferencer = MMPoseInferencer(
            **pose2d('cpm_movenet_3s'), det_model='whole_image', device='cpu'
        )
        result = next(inferencer('person.jpg'))
        ```
    """
    weights = weights_file(name, zoo)
    config = config_file(read_index(zoo)[name].config, zoo)
    return dict(pose2d=str(config), pose2d_weights=str(weights))
