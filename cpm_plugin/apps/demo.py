"""Images and videos in, poses out: what ``tools/demo.py`` is made of."""

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
from .person_search import box_around, find_person
from .show_stages import person_figure

from mmpose.apis import init_model
from mmpose.structures import PoseDataSample, merge_data_samples, split_instances

# A mean belief below which the person of the frame before is looked for in the whole image.
_LOST = 0.15


def load_model(config: str | Path, weights: str | Path, device: str = 'cpu') -> Any:
    """An MMPose estimator for ``predict``, of our parts optimized for inference."""
    model = init_model(str(config), str(weights), device=device)
    init_default_scope(model.cfg.get('default_scope', 'mmpose'))
    return optimize_for_inference(model, inplace=True)


def parse_boxes(arguments: Sequence[str]) -> dict[str, np.ndarray]:
    """Boxes of people, of ``--boxes``: a JSON file, or a box for each argument.

    The file maps names of images, without their folders, to lists of boxes. A box is x1, y1,
    x2, y2 in pixels of the image. Boxes given by themselves are under the name ``''``, for all.

    Returns:
        names -> (N, 4).

    Raises:
        ValueError: Naming what is no box.
    """
    given: Any
    if not arguments:
        named = {}
    elif len(arguments) == 1 and arguments[0].endswith('.json'):
        try:
            given = json.loads(Path(arguments[0]).read_text())
            named = {str(name): boxes for name, boxes in given.items()}
        except (OSError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(
                f'{arguments[0]} is no file of boxes ({error}); it should hold '
                '{"image.jpg": [[x1, y1, x2, y2], ...], ...}'
            ) from error
    else:
        named = {'': [argument.split(',') for argument in arguments]}
    return {name: _boxes(name, boxes) for name, boxes in named.items()}


def _boxes(name: str, boxes: Any) -> np.ndarray:
    try:
        array = np.array(boxes, dtype=np.float32).reshape(len(boxes), 4)
        if not np.isfinite(array).all():
            raise ValueError('not finite')
        if not (array[:, 2:] > array[:, :2]).all():
            raise ValueError('x2 must be larger than x1, y2 than y1')
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'boxes {boxes}{f" of {name}" if name else ""}: {error}; a box is x1,y1,x2,y2'
        ) from error
    return array


def crops_of(model: Any, image: np.ndarray, boxes: np.ndarray) -> dict[str, Any]:
    """The network's inputs, as a test data loader gives them.

    Args:
        image: (H, W, 3) BGR.
        boxes: (N, 4), x1, y1, x2, y2.
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
    """Poses of the people in boxes.

    Args:
        image: (H, W, 3) BGR.
        boxes: (N, 4), x1, y1, x2, y2 in pixels, N at least 1.
        flip_test: False leaves it out where the config has it, for half the time.

    Returns:
        A data sample with ``pred_instances`` of N people: keypoints (N, K, 2) in pixels of the
        image, keypoint_scores (N, K), the peaks of their belief maps.
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
    """The one person of an image, by ``cpm_plugin.apps.person_search``.

    Args:
        before: The box in the frame before, of a video; there it looks first.

    Returns:
        The box (1, 4), and the prediction in it.
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
    """An image with the skeletons of people on it, lines as wide as the people are large.

    Args:
        image: (H, W, 3) BGR.
        people: Of ``predict``.
        meta: The dataset's, with ``skeleton_links`` and colors.
        threshold: Joints of a lower score, and bones that end in them, are not drawn.
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


def as_json(people: PoseDataSample) -> list[dict[str, Any]]:
    """People as MMPose's inferencer writes them: ``keypoints``, ``keypoint_scores``, ``bbox``,
    ``bbox_score`` of each."""
    return json.loads(json.dumps(split_instances(people.pred_instances), default=float))


def stages_figure(model: Any, image: np.ndarray, box: np.ndarray) -> Any:
    """The belief maps of each stage for the person in a box, a matplotlib figure."""
    return person_figure(model, crops_of(model, image, box[None]), model.dataset_meta)
