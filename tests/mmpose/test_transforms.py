"""AddNeighbors: where the other people of an image are in the crop of one of them.

The expected positions do not use the code under test: the whole map from image to crop,
flip included, is fitted to the person's own joints. SelectJoints: at the end.
"""

import cv2
import numpy as np
import pytest
from cpm_testing.data import coco_content, write_coco

from cpm_plugin.core.maps.joint_sets import JOINT_SETS, joint_set
from cpm_plugin.core.maps.joints import JointSet
from cpm_plugin.mmpose import AddNeighbors, PersonCrop, SelectJoints

from mmpose.datasets.transforms import RandomFlip
from mmpose.registry import DATASETS, TRANSFORMS

SIZE = (160, 120)  # of the images, width and height
NUM_JOINTS = 17


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Image 1 with 3 people, 2 with one, 3 with two; in COCO's layout."""
    root = tmp_path_factory.mktemp('coco')
    generator = np.random.default_rng(0)
    annotations = []
    for image_id, person in [(1, 0), (1, 1), (1, 2), (2, 3), (3, 4), (3, 5)]:
        center = generator.uniform((60, 50), (100, 70))
        joints = np.concatenate(
            [
                center + generator.uniform(-35, 35, (NUM_JOINTS, 2)),
                generator.choice([0, 1, 2], (NUM_JOINTS, 1)),
            ],
            axis=1,
        )
        joints[0, 2] = 2
        low, high = joints[:, :2].min(axis=0), joints[:, :2].max(axis=0)
        annotations.append(
            dict(
                id=person,
                image_id=image_id,
                category_id=1,
                iscrowd=0,
                area=float(np.prod(high - low)),
                bbox=[*low.tolist(), *(high - low).tolist()],
                num_keypoints=int((joints[:, 2] > 0).sum()),
                keypoints=joints.ravel().tolist(),
            )
        )
    return write_coco(root, coco_content(annotations, 3, SIZE))


WITH_NEIGHBORS = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=(96, 128)),
    dict(type='AddNeighbors'),
]


def coco(root, file, pipeline):
    """The config of a dataset of images beside their annotations."""
    return dict(
        type='CocoDataset', data_root=str(root), ann_file=file, data_prefix=dict(img=''),
        pipeline=pipeline,
    )  # fmt: skip


def dataset(root, *, flip=0.0, rotate=False, udp=False, neighbors=True):
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomFlip', direction='horizontal', prob=flip),
        dict(type='RandomBBoxTransform', rotate_prob=1.0, scale_prob=1.0, shift_prob=1.0),
        dict(type='TopdownAffine', input_size=(96, 128), use_udp=udp),
        dict(type='AddNeighbors', use_udp=udp),
    ]
    if not rotate:
        del pipeline[3]
    if not neighbors:
        del pipeline[-1]
    return DATASETS.build(coco(root, 'people.json', pipeline))


def affine(source, target):
    """(3, 2) matrix of the affine map that takes source points to target points."""
    homogeneous = np.c_[source, np.ones(len(source))]
    matrix, residual, rank, _ = np.linalg.lstsq(homogeneous, target, rcond=None)
    assert rank == 3 and residual.max() < 1e-4  # the person's joints are mapped that way
    return matrix


CASES = pytest.mark.parametrize(
    ('flip', 'rotate', 'udp'),
    [
        (0.0, False, False),
        (1.0, False, False),
        (0.0, True, False),
        (1.0, True, False),
        (1.0, True, True),
    ],
    ids=['plain', 'flip', 'rotation', 'flip and rotation', 'flip and rotation, UDP'],
)


@CASES
@pytest.mark.parametrize('person', [0, 1, 2])
def test_neighbors_are_mapped_as_the_person_is(root, person, flip, rotate, udp):
    people = dataset(root, flip=flip, rotate=rotate, udp=udp)
    results = people[person]
    order = results['flip_indices'] if flip else list(range(NUM_JOINTS))
    raw = {index: people.get_data_info(index) for index in range(3)}
    matrix = affine(
        raw[person]['keypoints'][0].astype(float)[order], results['transformed_keypoints'][0]
    )
    if rotate:
        assert abs(matrix[0, 1]) > 1e-3
    assert (np.linalg.det(matrix[:2]) < 0) == bool(flip)

    others = {0: [1, 2], 1: [0, 2], 2: [1, 0]}[person]
    expected = np.stack(
        [np.c_[raw[i]['keypoints'][0][order], np.ones(NUM_JOINTS)] @ matrix for i in others]
    )
    visible = np.stack([raw[i]['keypoints_visible'][0][order] for i in others])
    assert results['neighbor_keypoints'].shape == (2, NUM_JOINTS, 2)
    np.testing.assert_allclose(results['neighbor_keypoints'], expected, atol=0.01)
    np.testing.assert_array_equal(results['neighbor_keypoints_visible'], visible)
    assert 0 < visible.mean() < 1


@pytest.mark.parametrize(('flip', 'channel'), [(0.0, 9), (1.0, 10)], ids=['plain', 'flip'])
def test_neighbors_joint_is_where_the_image_shows_it(root, flip, channel):
    """A dot on the left wrist (9) of person 1 is found in the crop of person 0, as a right
    wrist (10) if the image was flipped."""
    people = dataset(root, flip=flip, rotate=True)
    x, y = people.get_data_info(1)['keypoints'][0, 9]
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    cv2.circle(image, (round(float(x)), round(float(y))), 3, (255, 255, 255), -1)
    path = root / '1.png'
    blank = path.read_bytes()
    cv2.imwrite(str(path), image)
    results = people[0]
    path.write_bytes(blank)
    rows, columns = np.nonzero(results['img'][..., 0] > 127)
    assert len(rows) > 10
    found = results['neighbor_keypoints'][0, channel]
    np.testing.assert_allclose(found, [columns.mean(), rows.mean()], atol=1.0)


def test_person_as_a_neighbor_of_another_is_where_its_own_crop_maps_it(root):
    """With person 1's crop for both, person 0 as a neighbor equals person 0 as the person."""
    crop = people_info(root, 1)
    results = {}
    for person in (0, 1):
        info = people_info(root, person)
        info.update(
            bbox_center=crop['bbox_center'].copy(),
            bbox_scale=crop['bbox_scale'].copy(),
            bbox_rotation=np.array([25.0]),
        )
        for step in (dict(type='TopdownAffine', input_size=(96, 128)), dict(type='AddNeighbors')):
            info = TRANSFORMS.build(step)(info)
        results[person] = info
    np.testing.assert_allclose(
        results[1]['neighbor_keypoints'][0], results[0]['transformed_keypoints'][0], atol=1e-3
    )
    np.testing.assert_allclose(
        results[0]['neighbor_keypoints'][0], results[1]['transformed_keypoints'][0], atol=1e-3
    )


def people_info(root, index):
    people = dataset(root, neighbors=False)
    people.pipeline.transforms = people.pipeline.transforms[:2]  # load, center and scale
    return people[index]


def test_person_alone_has_no_neighbors(root):
    results = dataset(root, flip=1.0)[3]
    assert results['neighbor_keypoints'].shape == (0, NUM_JOINTS, 2)
    assert results['neighbor_keypoints_visible'].shape == (0, NUM_JOINTS)


def test_last_entry_of_the_dataset_has_the_neighbor_before_it(root):
    people = dataset(root)
    assert len(people) == 6
    assert people[5]['neighbor_keypoints'].shape == (1, NUM_JOINTS, 2)
    assert people[4]['neighbor_keypoints'].shape == (1, NUM_JOINTS, 2)


def test_dataset_is_left_as_it_was(root):
    people = dataset(root, flip=1.0, rotate=True)
    before = [people.get_data_info(i)['keypoints'].copy() for i in range(3)]
    _ = [people[i] for i in range(3)]
    for index in range(3):
        np.testing.assert_array_equal(people.get_data_info(index)['keypoints'], before[index])


@pytest.mark.parametrize('wrapper', ['ConcatDataset', 'RepeatDataset'])
def test_neighbors_inside_wrapped_datasets(root, wrapper):
    config = coco(root, 'people.json', WITH_NEIGHBORS)
    if wrapper == 'ConcatDataset':
        wrapped = DATASETS.build(dict(type=wrapper, datasets=[config, config]))
    else:
        wrapped = DATASETS.build(dict(type=wrapper, dataset=config, times=2))
    counts = [len(wrapped[index]['neighbor_keypoints']) for index in range(12)]
    assert counts == [2, 2, 2, 0, 1, 1] * 2


def test_combined_dataset_is_refused(root):
    """Its samples carry the index in their part, but its list is that of all parts."""
    part = coco(root, 'people.json', [])
    combined = DATASETS.build(
        dict(
            type='CombinedDataset',
            metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
            datasets=[part, part],
            pipeline=WITH_NEIGHBORS,
        )
    )
    with pytest.raises(ValueError, match='CombinedDataset'):
        combined[11]


def test_neighbors_in_real_images(shared_data):
    folder = shared_data / 'mmpose_samples' / 'coco'
    people = DATASETS.build(coco(folder, 'test_coco.json', WITH_NEIGHBORS))
    images = [people.get_data_info(index)['img_id'] for index in range(len(people))]
    found = [len(people[index]['neighbor_keypoints']) for index in range(len(people))]
    assert found == [images.count(image) - 1 for image in images]
    assert max(found) > 1


# -- SelectJoints

MPI_TO_OURS = [9, 8, 12, 11, 10, 13, 14, 15, 2, 1, 0, 3, 4, 5]  # data_transformer.cpp
# MPII's: right ankle, knee, hip are 0, 1, 2, left hip, knee, ankle 3, 4, 5; right wrist, elbow,
# shoulder 10, 11, 12, left shoulder, elbow, wrist 13, 14, 15
MPII_FLIP = [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]


def mpii_sample(**more):
    """Joint k is at (10 k, 200 - 10 k); every third is not labeled."""
    number = np.arange(16.0, dtype=np.float32)
    return dict(
        img=np.zeros((SIZE[1], SIZE[0], 3), np.uint8),
        img_shape=SIZE[::-1],
        ori_shape=(300, SIZE[0]),  # all joints are in the image
        keypoints=np.stack([10 * number, 200 - 10 * number], axis=1)[None],
        keypoints_visible=(number % 3 != 2).astype(np.float32)[None],
        flip_indices=MPII_FLIP,
        dataset_keypoint_weights=(1 + number / 100).astype(np.float32),
        **more,
    )


def test_mpiis_joints_become_the_authors():
    before = mpii_sample()
    results = SelectJoints('mpii', 'cpm')(mpii_sample())
    assert results['keypoints'].shape == (1, 14, 2)
    assert results['keypoints'].dtype == results['keypoints_visible'].dtype == np.float32
    for key in ('keypoints', 'keypoints_visible'):
        np.testing.assert_array_equal(results[key], before[key][:, MPI_TO_OURS])
    np.testing.assert_array_equal(
        results['dataset_keypoint_weights'], before['dataset_keypoint_weights'][MPI_TO_OURS]
    )
    assert results['flip_indices'] == [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10]


def test_selection_then_flip_is_flip_then_selection():
    selected = RandomFlip(prob=1.0)(SelectJoints('mpii', 'cpm')(mpii_sample()))
    flipped = RandomFlip(prob=1.0)(mpii_sample())
    for key in ('keypoints', 'keypoints_visible'):
        np.testing.assert_array_equal(selected[key], flipped[key][:, MPI_TO_OURS])
    # the right shoulder, MPII's 12, is the left one of the mirrored image, the authors' 5
    assert selected['keypoints'][0, 5].tolist() == [159 - 120, 200 - 120]


def test_joints_between_others_are_visible_where_both_are():
    results = mpii_sample()
    lsp = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9]
    for key in ('keypoints', 'keypoints_visible'):
        results[key] = results[key][:, lsp]
    results['dataset_keypoint_weights'] = results['dataset_keypoint_weights'][lsp]
    results = SelectJoints('lsp', 'mpii')(results)
    # the hips are MPII's 2 and 3, of which 2 is not labeled; the shoulders 12 and 13
    assert results['keypoints'][0, 6:8].tolist() == [[25, 175], [125, 75]]
    assert results['keypoints_visible'][0, 6:8].tolist() == [0, 1]
    np.testing.assert_allclose(results['dataset_keypoint_weights'][6:8], [1.02, 1.12])
    others = [0, 1, 2, 3, 4, 5, *range(8, 16)]
    np.testing.assert_array_equal(
        results['keypoints'][:, others], mpii_sample()['keypoints'][:, others]
    )


def test_joints_outside_the_image_count_as_not_labeled():
    """Authors' ReadMetaData: 1 is taken off, then x < 0 or x >= width is outside."""
    results = mpii_sample()
    results['ori_shape'] = (150, 140)  # x 0 ... 150 and y 200 ... 50 of joints 0 ... 15
    results['keypoints_visible'][:] = 1
    results = SelectJoints('mpii', 'mpii', first_pixel=1)(results)
    # x - 1 is -1 of joint 0, 139 of joint 14 and 149 of joint 15; y - 1 is 149 of joint 5
    assert results['keypoints_visible'].tolist() == [[0] * 5 + [1] * 10 + [0]]
    assert results['keypoints'][0, 5].tolist() == [49, 149]


def test_transforms_print_with_their_settings():
    assert repr(AddNeighbors(use_udp=True)) == 'AddNeighbors(use_udp=True)'
    shown = repr(PersonCrop(input_size=(96, 64), scales=(0.7, 1.3)))
    assert shown.startswith('PersonCrop(input_size=(96, 64), border=128, interpolation=')
    assert 'scales=(0.7, 1.3)' in shown


def test_data_set_is_not_changed_by_a_selection():
    results = mpii_sample()
    keypoints, weights = results['keypoints'], results['dataset_keypoint_weights']
    SelectJoints('mpii', 'cpm')(results)
    np.testing.assert_array_equal(keypoints, mpii_sample()['keypoints'])
    np.testing.assert_array_equal(weights, mpii_sample()['dataset_keypoint_weights'])


class TwoPeople:
    """All that AddNeighbors asks of a dataset; the second person is 7 pixels further on."""

    def __len__(self):
        return 2

    def get_data_info(self, index):
        info = mpii_sample(img_id=1)
        info['keypoints'] = info['keypoints'] + 7 * index
        info['keypoints_visible'] = info['keypoints_visible'][:, ::-1] if index else None
        return info


@pytest.mark.parametrize('flip', [0.0, 1.0], ids=['plain', 'flipped'])
def test_neighbors_after_a_selection_are_the_models_joints(flip):
    results = mpii_sample(
        img_id=1, sample_idx=0, dataset=TwoPeople(),
        bbox_center=np.array([[80.0, 60.0]]), bbox_scale=np.array([[64.0, 64.0]]),
    )  # fmt: skip
    for step in (
        SelectJoints('mpii', 'cpm'),
        RandomFlip(prob=flip),
        PersonCrop(input_size=(128, 128)),
        AddNeighbors(),
    ):
        results = step(results)
    x, y = 10 * np.arange(16.0) + 7, 207 - 10 * np.arange(16.0)
    order = np.array(MPI_TO_OURS)
    center = 80
    if flip:
        x, center = 159 - x, 159 - 80
        order = np.array(MPII_FLIP)[order]
    expected = np.stack([64 + 2 * (x - center), 64 + 2 * (y - 60)], axis=1)[order]
    assert results['neighbor_keypoints'].shape == (1, 14, 2)
    np.testing.assert_allclose(results['neighbor_keypoints'][0], expected, atol=1e-3)
    visible = mpii_sample()['keypoints_visible'][0, ::-1][order]
    np.testing.assert_array_equal(results['neighbor_keypoints_visible'], [visible])


def test_neighbors_are_counted_from_0_and_left_out_outside_the_image_too():
    results = mpii_sample(
        img_id=1, sample_idx=0, dataset=TwoPeople(), input_size=SIZE,
        input_center=np.array(SIZE) / 2, input_scale=np.array(SIZE, float),
    )  # fmt: skip
    results['ori_shape'] = (300, 150)
    results = AddNeighbors()(SelectJoints('mpii', 'mpii', first_pixel=1)(results))
    x, y = 10 * np.arange(16.0) + 6, 206 - 10 * np.arange(16.0)
    np.testing.assert_allclose(results['neighbor_keypoints'][0], np.stack([x, y], 1), atol=1e-4)
    visible = mpii_sample()['keypoints_visible'][:, ::-1] * (x < 150)
    assert visible[0, 15] == 0 < mpii_sample()['keypoints_visible'][0, 0]
    np.testing.assert_array_equal(results['neighbor_keypoints_visible'], visible)


def test_a_weight_beside_the_visibility_stays_beside_it():
    """As KeypointConverter makes it, (1, K, 2): in samples, and in the dataset for neighbors."""
    results = mpii_sample()
    results['ori_shape'] = (300, 100)  # some joints are outside
    plain = SelectJoints('mpii', 'cpm')(dict(results))['keypoints_visible']
    weights = np.full((1, 16), 0.5)
    results['keypoints_visible'] = np.stack([results['keypoints_visible'], weights], axis=-1)
    found = SelectJoints('mpii', 'cpm')(results)['keypoints_visible']
    assert found.shape == (1, 14, 2) and 0 < plain.sum() < plain.size
    np.testing.assert_array_equal(found[..., 0], plain)
    np.testing.assert_array_equal(found[..., 1], 0.5 * (found[..., 1] > 0))

    class Weighted(TwoPeople):
        def get_data_info(self, index):
            info = mpii_sample(img_id=1)
            info['keypoints_visible'] = np.stack([info['keypoints_visible'], weights], axis=-1)
            return info

    results = mpii_sample(
        img_id=1, sample_idx=0, dataset=Weighted(), input_size=SIZE,
        input_center=np.array(SIZE) / 2, input_scale=np.array(SIZE, float),
    )  # fmt: skip
    visible = AddNeighbors()(results)['neighbor_keypoints_visible']
    np.testing.assert_array_equal(visible, mpii_sample()['keypoints_visible'])


@pytest.mark.parametrize('names', [('body', 'cpm'), ('mpii', 'ours')], ids=str)
def test_unknown_joint_sets_name_the_known_ones(names):
    (unknown,) = set(names) - {'cpm', 'mpii'}
    with pytest.raises(
        ValueError, match=f"no joint set '{unknown}'; there are: coco, cpm, flic, lsp"
    ):
        SelectJoints(*names)


def test_joint_that_the_data_set_has_not_is_named_at_once():
    with pytest.raises(ValueError, match="no joint 'head'"):
        SelectJoints('mpii', 'flic')


def test_samples_of_another_data_set_are_refused():
    with pytest.raises(ValueError, match='the sample has 16 joints, 14 were expected: right_ankle'):
        SelectJoints('lsp', 'cpm')(mpii_sample())


def test_joints_that_the_dataset_lacks_are_nobodys():
    coco = np.arange(2 * 17 * 2, dtype=np.float32).reshape(2, 17, 2)
    results = SelectJoints('coco', 'lsp', partial=True)(
        dict(
            keypoints=coco, keypoints_visible=np.ones((2, 17), np.float32), flip_indices=[],
            dataset_keypoint_weights=np.ones(17, np.float32), ori_shape=(100, 100),
        )
    )  # fmt: skip
    names = joint_set('lsp').names
    assert results['keypoints'].shape == (2, 14, 2)
    lacking = [name == 'head_top' for name in names]  # the neck is between the shoulders
    assert results['unknown_joints'].tolist() == lacking
    assert results['keypoints_visible'].tolist() == [[float(not one) for one in lacking]] * 2
    shoulders = coco[:, [5, 6]].mean(axis=1)
    np.testing.assert_array_equal(results['keypoints'][:, names.index('neck')], shoulders)
    assert len(results['dataset_keypoint_weights']) == 14
    with pytest.raises(ValueError, match="no joint 'head_top'"):
        SelectJoints('coco', 'lsp')


def test_a_lacking_joint_whose_partner_is_there_is_refused(monkeypatch):
    one_sided = JointSet(('nose', 'left_eye'))
    monkeypatch.setitem(JOINT_SETS, 'one_sided', one_sided)
    with pytest.raises(ValueError, match="'one_sided' has no 'right_eye', but its partner"):
        SelectJoints('one_sided', 'coco', partial=True)
