"""PeopleMask: where people have no labels, cells do not count."""

import numpy as np
import pytest

from cpm_plugin.core.maps.joint_sets import joint_set

from mmpose.datasets.transforms import BottomupGetHeatmapMask
from mmpose.registry import TRANSFORMS

WIDTH, HEIGHT = 48, 32
# Columns 8 to 23 and rows 0 to 15 of the image: cells 1 and 2, rows 0 and 1. COCO's run lengths go
# down the columns: 0 and 1 in turn.
POLYGON = [[8, 0, 24, 0, 24, 16, 8, 16]]
CROWD = {'size': [HEIGHT, WIDTH], 'counts': [8 * HEIGHT, *[16, 16] * 15, 16, 16 + 24 * HEIGHT]}


def masked(segs, mask=None, **results):
    """Cells that do not count, as a list of (row, column)."""
    results = dict(
        img_shape=(HEIGHT, WIDTH), invalid_segs=segs,
        heatmaps=np.zeros((3, HEIGHT // 8, WIDTH // 8)), **results,
    )  # fmt: skip
    found = (mask or TRANSFORMS.build(dict(type='PeopleMask'))).transform(results)['heatmap_mask']
    if mask is None:
        assert found.shape == (1, HEIGHT // 8, WIDTH // 8) and found.dtype == bool
        found = found[0]
    return np.argwhere(~found).tolist()


CELLS = [[0, 1], [0, 2], [1, 1], [1, 2]]


@pytest.mark.parametrize('segs', [[POLYGON], [CROWD], [None, CROWD, POLYGON, []]])
def test_people_without_keypoints_and_crowds(segs):
    assert masked(segs) == CELLS


def test_nobody_is_masked_without_need():
    assert masked([]) == masked([None]) == []


def test_stock_passes_crowds_over():
    """Why there is a transform of its own; when this fails, stock's may do."""
    straight = dict(
        warp_mat=np.array([[1.0, 0, 0], [0, 1, 0]]), input_size=(WIDTH, HEIGHT),
    )  # fmt: skip
    assert masked([POLYGON], BottomupGetHeatmapMask(), **straight) == CELLS
    assert masked([CROWD], BottomupGetHeatmapMask(), **straight) == []
    with pytest.raises(Exception, match='bool is not supported'):
        masked([POLYGON], BottomupGetHeatmapMask(), input_size=(WIDTH, HEIGHT))


def test_the_mask_goes_with_the_image():
    mirrored = dict(flip=True, flip_direction='horizontal')
    assert masked([CROWD], **mirrored) == [[0, 3], [0, 4], [1, 3], [1, 4]]
    lower = dict(warp_mat=np.array([[1.0, 0, 0], [0, 1, 8]]), input_size=(WIDTH, HEIGHT))
    above = [[0, column] for column in range(6)]  # from outside the image
    assert masked([CROWD], **lower) == [*above, [1, 1], [1, 2], [2, 1], [2, 2]]
    # first moved, then mirrored
    right = dict(warp_mat=np.array([[1.0, 0, 8], [0, 1, 0]]), input_size=(WIDTH, HEIGHT))
    found = masked([CROWD], **right, **mirrored)
    assert found == [[0, 2], [0, 3], [0, 5], [1, 2], [1, 3], [1, 5], [2, 5], [3, 5]]
    with pytest.raises(ValueError, match=r"flip_direction='vertical'.*direction='horizontal'"):
        masked([], flip=True, flip_direction='vertical')


def test_a_cell_counts_if_more_than_half_of_it_does():
    for columns, cells in ((4, [[0, 1]]), (3, [])):  # of 8, over a whole row of cells
        outline = [8, 0, 8 + columns, 0, 8 + columns, 8, 8, 8]
        assert masked([[outline]]) == cells


def test_maps_of_unknown_joints_their_limbs_and_the_background_do_not_count():
    joints = joint_set('lsp')
    unknown = np.array([name == 'head_top' for name in joints.names])
    step = TRANSFORMS.build(dict(type='PeopleMask', joints='lsp'))

    def channels(**results):
        found = step.transform(
            dict(
                img_shape=(8, 16), invalid_segs=[[[0, 0, 8, 0, 8, 8, 0, 8]]],
                heatmaps=np.zeros((15, 1, 2)), affinity_fields=np.zeros((26, 1, 2)), **results,
            )
        )['heatmap_mask']  # fmt: skip
        assert found.shape == (14 + 1 + 26, 1, 2) and not found[:, 0, 0].any()  # the person
        return np.flatnonzero(~found[:, 0, 1]).tolist()

    head = joints.limbs.index(('neck', 'head_top'))
    expected = [joints.names.index('head_top'), 14, 15 + 2 * head, 16 + 2 * head]
    assert channels(unknown_joints=unknown) == expected
    assert channels(unknown_joints=np.zeros(14, bool)) == channels() == []
