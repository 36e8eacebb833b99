"""PCK of the mean pose: people who stand alike, and one joint that does not."""

import numpy as np
import pytest
from cpm_testing.data import write_lsp
from cpm_testing.registries import registered
from mmengine.config import Config

from cpm_plugin.apps.mean_pose import annotations_of, mean_pose_pck
from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose import LspDataset

from mmpose.registry import DATASETS


@pytest.fixture
def root(tmp_path):
    """A person; the same one twice as large and elsewhere, and again with another left elbow."""
    pose = np.random.default_rng(0).uniform(20, 50, (14, 2))
    pose[LSP.index('right_ankle')], pose[LSP.index('head_top')] = (10, 10), (60, 60)
    points = np.stack([pose, 2 * pose + 30, 2 * pose + 30])
    points[2, LSP.index('left_elbow')] = (145, 55)  # inside the box
    labeled = np.ones((3, 14))
    labeled[1, LSP.index('neck')] = 0
    return write_lsp(tmp_path, points, labeled)


def config(root, test='LspDataset'):
    common = dict(data_root=str(root), box_margin=0.0)
    train = dict(type='LspDataset', image_range=(1, 1), **common)
    return Config(
        dict(
            default_scope='mmpose',
            train_dataloader=dict(dataset=train),
            test_dataloader=dict(dataset=dict(type=test, image_range=(2, 3), **common)),
        )
    )


def test_annotations_are_keypoints_labels_and_boxes(root):
    people = DATASETS.build(config(root).test_dataloader.dataset)
    keypoints, labeled, boxes = annotations_of(people)
    assert keypoints.shape == (2, 14, 2) and keypoints[1, LSP.index('left_elbow'), 0] == 145
    assert np.argwhere(~labeled).tolist() == [[0, LSP.index('neck')]]
    assert boxes.tolist() == [[50, 50, 150, 150]] * 2


def test_one_of_the_labeled_joints_is_elsewhere(root):
    pck = mean_pose_pck(config(root))
    assert pck.mean == pytest.approx(100 * 26 / 27)


def test_detected_boxes_are_refused(root):
    class Detected(LspDataset):
        def get_data_info(self, index):
            info = super().get_data_info(index)
            return {key: value for key, value in info.items() if key != 'keypoints'}

    with (
        registered(DATASETS, Detected),
        pytest.raises(ValueError, match='detected boxes without keypoints'),
    ):
        mean_pose_pck(config(root, 'Detected'))
