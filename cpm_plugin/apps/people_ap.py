"""COCO's average precision over the joints that COCO and LSP share, for a way to find people."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from xtcocotools.coco import COCO as Annotations
from xtcocotools.cocoeval import COCOeval

from ..core.maps.joint_sets import COCO
from ..core.prediction import read_image
from .people_found import SHARED, Find

from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS


def average_precision(
    find: Find,
    file: Path,
    folder: Path,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> float:
    """Compute AP, the mean over thresholds of OKS from 0.5 to 0.95, of people in COCO's images.

    Only the joints of ``SHARED`` count, in the annotations and in the poses. People without any of
    them are ignored, as COCO ignores people without keypoints.

    Args:
        find: Function from an image (H, W, 3), BGR, to the poses in it, of any joints.
        file: File of annotations in COCO's format, with its 17 joints.
        folder: Folder of the images.
        progress: Passes the images on, with a progress bar.

    Returns:
        AP in percent.

    Raises:
        ValueError: If the file cannot be read or has other joints, an image cannot be read, or
            nobody has a shared joint.
    """
    channels = [COCO.index(name) for name in SHARED.names]
    try:
        content = json.loads(file.read_text())
        for person in content['annotations']:
            values = np.reshape(np.array(person['keypoints'], float), (len(COCO.names), 3))
            person['keypoints'] = values[channels].ravel().tolist()
            person['num_keypoints'] = int((values[channels, 2] > 0).sum())
            person['ignore'] = int(person['num_keypoints'] == 0)
        names = {image['id']: image['file_name'] for image in content['images']}
        (category,) = {person['category_id'] for person in content['annotations']}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{file}: no people in the format of COCO, with its 17 keypoints ({error})'
        ) from error
    if all(person['ignore'] for person in content['annotations']):
        raise ValueError(f'{file}: nobody has a joint from shoulder to ankle')
    found = []
    for number, name in progress(names.items()):
        poses = find(read_image(folder / name))
        own = [poses.joints.index(name) for name in SHARED.names]
        for points, scores in zip(poses.keypoints[:, own, :2], poses.scores[:, own]):
            values = np.column_stack([points, scores]).ravel().tolist()
            found.append(
                dict(
                    image_id=number,
                    category_id=category,
                    keypoints=values,
                    score=float(scores.mean()),
                )
            )
    if not found:
        return 0.0
    sigmas = parse_pose_metainfo(DATASETS.get('CocoDataset').METAINFO)['sigmas'][channels]
    truth = Annotations()
    truth.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), 'keypoints', sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * float(evaluation.stats[0])
