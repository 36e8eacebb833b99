"""People found by a detector of MMDetection, for ``tools/demo.py``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .configs import named

from mmpose.apis.inferencers.utils import default_det_models
from mmpose.evaluation.functional import nms

# As in MMPose's inferencer (bbox_thr and nms_thr): smallest score of a person, and the largest
# overlap of two, as intersection over union.
_SCORE, _OVERLAP = 0.3, 0.3
# MMPose's own detector of people, which its inferencer takes by default.
PERSON_DETECTOR = 'rtmdet-m'

Detector = Callable[[np.ndarray], np.ndarray]


def load_detector(model: str, weights: str | Path | None, device: str) -> Detector:
    """Load a detector of people.

    Args:
        model: ``'rtmdet-m'`` for the one that MMPose's inferencer uses, else the path of a config
            of MMDetection.
        weights: Path or address of its weights. None for ``'rtmdet-m'`` downloads them.
        device: Device, such as ``'cpu'`` or ``'cuda:0'``.

    Returns:
        Function from an image (H, W, 3), BGR, to the boxes of the people in it: (N, 4), x1, y1,
            x2, y2 in image pixels, the surest first.

    Raises:
        ValueError: If MMDetection is missing, the config or the weights cannot be read, or the
            detector does not know people.
    """
    try:
        from mmdet.apis import DetInferencer
    except ImportError as error:
        raise ValueError(f'--det {model} needs MMDetection: pip install mmdet ({error})') from error
    config = model
    if model == PERSON_DETECTOR:
        config = default_det_models['human']['model']
        weights = weights or default_det_models['human']['weights']
    elif not Path(model).is_file():
        raise ValueError(
            f'--det {model}: no such file; give {PERSON_DETECTOR} or a config of MMDetection'
        )
    if weights is None:
        raise ValueError(f'--det {model}: give the weights of this detector with --det-weights')
    if '://' not in str(weights) and not Path(weights).is_file():
        raise ValueError(f'--det-weights {weights}: no such file')
    with named(config):
        inferencer = DetInferencer(
            config, str(weights), device=device, scope='mmdet', show_progress=False
        )
    classes = inferencer.model.dataset_meta.get('classes', ())
    if 'person' not in classes:
        raise ValueError(
            f'--det {model}: it finds {", ".join(classes[:5])}, and no person; give a detector '
            "with the class 'person'"
        )
    person = classes.index('person')

    def detect(image: np.ndarray) -> np.ndarray:
        found = inferencer(image, return_datasamples=True, no_save_vis=True, no_save_pred=True)
        return people_of(found['predictions'][0].pred_instances.cpu().numpy(), person)

    return detect


def people_of(found: Any, person: int) -> np.ndarray:
    """Choose the people among detections.

    Args:
        found: ``bboxes`` (N, 4), ``scores`` (N,) and ``labels`` (N,).
        person: Label of people.

    Returns:
        (M, 4), boxes with a score of at least 0.3, none of which overlaps a surer one by more than
            0.3, the surest first.
    """
    people = (found.labels == person) & (found.scores >= _SCORE)
    boxes = np.column_stack([found.bboxes, found.scores])[people]
    return boxes[nms(boxes, _OVERLAP), :4]
