"""LspDataset: both layouts of the published data, read from tiny files."""

import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from cpm_testing.data import write_lsp
from scipy.io import savemat

from cpm_plugin.core.evaluation.person_scale import limb_ratios, mpii_like_scales
from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose import LspDataset
from cpm_plugin.mmpose.lsp import box_of_joints, image_middle, read_joints

from mmpose.registry import DATASETS

COUNT = 5


def positions():
    """(5, 14, 2): joint k of image n at (10 n + k, 100 + 20 n + 2 k), n from 1."""
    n, k = np.meshgrid(np.arange(1, COUNT + 1), np.arange(14), indexing='ij')
    return np.stack([10 * n + k, 100 + 20 * n + 2 * k], axis=-1).astype(float)


def write(root, third_row, layout='lspet', images=None, points=None):
    """``write_lsp`` of five images; third_row is (5, 14)."""
    return write_lsp(root, positions() if points is None else points, third_row, layout, images)


def build(root, **arguments):
    return DATASETS.build(dict(dict(type='LspDataset', data_root=str(root)), **arguments))


@pytest.fixture
def marks():
    """Third row: image 2 has no mark at joint 3 and 4, image 4 none at all."""
    marks = np.ones((COUNT, 14))
    marks[1, [3, 4]] = 0
    marks[3] = 0
    return marks


# -- layouts


def test_lspet_third_row_says_labeled(tmp_path, marks):
    people = build(write(tmp_path, marks))
    assert len(people) == 4  # image 4 has no labeled joint
    infos = [people.get_data_info(index) for index in range(4)]
    assert [info['img_id'] for info in infos] == [1, 2, 3, 5]
    assert [info['id'] for info in infos] == [1, 2, 3, 5]
    assert infos[0]['keypoints'].shape == (1, 14, 2)
    np.testing.assert_array_equal(infos[0]['keypoints'][0], positions()[0])
    np.testing.assert_array_equal(infos[3]['keypoints'][0], positions()[4])
    np.testing.assert_array_equal(infos[1]['keypoints_visible'], marks[[1]])
    assert infos[1]['num_keypoints'] == 12
    # positions of joints that are not labeled mean nothing
    expected = positions()[1]
    expected[[3, 4]] = 0
    np.testing.assert_array_equal(infos[1]['keypoints'][0], expected)


def test_lsp_third_row_says_occluded_and_occluded_joints_are_labeled(tmp_path, marks):
    people = build(write(tmp_path, marks, layout='lsp'))
    assert len(people) == COUNT
    for index in range(COUNT):
        info = people.get_data_info(index)
        np.testing.assert_array_equal(info['keypoints'][0], positions()[index])
        assert info['keypoints_visible'].tolist() == [[1] * 14]


@pytest.mark.parametrize(
    ('layout', 'name'), [('lspet', 'im00003.jpg'), ('lsp', 'im0003.jpg')], ids=str
)
def test_images_belong_to_their_joints(tmp_path, layout, name):
    root = write(tmp_path, np.ones((COUNT, 14)), layout)
    people = build(root, pipeline=[dict(type='LoadImage')])
    sample = people[2]
    assert sample['img_path'] == str(root / 'images' / name)
    assert sample['img'].shape == (24, 32, 3)
    assert abs(int(sample['img'].mean()) - 90) <= 1
    np.testing.assert_array_equal(sample['keypoints'][0], positions()[2])


def test_nan_positions_of_unlabeled_joints_are_harmless(tmp_path):
    marks, points = np.ones((COUNT, 14)), positions()
    marks[0, 5] = 0
    points[0, 5] = np.nan
    info = build(write(tmp_path, marks, points=points)).get_data_info(0)
    assert np.isfinite(info['keypoints']).all() and np.isfinite(info['bbox']).all()


@pytest.mark.parametrize('spoil', [np.nan, -np.inf, 1e39], ids=str)
def test_labels_that_are_not_finite_are_refused(tmp_path, spoil):
    points = positions()
    points[2, 7, 1] = spoil  # of a labeled joint
    root = write(tmp_path, np.ones((COUNT, 14)), points=points)
    message = r'joints\.mat: .*im00003\.jpg, annotation 3: .*right_elbow is at'
    with pytest.raises(ValueError, match=message):
        build(root)
    marks = np.ones((COUNT, 14))
    marks[2, 7] = spoil
    (tmp_path / 'marks').mkdir()
    root = write(tmp_path / 'marks', marks)
    with pytest.raises(
        ValueError, match=r"joints\.mat: 'joints' has a third row that is not finite"
    ):
        build(root)


# -- boxes


def test_box_has_a_margin_of_its_longer_side():
    keypoints = np.array([[10, 20], [30, 60], [500, 500], [20, 40]], float)
    box = box_of_joints(keypoints, np.array([1, 1, 0, 1]), 0.1)
    assert box.tolist() == [6, 16, 34, 64]
    assert box_of_joints(keypoints, np.array([1, 1, 0, 1]), 0).tolist() == [10, 20, 30, 60]
    lying = box_of_joints(keypoints[:, ::-1], np.array([1, 1, 0, 1]), 0.5)
    assert lying.tolist() == [0, -10, 80, 50]


def test_dataset_makes_boxes_of_labeled_joints(tmp_path):
    marks = np.ones((COUNT, 14))
    marks[0, 10:] = 0
    root = write(tmp_path, marks)
    # image 1: joints 0 to 9 are at x 10..19 and y 120..138; a tenth of 18 is 1.8
    info = build(root).get_data_info(0)
    np.testing.assert_allclose(info['bbox'], [[8.2, 118.2, 20.8, 139.8]], rtol=1e-6)
    assert info['bbox_score'].tolist() == [1]
    assert info['area'] == pytest.approx(12.6 * 21.6, rel=1e-5)
    info = build(root, box_margin=0.5).get_data_info(0)
    np.testing.assert_allclose(info['bbox'], [[1, 111, 28, 147]], rtol=1e-6)


def test_negative_margin_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'box_margin -0\.1'):
        build(tmp_path, box_margin=-0.1)


# -- the authors' center and scale


def test_visible_is_the_third_row_of_lsp_extended_and_not_occluded_in_lsp(tmp_path, marks):
    for layout, visible in (('lspet', marks), ('lsp', 1 - marks)):
        (tmp_path / layout).mkdir()
        joints = read_joints(write(tmp_path / layout, marks, layout) / 'joints.mat')
        np.testing.assert_array_equal(joints.visible, visible)
        np.testing.assert_array_equal(joints.labeled, marks if layout == 'lspet' else marks * 0 + 1)
        np.testing.assert_array_equal(joints.keypoints, positions())
        assert joints.extended == (layout == 'lspet')


def crowd():
    return np.random.default_rng(0).uniform(10, 200, (COUNT, 14, 2))


def authors(root, **arguments):
    people = build(root, center_scale='authors', **arguments)
    return [people.get_data_info(index) for index in range(len(people))]


def test_center_of_lsp_extended_is_in_the_middle_of_the_labeled_joints(tmp_path, marks):
    points = crowd()
    root = write(tmp_path, marks, points=points)
    infos = authors(root)
    scales = mpii_like_scales(points, marks, LSP)
    assert len(set(scales.round(3))) == COUNT
    for info in infos:
        known = points[info['img_id'] - 1][marks[info['img_id'] - 1] > 0]
        middle = (known.min(axis=0) + known.max(axis=0)) / 2
        np.testing.assert_allclose(info['bbox_center'], [middle], rtol=1e-6)
        side = 200 * scales[info['img_id'] - 1]
        np.testing.assert_allclose(info['bbox_scale'], [[side, side]], rtol=1e-6)
        assert info['bbox_center'].dtype == info['bbox_scale'].dtype == np.float32


def test_center_of_lsp_is_in_the_middle_of_the_image_and_occluded_joints_do_not_count(tmp_path):
    points, occluded = crowd(), np.zeros((COUNT, 14))
    occluded[2, :5] = 1
    infos = authors(write(tmp_path, occluded, 'lsp', points=points))
    scales = mpii_like_scales(points, 1 - occluded, LSP)
    for info, scale in zip(infos, scales, strict=True):
        # images of 32 x 24: MATLAB's 16, 12, counted from 0
        assert info['bbox_center'].tolist() == [[15, 11]]
        np.testing.assert_allclose(info['bbox_scale'], [[200 * scale] * 2], rtol=1e-6)
    all_joints = mpii_like_scales(points, np.ones((COUNT, 14)), LSP)
    assert abs(all_joints[2] - scales[2]) > 0.01


def test_ratios_are_those_of_the_whole_file(tmp_path):
    root = write(tmp_path, np.ones((COUNT, 14)), points=crowd())
    everybody, some = authors(root), authors(root, image_range=(2, 3))
    for whole, part in zip(everybody[1:3], some, strict=True):
        np.testing.assert_array_equal(part['bbox_scale'], whole['bbox_scale'])
    alone = mpii_like_scales(crowd()[1:3], np.ones((2, 14)), LSP)
    assert abs(200 * alone[0] - some[0]['bbox_scale'][0, 0]) > 1


def test_ratios_can_be_those_of_several_files(tmp_path):
    """The authors take LSP Extended and the first 1,000 of LSP together."""
    generator = np.random.default_rng(1)
    points, others = crowd(), generator.uniform(10, 200, (1100, 14, 2))
    root = write(tmp_path, np.ones((COUNT, 14)), points=points)
    lsp = np.concatenate([others.transpose(2, 1, 0), np.zeros((1, 14, 1100))])
    savemat(tmp_path / 'lsp.mat', dict(joints=lsp))
    files = [str(root / 'joints.mat'), str(tmp_path / 'lsp.mat')]
    people = np.concatenate([points, others[:1000]])
    ratios = limb_ratios(people, np.ones(people.shape[:2]), LSP)
    expected = mpii_like_scales(points, np.ones((COUNT, 14)), LSP, ratios)
    found = [info['bbox_scale'][0, 0] for info in authors(root, limbs_of=files)]
    np.testing.assert_allclose(found, 200 * expected, rtol=1e-6)
    own = np.array([info['bbox_scale'][0, 0] for info in authors(root)])
    assert np.abs(found - own).max() > 1


def test_lsp_and_lsp_extended_together(tmp_path):
    """The paper's training data: every sample of both, ratios of both, joints for MMPose."""
    parts = []
    for layout in ('lsp', 'lspet'):
        (tmp_path / layout).mkdir()
        write(tmp_path / layout, np.full((COUNT, 14), layout == 'lspet'), layout, points=crowd())
        parts.append(dict(type='LspDataset', data_root=str(tmp_path / layout)))
    files = [str(tmp_path / layout / 'joints.mat') for layout in ('lspet', 'lsp')]
    together = DATASETS.build(
        dict(
            type='LspConcatDataset',
            datasets=[dict(part, center_scale='authors', limbs_of=files) for part in parts],
        )
    )
    assert len(together) == 2 * COUNT
    assert together.METAINFO is type(together.datasets[0]).METAINFO
    infos = [together.datasets[part].get_data_info(1) for part in (0, 1)]
    np.testing.assert_array_equal(infos[0]['bbox_scale'], infos[1]['bbox_scale'])
    assert [Path(info['img_path']).name for info in infos] == ['im0002.jpg', 'im00002.jpg']


@pytest.mark.parametrize('layout', ['lsp', 'lspet'])
def test_all_else_is_as_without_the_authors_scale(tmp_path, layout):
    root = write(tmp_path, np.full((COUNT, 14), layout == 'lspet'), layout, points=crowd())
    people = build(root)
    for index, info in enumerate(authors(root)):
        plain = people.get_data_info(index)
        assert set(info) - set(plain) == {'bbox_center', 'bbox_scale'}
        for key in ('bbox', 'keypoints', 'keypoints_visible', 'area', 'img_path'):
            np.testing.assert_array_equal(info[key], plain[key])


def test_unknown_center_scale_is_refused(tmp_path):
    with pytest.raises(ValueError, match="center_scale 'mpii' must be 'box' or 'authors'"):
        build(tmp_path, center_scale='mpii')


@pytest.mark.parametrize('content', [None, b'', b'<html>'], ids=['missing', 'empty', 'text'])
def test_image_without_a_size_is_named(tmp_path, content):
    root = write(tmp_path, np.zeros((COUNT, 14)), 'lsp', points=crowd())
    broken = root / 'images' / 'im0003.jpg'
    broken.unlink()
    if content is not None:
        broken.write_bytes(content)
    with pytest.raises(ValueError, match=rf'{re.escape(str(broken))}: not an image'):
        authors(root)
    assert len(build(root)) == COUNT  # the default reads no image


def test_size_is_that_of_the_image_as_it_is_loaded(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((31, 50, 3), np.uint8))
    assert image_middle(tmp_path / 'a.png') == (24, 14.5)


def test_a_size_that_cannot_be_is_refused(tmp_path):
    header = b'BM' + struct.pack('<IIIIiiHH', 0, 0, 54, 40, 60_000, 60_000, 1, 24) + bytes(24)
    (tmp_path / 'a.bmp').write_bytes(header)
    with pytest.raises(ValueError, match=r'a\.bmp: not an image .*3600000000 pixels'):
        image_middle(tmp_path / 'a.bmp')


# -- range


@pytest.mark.parametrize(
    ('image_range', 'expected'),
    [(None, [1, 2, 3, 4, 5]), ((2, 4), [2, 3, 4]), ((5, 5), [5]), ([1, 1], [1])],
    ids=str,
)
def test_image_range_counts_from_1_and_includes_its_ends(tmp_path, image_range, expected):
    people = build(write(tmp_path, np.ones((COUNT, 14))), image_range=image_range)
    infos = [people.get_data_info(index) for index in range(len(people))]
    assert [info['img_id'] for info in infos] == expected
    for info, number in zip(infos, expected, strict=True):
        assert info['img_path'].endswith(f'im{number:05d}.jpg')
        np.testing.assert_array_equal(info['keypoints'][0], positions()[number - 1])


@pytest.mark.parametrize('image_range', [(0, 3), (1, 6), (4, 2), (-1, 2), (6, 9)], ids=str)
def test_range_out_of_bounds_says_what_there_is(tmp_path, image_range):
    root = write(tmp_path, np.ones((COUNT, 14)))
    message = rf'image_range {re.escape(str(image_range))}.*joints\.mat has images 1 to 5'
    with pytest.raises(ValueError, match=message):
        build(root, image_range=image_range)


def test_images_outside_of_the_range_need_not_be_there(tmp_path):
    root = write(tmp_path, np.ones((COUNT, 14)), images=[4, 5])
    assert len(build(root, image_range=(4, 5))) == 2


# -- meta information


def test_meta_information_is_that_of_the_joint_set():
    meta = LspDataset(lazy_init=True).metainfo
    assert meta['dataset_name'] == 'lsp'
    assert meta['num_keypoints'] == 14
    assert [meta['keypoint_id2name'][channel] for channel in range(14)] == list(LSP.names)
    # written out: a wrong partner would mirror the figure wrongly
    assert meta['flip_indices'] == [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]
    assert meta['lower_body_ids'] == [0, 1, 2, 3, 4, 5]
    assert meta['upper_body_ids'] == [6, 7, 8, 9, 10, 11, 12, 13]
    named = {tuple(LSP.names[i] for i in link) for link in meta['skeleton_links']}
    assert named == set(LSP.links)
    assert meta['dataset_keypoint_weights'].tolist() == [1] * 14
    assert meta['sigmas'].shape == (14,)


# -- broken data


def test_missing_root_names_the_file_and_the_setting(tmp_path):
    message = rf'{re.escape(str(tmp_path / "nowhere" / "joints.mat"))}: no such file.*data_root'
    with pytest.raises(ValueError, match=message):
        build(tmp_path / 'nowhere')


def empty_file(path):
    path.write_bytes(b'')


def text_file(path):
    path.write_text('<html>404 not found</html>')


def truncated_file(path):
    savemat(path, {'joints': np.random.default_rng(0).random((14, 3, 500))})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_matrix(path):
    savemat(path, {'annolist': np.ones((14, 3, 2))})


@pytest.mark.parametrize('make', [empty_file, text_file, truncated_file, other_matrix])
def test_unreadable_joints_name_the_file(tmp_path, make):
    make(tmp_path / 'joints.mat')
    message = (
        rf"{re.escape(str(tmp_path / 'joints.mat'))}: not a MATLAB file with a matrix 'joints'"
    )
    with pytest.raises(ValueError, match=message):
        build(tmp_path)


@pytest.mark.parametrize(
    'shape', [(14, 2, 5), (16, 3, 5), (5, 14, 3), (14, 3), (14, 3, 0)], ids=str
)
def test_joints_of_another_shape_name_the_file_and_the_shape(tmp_path, shape):
    savemat(tmp_path / 'joints.mat', {'joints': np.ones(shape)})
    shown = re.escape(str(shape))
    message = rf'joints\.mat.*{shown}; expected \(14, 3, N\).*\(3, 14, N\)'
    with pytest.raises(ValueError, match=message):
        build(tmp_path)


def test_matrix_of_another_kind_names_the_file(tmp_path):
    savemat(tmp_path / 'joints.mat', {'joints': {'x': 1.0, 'y': 2.0}})
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / 'joints.mat'))):
        build(tmp_path)


def test_missing_images_name_the_folder_and_both_patterns(tmp_path):
    root = write(tmp_path, np.ones((COUNT, 14)), images=[])
    message = rf'{re.escape(str(root / "images"))}.*im00002\.jpg .*im0002\.jpg '
    with pytest.raises(ValueError, match=message):
        build(root, image_range=(2, 3))


def test_unreadable_image_is_named_when_it_is_loaded(tmp_path):
    root = write(tmp_path, np.ones((COUNT, 14)))
    broken = root / 'images' / 'im00002.jpg'
    broken.write_text('not an image')
    people = build(root, pipeline=[dict(type='LoadImage')])
    people[0]
    with pytest.raises(ValueError, match=re.escape(str(broken))):
        people[1]


# -- the published data


def test_lsp_extended(shared_data):
    people = build(shared_data / 'lspet')
    assert len(people) == 9000
    info = people.get_data_info(0)
    assert info['img_path'].endswith('images/im00001.jpg')
    assert info['keypoints_visible'][0, :3].tolist() == [0, 1, 1]
    np.testing.assert_allclose(
        info['keypoints'][0, :3],
        [[0, 0], [26.03094352, 86.41022512], [50.60790641, 75.70079791]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(info['keypoints'][0, 13], [116.56859752, 53.42206246], rtol=1e-6)
    (x1, y1, x2, y2) = info['bbox'][0]
    known = info['keypoints'][0][info['keypoints_visible'][0] > 0]
    assert x1 < known[:, 0].min() and x2 > known[:, 0].max()
    assert y1 < known[:, 1].min() and y2 > known[:, 1].max()


def test_authors_scale_of_lsp_extended(shared_data):
    infos = authors(shared_data / 'lspet', image_range=(1, 1000))
    scales = np.concatenate([info['bbox_scale'] for info in infos])[:, 0] / 200
    assert len(scales) == 1000 and np.isfinite(scales).all()
    # most athletes of LSP Extended are 100 to 200 pixels tall
    assert 0.5 < np.quantile(scales, 0.05) < np.quantile(scales, 0.95) < 1.2


def test_share_of_torsos_in_the_reported_images(shared_data):
    people = build(shared_data / 'lspet', image_range=(8001, 9000))
    assert len(people) == 1000
    known = np.concatenate([people.get_data_info(i)['keypoints_visible'] for i in range(1000)]) > 0
    index = LSP.index
    left = known[:, index('left_shoulder')] & known[:, index('right_hip')]
    right = known[:, index('right_shoulder')] & known[:, index('left_hip')]
    assert 100 * (left | right).mean() == pytest.approx(82.9)
