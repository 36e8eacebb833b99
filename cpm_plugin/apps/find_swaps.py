"""Images of a training set whose labels have left and right exchanged, by a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ..core.evaluation.swapped_sides import ARMS_AND_LEGS, swapped_sides
from ..core.prediction import read_image
from ..mmpose.labels import labeled_of
from ..mmpose.metrics import check_torso, joints_of
from .demo import predict

from mmpose.registry import DATASETS


def find_swaps(
    model: Any, config: Config, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[dict[str, list[str]], int]:
    """Predict the poses of the training set, and compare them with its labels.

    Args:
        model: Model of ``demo.load_model``.
        config: Its config, with ``train_dataloader``.
        progress: Passes the numbers of the people on, with a progress bar.

    Returns:
        Names of images, mapped to the parts whose sides are exchanged, and the number of people.

    Raises:
        ValueError: If the dataset has no shoulders or hips, or several people in an image, whom a
            list by image cannot tell apart.
    """
    dataset = DATASETS.build(config.train_dataloader.dataset)
    joints = joints_of(dataset.metainfo)
    check_torso(joints)
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for number in progress(range(len(dataset))):
        info = dataset.get_data_info(number)
        name = Path(info['img_path']).name
        if name in seen:
            raise ValueError(f'{name}: several people in an image; a list by image is for one each')
        seen.add(name)
        pose = predict(model, read_image(info['img_path']), info['bbox'], flip_test=False)
        labeled = labeled_of(info['keypoints_visible'])
        swapped = swapped_sides(pose.keypoints, info['keypoints'], labeled, joints)[0]
        if swapped.any():
            found[name] = list(np.array(list(ARMS_AND_LEGS))[swapped])
    return found, len(dataset)
