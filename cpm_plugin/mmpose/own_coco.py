"""``OwnCocoDataset``: keypoints of one's own, described by the annotation file alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..core.maps.joints import JointSet
from .datasets import dataset_info

from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS

_REMEDY = (
    'COCO\'s format has "categories": [{"id": 1, "name": "person", "keypoints": ["nose", ...], '
    '"skeleton": [[1, 2], ...]}], where the links count from 1'
)


def read_joints(path: str | Path) -> JointSet:
    """Read the names and links of the keypoints from a file in the format of COCO.

    Args:
        path: Annotation file. Its categories have ``keypoints``, names in the order of the
            annotations, and may have ``skeleton``, pairs of numbers that count from 1.

    Returns:
        Names and links of the joints.

    Raises:
        ValueError: If the file is missing or broken, no category has keypoints, two have different
            ones, or a link leads to no keypoint. The message names the file.
    """
    if not Path(path).is_file():
        raise ValueError(
            f'{path}: no such file; set data_root and ann_file of the dataset to where it is'
        )
    try:
        categories = json.loads(Path(path).read_bytes())['categories']
        found = [one for one in categories if one.get('keypoints')]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f'{path}: no categories can be read ({type(error).__name__}: {error}); {_REMEDY}'
        ) from error
    if not found:
        raise ValueError(f'{path}: no category has a list of keypoints; {_REMEDY}')
    if any(one['keypoints'] != found[0]['keypoints'] for one in found):
        raise ValueError(
            f'{path}: {len(found)} categories have different keypoints, and a model has one list; '
            'make a file for each'
        )
    names, links = found[0]['keypoints'], found[0].get('skeleton') or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f'{path}: keypoints must be a list of names, but are {names!r}; {_REMEDY}')
    numbers = range(1, len(names) + 1)
    try:
        pairs = [(a, b) for a, b in links]
        if wrong := [pair for pair in pairs if not all(end in numbers for end in pair)]:
            raise ValueError(f'link {list(wrong[0])}')
        return JointSet(tuple(names), tuple((names[a - 1], names[b - 1]) for a, b in pairs))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'{path}: keypoints and skeleton do not fit ({error}); there are {len(names)} '
            f'keypoints, and {_REMEDY}'
        ) from error


@DATASETS.register_module()
class OwnCocoDataset(BaseCocoStyleDataset):
    """Annotations in the format of COCO, with keypoints of any names and number.

    Names and links are those of the category in the annotation file. Left and right change places
    in mirrored images, by the names (``JointSet.partner``), and have MMPose's colors. The log says
    who is whose partner. OKS, if a metric uses it, has a sigma of 0.05 for every keypoint.

    Args:
        ann_file: Annotation file, inside ``data_root``.
        data_root: Folder of the data.
        metainfo: MMPose's meta information, where that of the file does not do.
        arguments: Others of ``BaseCocoStyleDataset``.

    Raises:
        ValueError: If the names of the keypoints cannot be read. The message names the file.

    Examples:
        In a config:

        >>> dataset = dict(
        ...     type='OwnCocoDataset', data_root='data/own/', ann_file='annotations/train.json',
        ...     data_prefix=dict(img='train/'),
        ... )
    """

    def __init__(
        self,
        ann_file: str = '',
        *,
        data_root: str | None = None,
        metainfo: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> None:
        if metainfo is None:
            joints = read_joints(Path(data_root or '') / ann_file)
            metainfo = dataset_info(joints, dataset_name='own')
            print_log(f'{ann_file}: {_described(joints)}', logger='current')
        super().__init__(ann_file=ann_file, data_root=data_root, metainfo=metainfo, **arguments)


def _described(joints: JointSet) -> str:
    """Say which keypoints there are, and which of them a mirrored image exchanges."""
    pairs = [f'{name} - {joints.partner(name)}' for name in joints.names if joints.partner(name)]
    pairs = [pair for pair in pairs if joints.side(pair.split(' - ')[0]) == 'left']
    text = f'{len(joints.names)} keypoints; left and right: {", ".join(pairs) or "none"}'
    if alone := [name for name in joints.names if joints.side(name) and not joints.partner(name)]:
        text += (
            f'. Without the other side: {", ".join(alone)}. A mirrored image would show it under '
            'the name of this one: leave RandomFlip and flip_test out'
        )
    return text
