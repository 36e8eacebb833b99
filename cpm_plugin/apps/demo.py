"""Prediction of poses in images and videos, for ``tools/demo.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from ..core.models.inference import optimize_for_inference
from .configs import build_model, read_config
from .person_search import box_around, find_person
from .show_stages import person_figure

from mmpose.structures import PoseDataSample, merge_data_samples, split_instances

# Below this mean belief, the person of the previous frame is searched for in the whole image.
_LOST = 0.15


def load_model(config: str | Path, weights: str | Path, device: str = 'cpu') -> Any:
    """Load an MMPose model for ``predict``, with our components optimized for inference.

    Args:
        config: Path of the config.
        weights: Path of the checkpoint.
        device: Device, such as ``'cpu'`` or ``'cuda:0'``.

    Returns:
        A ``TopdownPoseEstimator``.

    Raises:
        ValueError: If the config or the checkpoint cannot be read, or they do not fit.
    """
    model = build_model(read_config(config, needs=('model', 'test_dataloader')), weights, device)
    init_default_scope(model.cfg.default_scope)
    return optimize_for_inference(model, inplace=True)


def parse_boxes(arguments: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the bounding boxes of ``--boxes``: a JSON file, or one box for each argument.

    The file maps names of images, without their folders, to lists of boxes. A box is x1, y1,
    x2, y2 in image pixels. Boxes that are given directly have the name ``''`` and are for all
    images.

    Args:
        arguments: Arguments of ``--boxes``.

    Returns:
        Names -> (N, 4).

    Raises:
        ValueError: If something is not a box. The message names it.
    """
    given: Any
    if not arguments:
        named = {}
    elif len(arguments) == 1 and arguments[0].endswith('.json'):
        try:
            given = json.loads(Path(arguments[0]).read_text())
            named = {str(name): boxes for name, boxes in given.items()}
        except (OSError, AttributeError, ValueError, RecursionError) as error:
            raise ValueError(
                f'{arguments[0]} is no file of boxes ({error}); it should contain '
                '{"image.jpg": [[x1, y1, x2, y2], ...], ...}'
            ) from error
    else:
        named = {'': [argument.split(',') for argument in arguments]}
    return {name: _boxes(name, boxes) for name, boxes in named.items()}


def _boxes(name: str, boxes: Any) -> np.ndarray:
    """Convert boxes to an array (N, 4); raise ValueError that names the first that is no box."""
    of = f' of {name}' if name else ''
    if not isinstance(boxes, list):
        raise ValueError(f'boxes {boxes}{of}: not a list of boxes; a box is x1,y1,x2,y2')
    array = np.zeros((len(boxes), 4), np.float32)
    for row, box in zip(array, boxes):
        given = ','.join(map(str, box)) if isinstance(box, list) else box
        try:
            numbers = [float(number) for number in box]
            if len(numbers) != 4:
                raise ValueError(f'{len(numbers)} numbers')
            row[:] = numbers
            if not np.isfinite(row).all():
                raise ValueError('not finite')
            if not (row[2:] > row[:2]).all():
                raise ValueError('x2 must be larger than x1, y2 than y1')
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f'box {given}{of}: {error}; a box is x1,y1,x2,y2') from error
    return array


def check_inside(boxes: np.ndarray, width: int, height: int) -> None:
    """Check that no bounding box lies outside an image, where nobody can be found.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in image pixels.
        width: Width of the image in pixels.
        height: Height of the image in pixels.

    Raises:
        ValueError: If a box has no part inside. The message names it and the size of the image.
    """
    for box in boxes:
        if not (box[2:] > 0).all() or not (box[:2] < (width, height)).all():
            raise ValueError(
                f'box {",".join(f"{v:g}" for v in box)} is outside the image, which is {width} '
                f'pixels wide and {height} high; give boxes in pixels of this image'
            )


def crops_of(model: Any, image: np.ndarray, boxes: np.ndarray) -> dict[str, Any]:
    """Make the inputs of the network, as a test data loader makes them.

    Args:
        model: Model of ``load_model``.
        image: (H, W, 3), BGR.
        boxes: (N, 4), x1, y1, x2, y2 in image pixels.

    Returns:
        Batch with N samples.
    """
    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    people = [
        dict(
            img=image,
            bbox=box[None].astype(np.float32),
            bbox_score=np.ones(1, np.float32),
            **model.dataset_meta,
        )
        for box in boxes
    ]
    return pseudo_collate([pipeline(person) for person in people])


@torch.no_grad()
def predict(
    model: Any,
    image: np.ndarray,
    boxes: np.ndarray,
    *,
    batch_size: int = 32,
    flip_test: bool = True,
) -> PoseDataSample:
    """Predict the poses of the people in bounding boxes.

    Args:
        model: Model of ``load_model``.
        image: (H, W, 3), BGR.
        boxes: (N, 4), x1, y1, x2, y2 in image pixels, with N >= 1.
        batch_size: Largest number of people in a batch.
        flip_test: False leaves the flip test out, if the config has it. It takes half the time.

    Returns:
        Data sample with ``pred_instances`` of N people: ``keypoints`` (N, K, 2) in image pixels,
            and ``keypoint_scores`` (N, K), the peaks of their belief maps.
    """
    samples: list[PoseDataSample] = []
    configured = model.test_cfg
    try:
        if not flip_test:
            model.test_cfg = {**configured, 'flip_test': False}
        for start in range(0, len(boxes), batch_size):
            samples += model.test_step(crops_of(model, image, boxes[start : start + batch_size]))
    finally:
        model.test_cfg = configured
    return merge_data_samples(samples)


def find_people(model: Any, image: np.ndarray, before: np.ndarray | None = None) -> Any:
    """Find the one person of an image by ``cpm_plugin.apps.person_search``, and predict the pose.

    Args:
        model: Model of ``load_model``.
        image: (H, W, 3), BGR.
        before: Box (1, 4) of the person in the previous frame of a video. The search begins there.

    Returns:
        The box (1, 4) in image pixels, and the prediction in it; see ``predict``.
    """

    def look(boxes: np.ndarray) -> Any:
        return predict(model, image, boxes, flip_test=False).pred_instances

    height, width = image.shape[:2]
    if before is not None:
        found = look(before)
        if found.keypoint_scores.mean() >= _LOST:
            box = box_around(found.keypoints[0], found.keypoint_scores[0])[None]
            return box, predict(model, image, box)
    box = find_person(look, width, height)[None]
    return box, predict(model, image, box)


def draw_poses(
    image: np.ndarray, people: PoseDataSample, meta: Mapping[str, Any], threshold: float
) -> np.ndarray:
    """Draw the skeletons of people on an image, with wider lines for larger people.

    Args:
        image: (H, W, 3), BGR. It is not changed.
        people: Result of ``predict``.
        meta: Meta information of the dataset, with ``skeleton_links`` and colors.
        threshold: Joints with a lower score are not drawn, nor are bones that end in them.

    Returns:
        (H, W, 3), BGR.
    """
    drawn = image.copy()
    found = people.pred_instances
    for points, scores, box in zip(found.keypoints, found.keypoint_scores, found.bboxes):
        width = max(1, round(float(max(box[2:] - box[:2])) / 100))
        ends = [tuple(round(float(v)) for v in point) for point in points]
        for (a, b), color in zip(meta['skeleton_links'], meta['skeleton_link_colors']):
            if min(scores[a], scores[b]) >= threshold:
                color = [int(c) for c in color[::-1]]
                cv2.line(drawn, ends[a], ends[b], color, width, cv2.LINE_AA)
        for end, score, color in zip(ends, scores, meta['keypoint_colors']):
            if score >= threshold:
                cv2.circle(drawn, end, width + 1, [int(c) for c in color[::-1]], -1, cv2.LINE_AA)
    return drawn


def joints_drawn(people: PoseDataSample, image: np.ndarray, threshold: float) -> np.ndarray:
    """Tell which joints ``draw_poses`` draws.

    Args:
        people: Result of ``predict``.
        image: (H, W, 3).
        threshold: Joints with a lower score are not drawn.

    Returns:
        (N, K), whether the joint has that score and lies inside the image.
    """
    found = people.pred_instances
    points = np.round(found.keypoints)
    inside = ((points >= 0) & (points < np.array(image.shape[1::-1]))).all(axis=2)
    return inside & (found.keypoint_scores >= threshold)


def as_json(people: PoseDataSample) -> list[dict[str, Any]]:
    """Convert predictions to the JSON format of MMPose's inferencer.

    Args:
        people: Result of ``predict``.

    Returns:
        ``keypoints``, ``keypoint_scores``, ``bbox`` and ``bbox_score`` of each person.
    """
    return json.loads(json.dumps(split_instances(people.pred_instances), default=float))


def stages_figure(model: Any, image: np.ndarray, box: np.ndarray) -> Any:
    """Draw the belief maps of each stage for the person in a bounding box.

    Args:
        model: Model of ``load_model``.
        image: (H, W, 3), BGR.
        box: (4,), x1, y1, x2, y2 in image pixels.

    Returns:
        A matplotlib figure.
    """
    return person_figure(model, crops_of(model, image, box[None]), model.dataset_meta)
