"""A structure of joints, fitted to the training set of a config for the crops of its test."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..core.maps.joint_sets import joint_set
from ..core.structure.bodies import BODIES
from ..core.structure.structures import QUANTILE, Structure, fit_structure
from ..mmpose.metrics import joints_of
from .mean_pose import annotations_of

from mmpose.registry import DATASETS


class Fitted(NamedTuple):
    """Result of ``fit_to_config``.

    Attributes:
        structure: The structure.
        people: Number of people that it was fitted to.
    """

    structure: Structure
    people: int


def crop_heights(config: Config, boxes: np.ndarray) -> np.ndarray:
    """Compute the heights of the crops that a config's test makes of boxes.

    They are those of MMPose's ``GetBBoxCenterScale`` and a crop of the shape of the network input.

    Args:
        config: Config of MMPose, with a decoder and ``test_dataloader``.
        boxes: (N, 4), x1, y1, x2, y2 in image pixels.

    Returns:
        (N,), in image pixels.

    Raises:
        ValueError: If the config has no such decoder, or its test has other crops.
    """
    size = ((config.model.get('head') or {}).get('decoder') or {}).get('input_size')
    if size is None:
        raise ValueError('no input_size in model.head.decoder; a structure needs the crop of it')
    steps = config.test_dataloader.dataset.get('pipeline') or []
    padding = [
        step.get('padding', 1.25)  # MMPose's default
        for step in steps
        if step['type'] == 'GetBBoxCenterScale'
    ]
    if not padding:
        raise ValueError(
            'no GetBBoxCenterScale in the pipeline of test_dataloader; a structure fits crops whose'
            ' size is that of the box times a number'
        )
    sides = boxes[:, 2:] - boxes[:, :2]
    heights: np.ndarray = padding[0] * np.maximum(sides[:, 1], sides[:, 0] * size[1] / size[0])
    return heights


def fit_to_config(config: Config, kind: str, quantile: float = QUANTILE) -> Fitted:
    """Fit a structure to the training set of a config.

    Joints are those of the head's ``joints``, and without it those of the dataset. A joint that the
    dataset has not is the middle of two, as in ``JointSet.sources``.

    Args:
        config: Config of MMPose, with ``train_dataloader``, ``test_dataloader`` and a decoder.
        kind: Key of ``BODIES``.
        quantile: See ``fit_structure``.

    Returns:
        The structure, and the number of people.

    Raises:
        ValueError: If the kind is unknown, the test has other crops, or nothing can be fitted.
    """
    if kind not in BODIES:
        raise ValueError(f'no kind {kind!r}; there are: {", ".join(BODIES)}')
    init_default_scope(config.get('default_scope') or 'mmpose')
    crop_heights(config, np.zeros((0, 4)))  # before the dataset is read
    train: Any = DATASETS.build(config.train_dataloader.dataset)
    joints = joints_of(train.metainfo)
    keypoints, labeled, boxes = annotations_of(train)
    keypoints = keypoints[..., :2]
    if name := config.model.head.get('joints'):
        sources = joints.sources(joint_set(name))
        joints = joint_set(name)
        keypoints = np.stack([keypoints[:, list(one)].mean(axis=1) for one in sources], axis=1)
        labeled = np.stack([labeled[:, list(one)].all(axis=1) for one in sources], axis=1)
    structure = fit_structure(
        BODIES[kind](joints), keypoints, labeled, crop_heights(config, boxes), quantile=quantile
    )
    return Fitted(structure, len(keypoints))
