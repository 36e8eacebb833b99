"""Small heads, their samples, and beliefs with known peaks."""

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from cpm_plugin.mmpose import CPMStageHead

from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

SIZE = (64, 48)  # of the image, width and height
CELLS = (8, 6)
FLIP = [1, 0, 2]  # left, right, middle


def slim_head(num_keypoints=3, num_stages=2, **arguments):
    sizes = dict(
        in_channels=4, channels=4, reduced_channels=4, first_stage_channels=8,
        reduce_kernel_size=3, first_stage_kernel_size=3, refine_kernel_size=3,
    )  # fmt: skip
    return CPMStageHead(
        num_keypoints=num_keypoints, num_stages=num_stages, **{**sizes, **arguments}
    )


def samples(weights, flip_indices=FLIP, background=None, **fields):
    """One sample per row of ``weights``; fields are (N, C, h, w)."""
    batch = []
    for index, row in enumerate(torch.as_tensor(weights, dtype=torch.float32)):
        sample = PoseDataSample(
            gt_instance_labels=InstanceData(keypoint_weights=row[None]),
            gt_fields=PixelData(**{name: maps[index] for name, maps in fields.items()}),
        )
        if background is not None:
            sample.gt_instance_labels.background_weights = torch.tensor([[background[index]]])
        sample.set_metainfo(
            dict(
                flip_indices=flip_indices,
                input_size=SIZE,
                input_center=np.array([100.0, 80.0]),
                input_scale=np.array([128.0, 96.0]),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=np.array([[36.0, 32.0, 164.0, 128.0]]), bbox_scores=np.ones(1)
        )
        batch.append(sample)
    return batch


def gives(head, beliefs, monkeypatch):
    """The head's forward returns these beliefs whatever it is given."""
    monkeypatch.setattr(head, 'forward', lambda feats: beliefs)
    return head


def peak_at(*cells, width=8, height=6):
    """A map for each (x, y): 1 there and 0 elsewhere; (1, K, height, width)."""
    maps = torch.zeros(1, len(cells), height, width)
    for channel, (x, y) in enumerate(cells):
        maps[0, channel, y, x] = 1
    return maps


def mirrored(keypoints):
    keypoints = keypoints[:, FLIP].copy()
    keypoints[..., 0] = SIZE[0] - 1 - keypoints[..., 0]
    return keypoints


def encoded(codec, keypoints):
    return torch.from_numpy(codec.encode(keypoints)['heatmaps'])[None]


CPM_CODEC = dict(type='CPMHeatmap', input_size=SIZE, heatmap_size=CELLS)
MSRA_CODEC = dict(type='MSRAHeatmap', input_size=SIZE, heatmap_size=CELLS, sigma=1 / 3)
ANYWHERE = np.array([[[21.25, 14.5], [37.75, 30.0], [30.5, 22.25]]])
# MSRAHeatmap rounds to cells at 8 g: there alone mirroring is exact
AT_CELLS = np.array([[[24.0, 24.0], [40.0, 16.0], [32.0, 24.0]]])


def estimator(**test_cfg):
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='CPMBackbone', channels=4, kernel_size=3, center_map_sigma=7.0),
            head=dict(
                type='CPMStageHead', in_channels=4, num_keypoints=3, num_stages=2,
                background=True, center_map=True, channels=4, reduced_channels=4,
                first_stage_channels=4, first_stage_kernel_size=3, refine_kernel_size=3,
                decoder=CPM_CODEC,
            ),
            test_cfg=test_cfg,
        )
    ).eval()  # fmt: skip
