"""Belief maps of every stage of an MMPose model, and images of them; for hooks and apps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

SIDE = 128  # width of a column of ``draw_belief_rows`` in pixels


def stage_beliefs(model: Any, batch: dict[str, Any]) -> tuple[list[torch.Tensor], Any]:
    """Compute the belief maps of every stage, with flip test if the config has it.

    Args:
        model: A ``TopdownPoseEstimator`` with a ``CPMStageHead``.
        batch: Batch of a test data loader.

    Returns:
        T tensors (N, K, h, w), and the N data samples.
    """
    data = model.data_preprocessor(batch, False)
    inputs, samples = data['inputs'], data['data_samples']
    features: Any = model.extract_feat(inputs)
    if model.test_cfg.get('flip_test', False):
        features = [features, model.extract_feat(inputs.flip(-1))]
    return model.head.keypoint_beliefs(features, samples, model.test_cfg), samples


def crop_of(inputs: torch.Tensor) -> np.ndarray:
    """Return the image in a network input, as it is before the preprocessor.

    Args:
        inputs: (3 or more, H, W), BGR, from 0 to 255, as pipelines pack it.

    Returns:
        (H, W, 3), RGB, from 0 to 255.
    """
    image: np.ndarray = inputs[:3].byte().cpu().numpy().transpose(1, 2, 0)[..., ::-1]
    return image


def draw_belief_rows(crops: Sequence[np.ndarray], columns: Sequence[np.ndarray]) -> np.ndarray:
    """Draw an image with one row for each person: the crop, then the maps of each column over it.

    Args:
        crops: N arrays (H, W, 3), RGB, from 0 to 255.
        columns: Arrays (N, K, h, w), of a target or of a stage. The largest of the K values is
            drawn: 0 as the crop in gray, 1 as white.

    Returns:
        (N x SIDE x H / W, (1 + columns) x SIDE, 3), RGB, from 0 to 255.
    """
    rows = []
    for number, crop in enumerate(crops):
        height = round(SIDE * crop.shape[0] / crop.shape[1])
        small = cv2.resize(crop, (SIDE, height), interpolation=cv2.INTER_AREA)
        gray = np.repeat(small.mean(axis=2, keepdims=True), 3, axis=2) * 0.5
        tiles = [small]
        for maps in columns:
            heat = maps[number].max(axis=0).clip(0, 1)
            heat = cv2.resize(heat, (SIDE, height), interpolation=cv2.INTER_LINEAR)
            color = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_HOT)[..., ::-1]
            weight = np.sqrt(heat)[..., None]
            tiles.append((gray * (1 - weight) + color * weight).round().astype(np.uint8))
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)
