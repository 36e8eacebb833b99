"""What all datasets share: MMPose's meta information, and annotations in COCO's form."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.maps.joint_sets import joint_set
from ..core.maps.joints import JointSet

from mmpose.datasets.dataset_wrappers import CombinedDataset
from mmpose.registry import DATASETS

# Colors by side, as in MMPose's own datasets: right orange, left green, middle blue.
_COLORS = {'right': [255, 128, 0], 'left': [0, 255, 0], 'middle': [51, 153, 255]}


def dataset_info(joints: JointSet, **info: Any) -> dict[str, Any]:
    """Describe a joint set as MMPose's dataset meta information.

    All joint weights are 1. The sigmas, which only OKS uses, are 0.05, because there are no
    published ones.

    Args:
        joints: Names, links and left-right partners of the joints.
        info: Other entries of the meta information, such as ``dataset_name``.

    Returns:
        Meta information, as a dataset's ``METAINFO`` has it.
    """

    def side(*names: str) -> str:
        sides = {joints.side(name) for name in names} - {''}
        return sides.pop() if len(sides) == 1 else 'middle'

    lower = ('hip', 'knee', 'ankle')
    return dict(
        info,
        keypoint_info={
            channel: dict(
                name=name,
                id=channel,
                color=_COLORS[side(name)],
                type='lower' if name.endswith(lower) else 'upper',
                swap=joints.partner(name),
            )
            for channel, name in enumerate(joints.names)
        },
        skeleton_info={
            number: dict(link=link, id=number, color=_COLORS[side(*link)])
            for number, link in enumerate(joints.links)
        },
        joint_weights=[1.0] * len(joints.names),
        sigmas=[0.05] * len(joints.names),
    )


# MMPose's CocoMetric asks a dataset for the categories of its annotations, as a COCO file has them.
CATEGORIES = ({'id': 1, 'name': 'person'},)


def as_coco(person: dict[str, Any]) -> dict[str, Any]:
    """Make COCO's annotation of a person, which MMPose's ``CocoMetric`` evaluates with.

    Args:
        person: Annotation of a dataset of one person per sample.

    Returns:
        ``keypoints`` as a list of x, y and visibility (0 or 2) in image pixels, ``bbox`` as x, y,
            width and height, and what else COCO has.
    """
    x1, y1, x2, y2 = person['bbox'][0].tolist()
    visible = 2 * (person['keypoints_visible'][0] > 0)
    points = np.concatenate([person['keypoints'][0], visible[:, None]], axis=1)
    return dict(
        {key: person[key] for key in ('id', 'category_id', 'iscrowd', 'num_keypoints')},
        image_id=person['img_id'],
        bbox=[x1, y1, x2 - x1, y2 - y1],
        keypoints=points.ravel().tolist(),
        area=float(person['area']),
    )


@DATASETS.register_module()
class CombinedPoseDataset(CombinedDataset):
    """Stock's ``CombinedDataset``, of a named joint set.

    Each dataset's own pipeline makes samples with these joints; ``pipeline`` goes on from there.

    Args:
        joints: Joint set of the samples, a name in ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``.
        datasets: Configs of the datasets, with their pipelines.
        kwargs: See ``mmpose.datasets.CombinedDataset``: ``pipeline`` and ``sample_ratio_factor``.

    Raises:
        ValueError: If there is no such joint set, or a dataset gives other joints.

    Examples:
        LSP Extended and COCO, for a network with the joints of LSP, in a config:

        >>> select = dict(type='SelectJoints', source='coco', target='lsp', partial=True)
        >>> datasets = [
        ...     dict(type='LspDataset', pipeline=[dict(type='MosaicPeople', size=(256, 256))]),
        ...     dict(type='CocoDataset', data_mode='bottomup',
        ...          pipeline=[dict(type='LoadImage'), select]),
        ... ]
        >>> dataset = dict(type='CombinedPoseDataset', joints='lsp', datasets=datasets)
    """

    def __init__(self, joints: str, datasets: list[dict], **kwargs: Any) -> None:
        target = joint_set(joints)
        info = dataset_info(target, dataset_name=joints)
        super().__init__(metainfo=info, datasets=datasets, **kwargs)
        for dataset, config in zip(self.datasets, datasets):
            names = tuple(dataset.metainfo['keypoint_id2name'].values())
            steps = [step for step in config.get('pipeline', ()) if 'SelectJoints' in step['type']]
            if steps:
                names = joint_set(steps[-1]['target']).names
            if names != target.names:
                raise ValueError(
                    f'{config["type"]} gives the joints {", ".join(names)}, not those of '
                    f"joints={joints!r}; put dict(type='SelectJoints', target={joints!r}, ...) "
                    'into its pipeline'
                )
