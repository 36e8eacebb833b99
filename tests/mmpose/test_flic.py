"""FlicDataset and its figures, on small files in FLIC's layout."""

import re

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from scipy.io import savemat

from cpm_plugin.core.maps.joint_sets import FLIC
from cpm_plugin.mmpose.flic import FlicDataset, center_and_scale, observer_centric, read_examples

from mmpose.registry import DATASETS

# FLIC's columns that have a position, counted from 0 (lhip, rhip, eyes and nose are 6, 9, 12,
# 13 and 16); a person as in the file: MATLAB's pixels, a half more to tell x from y.
COLUMNS = [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16]
FACING = np.array(
    [
        (140, 101), (150, 131), (155, 161),  # left shoulder, elbow, wrist
        (80, 101), (70, 131), (65, 161),  # right ones
        (130, 181), (90, 181),  # hips, left and right
        (115, 61), (105, 61), (110, 71),  # eyes, nose
    ],
    dtype=float,
)  # fmt: skip
SIZE = (320, 240)  # of the images


def coords(joints, columns=29):
    if columns == 11:
        return joints.T
    full = np.full((2, columns), np.nan)
    full[:, COLUMNS] = joints.T
    return full


def example(filepath, joints=FACING, test=False, columns=29, **changed):
    fields = dict(
        filepath=filepath,
        moviename='a-film',
        coords=coords(joints, columns),
        currhead=np.array([1.0, 2.0, 3.0, 4.0]),
        torsobox=np.array([81.0, 101.0, 141.0, 201.0]),
        imgdims=np.array([240.0, 320.0, 3.0]),
        istrain=not test,
        istest=test,
    )
    return {**fields, **changed}


def save(path, examples, row=False):
    """A struct array with the fields of the last example, as MATLAB keeps it."""
    names = list(examples[-1])
    array = np.zeros(len(examples), [(name, object) for name in names])
    for index, entry in enumerate(examples):
        for name in names:
            array[name][index] = entry[name]
    savemat(path, {'examples': array.reshape((1, -1) if row else (-1, 1))})


def write(root, examples, row=False):
    save(root / 'examples.mat', examples, row)
    (root / 'images').mkdir(exist_ok=True)
    for entry in examples:
        image = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
        assert cv2.imwrite(str(root / 'images' / entry['filepath']), image)
    return root


def build(root, **arguments):
    return DATASETS.build(dict(dict(type='FlicDataset', data_root=str(root)), **arguments))


def infos(root, **arguments):
    people = build(root, **arguments)
    return [people.get_data_info(index) for index in range(len(people))]


def people():
    """Two images with several people, of both sets."""
    return [
        example('b.jpg'),
        example('a.jpg', FACING + 1),
        example('b.jpg', FACING + 2, test=True),
        example('c.jpg', FACING + 3, test=True),
        example('b.jpg', FACING + 4),
        example('a.jpg', FACING + 5),
        example('d.jpg', FACING + 6, istrain=False),
    ]


# -- one person


@pytest.mark.parametrize('columns', [29, 11])
@pytest.mark.parametrize('row', [False, True], ids=['column', 'row'])
def test_person_by_hand(tmp_path, columns, row):
    (info,) = infos(write(tmp_path, [example('x.jpg', columns=columns)], row))
    expected = [
        (139, 100), (149, 130), (154, 160), (79, 100), (69, 130), (64, 160),
        (129, 180), (89, 180), (109, 70),
    ]  # fmt: skip
    assert info['keypoints'].tolist() == [[list(point) for point in expected]]
    assert info['keypoints_visible'].tolist() == [[1] * 9]
    assert info['num_keypoints'] == 9
    assert (info['id'], info['img_id']) == (1, 1)
    assert info['img_path'] == str(tmp_path / 'images' / 'x.jpg')
    # torso box 81, 101, 141, 201: the middle, and three tenths down
    np.testing.assert_allclose(info['bbox_center'], [[110, 130]], rtol=1e-6)
    # 100 pixels of torso: scale 1.1, 220 pixels
    np.testing.assert_allclose(info['bbox_scale'], [[220, 220]], rtol=1e-6)
    np.testing.assert_allclose(info['bbox'], [[0, 20, 220, 240]], atol=1e-4)
    assert info['area'] == pytest.approx(220**2)
    for key in ('keypoints', 'bbox_center', 'bbox_scale', 'bbox'):
        assert info[key].dtype == np.float32


def test_person_with_the_right_shoulder_right_of_the_left_one_changes_sides(tmp_path):
    """The same positions under the names of the other side are the same person."""
    order = [3, 4, 5, 0, 1, 2, 7, 6, 9, 8, 10]
    away, facing = infos(write(tmp_path, [example('x.jpg', FACING[order]), example('y.jpg')]))
    np.testing.assert_array_equal(away['keypoints'], facing['keypoints'])


def test_sides_are_decided_by_the_shoulders_alone():
    points = np.arange(18.0).reshape(9, 2)
    points[[0, 3], 0] = (5, 5)  # one above the other: as it is
    np.testing.assert_array_equal(observer_centric(points), points)
    points[3, 0] = 5.1
    # coords([4 5 6 1 2 3 8 7],:) of the authors' code, counted from 0
    np.testing.assert_array_equal(observer_centric(points), points[[3, 4, 5, 0, 1, 2, 7, 6, 8]])


def test_center_and_scale_of_a_torso_box():
    center, scale = center_and_scale(np.array([10.0, 20.0, 50.0, 120.0]))
    np.testing.assert_allclose(center, [30, 0.7 * 20 + 0.3 * 120])
    assert scale == pytest.approx(1.1)


def test_file_is_read_in_its_order_with_the_marks(tmp_path):
    examples = read_examples(write(tmp_path, people()) / 'examples.mat')
    assert [item.filepath[0] for item in examples] == list('babcbad')
    assert [item.istest for item in examples] == [False, False, True, True, False, False, False]


# -- splits, people of one image


def test_train_is_all_that_is_not_test_and_people_of_a_image_stand_together(tmp_path):
    found = infos(write(tmp_path, people()))
    assert [info['id'] for info in found] == [1, 5, 2, 6, 7]
    assert [info['img_path'][-5] for info in found] == list('bbaad')
    assert [info['img_id'] for info in found] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    'arguments',
    [dict(test_mode=True), dict(split='test'), dict(split='test', test_mode=True)],
    ids=str,
)
def test_test_split(tmp_path, arguments):
    found = infos(write(tmp_path, people()), **arguments)
    assert [info['id'] for info in found] == [3, 4]
    assert [info['img_path'][-5] for info in found] == list('bc')


def test_training_examples_can_be_tested(tmp_path):
    assert len(build(write(tmp_path, people()), split='train', test_mode=True)) == 5


def test_neighbors_are_found_and_moved_as_the_person_is(tmp_path):
    """Person 5 is person 1 moved: in every crop the two differ by that, times a factor."""
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=1.25),
        dict(type='TopdownAffine', input_size=(110, 110)),
        dict(type='AddNeighbors'),
    ]
    samples = build(write(tmp_path, people()), pipeline=pipeline)
    first, second = samples[0], samples[1]
    assert [samples[i]['neighbor_keypoints'].shape for i in range(5)] == [
        *[(1, 9, 2)] * 4,
        (0, 9, 2),
    ]
    # the crop is 275 pixels of the image in 110: a factor of 0.4
    np.testing.assert_allclose(
        first['neighbor_keypoints'], first['transformed_keypoints'] + 0.4 * 4, atol=1e-3
    )
    np.testing.assert_allclose(
        second['neighbor_keypoints'], second['transformed_keypoints'] - 0.4 * 4, atol=1e-3
    )
    assert first['neighbor_keypoints_visible'].tolist() == [[1] * 9]
    # the center of the crop is that of the dataset: (110, 130) -> (55, 55)
    shoulder = (np.array([139, 100]) - (110, 130)) * 0.4 + 55
    np.testing.assert_allclose(first['transformed_keypoints'][0, 0], shoulder, atol=1e-3)


def test_meta_information_is_that_of_the_joint_set():
    meta = FlicDataset(lazy_init=True).metainfo
    assert meta['dataset_name'] == 'flic'
    assert [meta['keypoint_id2name'][channel] for channel in range(9)] == list(FLIC.names)
    # written out: a wrong partner would mirror the person wrongly
    assert meta['flip_indices'] == [3, 4, 5, 0, 1, 2, 7, 6, 8]
    assert meta['lower_body_ids'] == [6, 7]


# -- the figures


def moved(joints, **by):
    found = joints.copy()
    for name, offset in by.items():
        found[:, FLIC.index(name)] += offset
    return found


def evaluate(dataset, predictions):
    evaluator = Evaluator(metrics=dict(type='TorsoPCKAccuracy', thr=0.2))
    evaluator.dataset_meta = dataset.metainfo
    for index, move in enumerate(predictions):
        batch = pseudo_collate([dataset[index]])
        (sample,) = batch['data_samples']
        sample.pred_instances = InstanceData(keypoints=move(sample.gt_instances.keypoints))
        evaluator.process(data_samples=[sample], data_batch=batch)
    return evaluator.evaluate(len(predictions))


def test_elbow_and_wrist_at_a_fifth_of_the_torso_of_the_ground_truth(tmp_path):
    """Torso of FACING: left shoulder (140, 101) to right hip (90, 181), 94.34 pixels; a fifth
    is 18.87. The second person is half as large, named from the other side."""
    order = [3, 4, 5, 0, 1, 2, 7, 6, 9, 8, 10]
    root = write(
        tmp_path,
        [
            example('a.jpg', test=True),
            example('b.jpg', FACING[order] / 2, test=True),
            example('c.jpg', FACING),
        ],
    )
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(64, 64)),
        dict(type='PackPoseInputs'),
    ]
    dataset = build(root, test_mode=True, pipeline=pipeline)
    result = evaluate(
        dataset,
        [
            # both predicted torsos are far too long, by which 19 would be right
            lambda joints: moved(
                joints,
                left_shoulder=(300, -400),
                left_elbow=(18.8, 0),  # right
                right_elbow=(0, 18.9),  # wrong
                left_wrist=(0, -18.8),  # right
                head=(50, 0),
            ),
            lambda joints: moved(
                joints,
                left_shoulder=(300, -400),
                left_elbow=(9.4, 0),  # right: a fifth is 9.43
                right_elbow=(9.4, 0),  # right
                left_wrist=(9.5, 0),  # wrong
                right_wrist=(-9.5, 0),  # wrong
            ),
        ],
    )
    assert result['torso/PCK_elbow'] == 75
    assert result['torso/PCK_wrist'] == 50
    assert result['torso/PCK_head'] == 50
    assert result['torso/PCK_shoulder'] == 50
    assert result['torso/PCK_hip'] == 100
    assert result['torso/PCK'] == pytest.approx(100 * 12 / 18)
    assert (result['torso/num_images'], result['torso/num_left_out']) == (2, 0)


# -- broken data


def test_missing_root_names_the_file_and_the_setting(tmp_path):
    path = re.escape(str(tmp_path / 'nowhere' / 'examples.mat'))
    with pytest.raises(ValueError, match=rf'{path}: no such file.*data_root'):
        build(tmp_path / 'nowhere')


@pytest.mark.parametrize('content', [b'', b'<html>404 not found</html>'], ids=['empty', 'text'])
def test_unreadable_file_is_named(tmp_path, content):
    (tmp_path / 'examples.mat').write_bytes(content)
    path = re.escape(str(tmp_path / 'examples.mat'))
    with pytest.raises(ValueError, match=rf"{path}: not a MATLAB file with a struct 'examples'"):
        build(tmp_path)


def test_other_matrix_is_named(tmp_path):
    savemat(tmp_path / 'examples.mat', {'joints': np.ones(3)})
    with pytest.raises(ValueError, match=r'examples\.mat: not a MATLAB file with a struct'):
        build(tmp_path)


def without(field):
    entry = example('x.jpg')
    del entry[field]
    return entry


def half(column, row):
    entry = example('x.jpg')
    entry['coords'][row, column] = np.nan if column in COLUMNS else 1.0
    return entry


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (without('coords'), 'coords'),
        (without('torsobox'), 'torsobox'),
        (without('istest'), 'istest'),
        (without('filepath'), 'filepath'),
        (example('x.jpg', coords=np.ones((3, 29))), r'coords \(3, 29\)'),
        (example('x.jpg', coords=np.ones((2, 29))), 'coords has 29 joints, expected 11'),
        (example('x.jpg', coords=coords(FACING)[:, :16]), 'coords has 10 joints'),
        (half(4, 0), 'half NaN'),
        (half(28, 1), 'coords has 12 joints'),
        (example('x.jpg', torsobox=np.ones(3)), r'torsobox \[1\.0, 1\.0, 1\.0\]'),
        (example('x.jpg', torsobox=np.array([1.0, 9.0, 5.0, 9.0])), 'y2 > y1'),
        (example('x.jpg', torsobox=np.array([1.0, np.nan, 5.0, 9.0])), 'y2 > y1'),
    ],
)
def test_broken_example_is_named_by_its_number(tmp_path, entry, message):
    save(tmp_path / 'examples.mat', [example('y.jpg'), entry])
    number = 1 if set(entry) != set(example('')) else 2  # without a field, both lack it
    path = re.escape(str(tmp_path / 'examples.mat'))
    with pytest.raises(ValueError, match=rf'{path}: example {number} .*{message}'):
        build(tmp_path)


@pytest.mark.parametrize('value', [3.0, 'text', np.ones((2, 2))], ids=str)
def test_examples_of_another_kind_are_named(tmp_path, value):
    savemat(tmp_path / 'examples.mat', {'examples': value})
    with pytest.raises(ValueError, match=r'examples\.mat: example 1 is not as in FLIC'):
        build(tmp_path)


def test_split_without_examples_is_refused(tmp_path):
    root = write(tmp_path, [example('x.jpg')])
    with pytest.raises(ValueError, match=r'none of 1 examples is of the test set'):
        build(root, test_mode=True)


def test_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="split 'val' must be 'train', 'test' or None"):
        build(tmp_path, split='val')
