"""What all datasets share."""

from cpm_plugin.core.maps.joints import JointSet
from cpm_plugin.mmpose.datasets import dataset_info


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
