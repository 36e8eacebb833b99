"""Structures fitted to a config's training set, relative to the crop of its test."""

import numpy as np
import pytest
from cpm_testing.data import write_lsp
from mmengine.config import Config

from cpm_plugin.apps.fit_structure import crop_heights, fit_to_config
from cpm_plugin.core.maps.joint_sets import CPM, LSP


@pytest.fixture
def config(tmp_path):
    """Two people of the same pose, one twice as large, in boxes of 100 and 200 pixels."""
    pose = np.random.default_rng(0).uniform(20, 90, (14, 2))
    pose[LSP.index('right_ankle')], pose[LSP.index('head_top')] = (10, 10), (110, 100)
    root = write_lsp(tmp_path, np.stack([pose, 2 * pose + 30]), np.ones((2, 14)))
    data = dict(type='LspDataset', data_root=str(root), box_margin=0.0)
    return Config(
        dict(
            default_scope='mmpose',
            model=dict(head=dict(decoder=dict(input_size=(64, 64)))),
            train_dataloader=dict(dataset=data),
            test_dataloader=dict(
                dataset=dict(data, pipeline=[dict(type='GetBBoxCenterScale', padding=1.6)])
            ),
            pose=pose.tolist(),
        )
    )


def test_offsets_are_in_units_of_the_crop(config):
    structure, people = fit_to_config(config, 'tree')
    assert people == 2 and structure.joints == LSP.names and structure.springs == LSP.limbs
    pose = np.array(config.pose)
    for (first, second), mean in zip(structure.springs, structure.means):
        offset = pose[LSP.index(second)] - pose[LSP.index(first)]
        np.testing.assert_allclose(mean, offset / 160, atol=1e-6)
    assert np.array(structure.variances).max() < 1e-5


def test_the_joints_are_those_of_the_head(config):
    config.model.head.joints = 'cpm'
    structure, _ = fit_to_config(config, 'non-tree', quantile=0.5)
    assert structure.joints == CPM.names and len(structure.distances) == 4
    pose = np.array(config.pose)
    ends = pose[[LSP.index('left_knee'), LSP.index('right_knee')]]
    assert structure.distances[2] == pytest.approx(
        np.linalg.norm(ends[0] - ends[1]) / 160, abs=1e-6
    )


def test_heights_of_crops_by_hand(config):
    boxes = np.array([[0, 0, 100, 50], [10, 10, 20, 50]])
    assert crop_heights(config, boxes).tolist() == [160, 64]
    config.model.head.decoder.input_size = (48, 64)
    np.testing.assert_allclose(crop_heights(config, boxes), [1.6 * 100 * 64 / 48, 64])
    del config.test_dataloader.dataset.pipeline[0]['padding']
    np.testing.assert_allclose(crop_heights(config, boxes)[1], 50)


def test_what_cannot_be_fitted_is_named(config):
    with pytest.raises(ValueError, match="no kind 'forest'; there are: tree, hierarchical"):
        fit_to_config(config, 'forest')
    config.train_dataloader.dataset.image_range = (1, 1)
    with pytest.raises(ValueError, match='1 poses with both neck and head_top labeled'):
        fit_to_config(config, 'tree')
    config.test_dataloader.dataset.pipeline[0].type = 'GetPersonCenterScale'
    with pytest.raises(ValueError, match='no GetBBoxCenterScale in the pipeline'):
        fit_to_config(config, 'tree')
    config.model.head.decoder = None
    with pytest.raises(ValueError, match='no input_size in model'):
        fit_to_config(config, 'tree')
