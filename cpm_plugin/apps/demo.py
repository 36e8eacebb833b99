"""Prediction of poses in images and videos, for ``tools/demo.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from ..core.models import AffinityPoseMachine, create_model
from ..core.models.affinity_models import AFFINITY_MODELS
from ..core.models.inference import optimize_for_inference
from ..core.prediction import Poses, propose_people
from ..core.prediction.proposals import image_maps, people_in
from ..mmpose.metrics import joints_of
from .configs import build_model, read_config
from .field_panels import fields_figure
from .second_look import SCALED, look_for_people
from .stage_figures import person_figure

from mmpose.structures import PoseDataSample, merge_data_samples


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
) -> Poses:
    """Predict the poses of the people in bounding boxes.

    Args:
        model: Model of ``load_model``.
        image: (H, W, 3), BGR.
        boxes: (N, 4), x1, y1, x2, y2 in image pixels.
        batch_size: Largest number of people in a batch.
        flip_test: False leaves the flip test out, if the config has it. It takes half the time.

    Returns:
        The poses of N people.
    """
    joints = joints_of(model.dataset_meta)
    if not len(boxes):
        nobody = np.zeros((0, len(joints.names)))
        return Poses(np.zeros((*nobody.shape, 2)), nobody, np.zeros((0, 4)), joints, image)
    samples: list[PoseDataSample] = []
    configured = model.test_cfg
    try:
        if not flip_test:
            model.test_cfg = {**configured, 'flip_test': False}
        for start in range(0, len(boxes), batch_size):
            samples += model.test_step(crops_of(model, image, boxes[start : start + batch_size]))
    finally:
        model.test_cfg = configured
    found = merge_data_samples(samples).pred_instances
    return Poses(found.keypoints, found.keypoint_scores, found.bboxes, joints, image)


def find_everybody(
    model: Any, image: np.ndarray, network: AffinityPoseMachine, **proposal: Any
) -> Poses:
    """Find all people of an image by a network for several people, and predict their poses.

    Args:
        model: Model of ``load_model``.
        image: (H, W, 3), BGR.
        network: Trained network with joints and limbs, in evaluation mode.
        **proposal: Arguments of ``propose_people``.

    Returns:
        The poses of N people, as ``look_for_people`` says.

    Raises:
        ValueError: If the network cannot be used.
    """

    def look(boxes: np.ndarray, flip_test: bool) -> Poses:
        return predict(model, image, boxes, flip_test=flip_test)

    return look_for_people(image, network, look, **proposal)


@dataclass(frozen=True)
class DetectedPeople:
    """People found by a detector.

    Attributes:
        detect: Function from an image (H, W, 3), BGR, to the boxes (N, 4) of the people in it.
    """

    detect: Callable[[np.ndarray], np.ndarray]

    def poses(self, model: Any, image: np.ndarray) -> Poses:
        """Return the poses of everybody in an image (H, W, 3), BGR."""
        return predict(model, image, self.detect(image))


@dataclass(frozen=True)
class SeveralPeople:
    """People found by a network for several people.

    Attributes:
        network: Trained network, see ``propose_people``.
        alone: Whether its poses are taken as they are. If not, the model for one person looks at
            the box of each.
    """

    network: AffinityPoseMachine
    alone: bool = False

    def poses(self, model: Any, image: np.ndarray) -> Poses:
        """Return the poses of everybody in an image (H, W, 3), BGR."""
        if self.alone:
            return propose_people(image, self.network, **SCALED)
        return find_everybody(model, image, self.network)


def load_network(name: str, weights: str | Path | None, device: str) -> AffinityPoseMachine:
    """Load a network for several people, optimized for inference.

    Args:
        name: Name of a model with part affinity fields, see ``create_model``.
        weights: Path of a checkpoint of it. None: the weights of the package.
        device: Device, such as ``'cpu'`` or ``'cuda:0'``.

    Returns:
        The network.

    Raises:
        ValueError: If there is no such model, it is for one person, or the weights are not there or
            do not fit.
    """
    network = create_model(name, pretrained=weights is None, checkpoint=weights)
    if not isinstance(network, AffinityPoseMachine):
        raise ValueError(
            f'{name!r} is for one person; give a model for several: {", ".join(AFFINITY_MODELS)}'
        )
    return optimize_for_inference(network, inplace=True).to(device)


def fields_of_image(image: np.ndarray, network: AffinityPoseMachine) -> Any:
    """Draw belief maps and part affinity fields of an image, and the people they give.

    Args:
        image: (H, W, 3), BGR.
        network: See ``propose_people``.

    Returns:
        The matplotlib figure of ``fields_figure``.
    """
    maps = image_maps(image, network, **SCALED)
    return fields_figure(maps, people_in(maps, image, network))


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
