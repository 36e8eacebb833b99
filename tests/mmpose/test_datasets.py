"""What all datasets share."""

import numpy as np
import pytest
from cpm_testing.data import coco_content, write_coco, write_lsp

from cpm_plugin.core.maps.joint_sets import joint_set
from cpm_plugin.core.maps.joints import JointSet
from cpm_plugin.mmpose.datasets import CombinedPoseDataset, dataset_info


def test_colors_follow_the_side():
    info = dataset_info(
        JointSet(
            ('left_hip', 'right_hip', 'neck'), (('left_hip', 'right_hip'), ('neck', 'left_hip'))
        ),
        dataset_name='x',
    )
    colors = [info['keypoint_info'][channel]['color'] for channel in range(3)]
    assert colors == [[0, 255, 0], [255, 128, 0], [51, 153, 255]]
    assert [info['skeleton_info'][link]['color'] for link in (0, 1)] == [
        [51, 153, 255],  # between the sides
        [0, 255, 0],
    ]
    assert info['keypoint_info'][0]['swap'] == 'right_hip'
    assert info['keypoint_info'][2]['swap'] == ''
    assert [info['keypoint_info'][channel]['type'] for channel in range(3)] == [
        'lower',
        'lower',
        'upper',
    ]


def test_datasets_of_other_joints_are_combined(tmp_path):
    """Mosaics of LSP Extended and an image of COCO, for a network with LSP's joints."""
    (tmp_path / 'lspet').mkdir()
    (tmp_path / 'coco').mkdir()
    points = np.tile(np.linspace((6, 7), (22, 15), 14), (3, 1, 1))
    write_lsp(tmp_path / 'lspet', points, np.ones((3, 14)))
    joints = [[4 + 2 * number, 5, 2] for number in range(17)]
    person = dict(
        id=1, image_id=1, category_id=1, iscrowd=0, num_keypoints=17, area=400.0,
        bbox=[2, 2, 40, 10], keypoints=np.ravel(joints).tolist(), segmentation=[],
    )  # fmt: skip
    write_coco(tmp_path / 'coco', coco_content([person], 1, (48, 32)))
    codec = dict(type='CPMAffinityFields', input_size=(64, 64), heatmap_size=(8, 8), joints='lsp')
    mosaic = dict(type='MosaicPeople', size=(64, 64), grid=(2, 2))
    select = dict(type='SelectJoints', source='coco', target='lsp', partial=True)
    dataset = CombinedPoseDataset(
        'lsp',
        [
            dict(type='LspDataset', data_root=str(tmp_path / 'lspet'), pipeline=[mosaic]),
            dict(
                type='CocoDataset', data_root=str(tmp_path / 'coco'), ann_file='people.json',
                data_prefix=dict(img=''), data_mode='bottomup',
                pipeline=[dict(type='LoadImage'), select],
            ),
        ],
        pipeline=[
            dict(type='BottomupRandomAffine', input_size=(64, 64)),
            dict(type='RandomFlip', direction='horizontal'),
            dict(type='GenerateTarget', encoder=codec),
            dict(type='PeopleMask', joints='lsp'),
            dict(type='PackPoseInputs'),
        ],
    )  # fmt: skip
    assert len(dataset) == 4
    names = joint_set('lsp').names
    assert tuple(dataset.metainfo['keypoint_id2name'].values()) == names
    fields = [dataset[number]['data_samples'].gt_fields for number in (0, 3)]
    mosaic_fields, coco_fields = fields
    assert {one.heatmap_mask.shape for one in fields} == {(14 + 1 + 26, 8, 8)}
    head = names.index('head_top')
    assert mosaic_fields.heatmap_mask[head].any() and not coco_fields.heatmap_mask[head].any()
    assert coco_fields.heatmap_mask[names.index('neck')].any()
    assert coco_fields.heatmaps[names.index('neck')].max() > 0.1
    with pytest.raises(ValueError, match=r"CocoDataset gives the joints nose.*joints='lsp'"):
        CombinedPoseDataset(
            'lsp',
            [
                dict(
                    type='CocoDataset', data_root=str(tmp_path / 'coco'), ann_file='people.json',
                    data_prefix=dict(img=''), data_mode='bottomup',
                )
            ],
        )  # fmt: skip
    with pytest.raises(ValueError, match='no joint set'):
        CombinedPoseDataset('lps', [])
