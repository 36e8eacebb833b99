"""``MendSides``: labels with exchanged sides, mended in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.evaluation.swapped_sides import ARMS_AND_LEGS, exchange_sides
from ..core.maps.joint_sets import joint_set
from .transforms import Transform

from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MendSides(Transform):
    """Exchange left and right where a list says that the labels of an image have them exchanged.

    ``tools/find_swaps.py`` makes such a list. Put it before ``RandomFlip``, and only in the
    pipeline for training: for a test, labels stay as they are published. It is for one person per
    image, and not for ``MosaicPeople`` and ``AddNeighbors``, which take other people from the
    dataset.

    Required keys: ``img_path``, ``keypoints`` (P, K, 2) and ``keypoints_visible`` (P, K), of which
    the last two are changed for an image of the list.

    Args:
        file: JSON file with an object: names of images, mapped to ``["arms"]``, ``["legs"]`` or
            both.
        joints: Joint set of the dataset, a name in
            ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``.

    Raises:
        ValueError: If the file is missing or is no such list, the joint set is unknown, or a
            sample has several people.

    Examples:
        In the pipeline of a config:

        >>> step = dict(type='MendSides', file='data/swaps.json', joints='lsp')
    """

    def __init__(self, file: str, joints: str) -> None:
        self.file = file
        self.joints = joint_set(joints)
        self._parts = read_swaps(file)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        if len(results['keypoints']) != 1:
            raise ValueError(
                f'{results["img_path"]}: {len(results["keypoints"])} people in a sample; MendSides '
                'is for one. Leave it out of this pipeline'
            )
        results['sides_mended'] = True
        parts = self._parts.get(Path(results['img_path']).name, ())
        if parts:
            for key in ('keypoints', 'keypoints_visible'):
                results[key] = exchange_sides(results[key], self.joints, parts)
        return results


def read_swaps(file: str | Path) -> dict[str, tuple[str, ...]]:
    """Read a list of ``tools/find_swaps.py``.

    Args:
        file: Path of the JSON file.

    Returns:
        Names of images, mapped to names of ``ARMS_AND_LEGS``.

    Raises:
        ValueError: If it cannot be read, or has other content.
    """
    try:
        content = json.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f'{file}: no list of tools/find_swaps.py ({error})') from error
    if not isinstance(content, dict):
        raise ValueError(f'{file}: a list of images by name was expected, an object in JSON')
    for name, parts in content.items():
        if not isinstance(parts, list) or not parts or not set(parts) <= set(ARMS_AND_LEGS):
            raise ValueError(
                f'{file}: {parts!r} of {name}: expected a list with one or more of '
                f'{", ".join(ARMS_AND_LEGS)}'
            )
    return {name: tuple(parts) for name, parts in content.items()}
