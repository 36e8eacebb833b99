"""PCK of the mean pose of a config's training set, the lowest PCK that a model should exceed."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..core.evaluation.mean_pose import mean_pose, place_pose
from ..core.evaluation.pck import TorsoPCK, torso_pck
from ..mmpose.labels import labeled_of
from ..mmpose.metrics import check_torso, joints_of

from mmpose.registry import DATASETS


def annotations_of(dataset: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Collect the annotations of a top-down dataset.

    Args:
        dataset: Dataset of MMPose with N samples.

    Returns:
        Keypoints (N, K, 2) and boxes (N, 4) in image pixels, with labeled (N, K) between them.
    """
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    keys = ('keypoints', 'keypoints_visible', 'bbox')
    keypoints, visible, boxes = (np.concatenate([info[key] for info in infos]) for key in keys)
    return keypoints, labeled_of(visible), boxes


def mean_pose_pck(config: Config) -> TorsoPCK:
    """Compute the PCK of the mean pose of the training set, put into each box of the test set.

    Args:
        config: Config of MMPose, with ``train_dataloader`` and ``test_dataloader``.

    Returns:
        PCK at 0.2 of the torso.

    Raises:
        ValueError: If a dataset is empty, has no shoulders or hips, or the test set has detected
            boxes without keypoints.
    """
    init_default_scope(config.get('default_scope') or 'mmpose')
    test = DATASETS.build(config.test_dataloader.dataset)
    check_torso(joints_of(test.metainfo))
    train = DATASETS.build(config.train_dataloader.dataset)
    if not (len(train) and len(test)):
        raise ValueError(
            f'{len(train)} people to train on and {len(test)} to test; none is too few'
        )
    if not all('keypoints' in test.get_data_info(i) for i in range(len(test))):
        raise ValueError('the test set has detected boxes without keypoints')
    pose = mean_pose(*annotations_of(train))
    keypoints, labeled, boxes = annotations_of(test)
    return torso_pck(place_pose(pose, boxes), keypoints, labeled, joints_of(test.metainfo))
