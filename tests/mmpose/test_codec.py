"""CPMHeatmap: targets of known positions, and positions of known maps."""

import json
import math

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from cpm_plugin.mmpose import CPMHeatmap

from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.registry import DATASETS, KEYPOINT_CODECS, MODELS


def codec(**arguments):
    return KEYPOINT_CODECS.build(
        dict(type='CPMHeatmap', input_size=(64, 48), heatmap_size=(8, 6), **arguments)
    )


def points(*xy):
    return np.array([xy], dtype=np.float32)


def test_gaussian_of_a_joint_on_a_cell_by_hand():
    # cell (2, 3) is centered at 8 g + 3.5; sigma is 7 pixels
    (heatmap,) = codec().encode(points((19.5, 27.5)))['heatmaps']
    assert heatmap.dtype == np.float32 and heatmap.shape == (6, 8)
    one, two, diagonal = np.exp(-64 / 98), np.exp(-256 / 98), np.exp(-128 / 98)
    assert heatmap[3, 2] == 1
    np.testing.assert_allclose(heatmap[3, [1, 3]], one, rtol=1e-6)
    np.testing.assert_allclose(heatmap[[2, 4], 2], one, rtol=1e-6)
    np.testing.assert_allclose(heatmap[3, [0, 4]], two, rtol=1e-6)
    np.testing.assert_allclose(heatmap[2, 1], diagonal, rtol=1e-6)
    assert heatmap[3, 5] == 0  # 24 pixels away: below 0.01
    assert np.count_nonzero(heatmap) == 25 - 4  # the corners of 5 x 5 are below 0.01, too


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (dict(sigma=14.0), np.exp(-64 / 392)),
        (dict(truncation=0.6), 0),
        (dict(), np.exp(-64 / 98)),
    ],
    ids=['sigma', 'truncation', 'default'],
)
def test_arguments_reach_the_maps(arguments, expected):
    heatmaps = codec(**arguments).encode(points((19.5, 27.5)))['heatmaps']
    assert heatmaps[0, 3, 3] == pytest.approx(expected, rel=1e-6)


def test_another_stride():
    encoder = CPMHeatmap(input_size=(32, 24), heatmap_size=(8, 6), sigma=4.0)
    (heatmap,) = encoder.encode(points((4 * 5 + 1.5, 4 * 2 + 1.5)))['heatmaps']
    assert np.unravel_index(heatmap.argmax(), heatmap.shape) == (2, 5)
    assert heatmap[2, 4] == pytest.approx(np.exp(-0.5), rel=1e-6)
    found, _ = encoder.decode(heatmap[None])
    np.testing.assert_allclose(found, [[[21.5, 9.5]]], atol=1e-4)


def test_weights_of_unlabeled_and_outside_joints():
    # the map reaches from 3.5 to 59.5; 3 sigma are 21 pixels
    keypoints = points((19.5, 27.5), (19.5, 27.5), (-17, 20), (-18, 20), (80, 20), (81, 20))
    encoded = codec().encode(keypoints, np.array([[1, 0, 1, 1, 1, 1]], np.float32))
    assert encoded['keypoint_weights'].tolist() == [[1, 0, 1, 0, 1, 0]]
    assert encoded['keypoint_weights'].dtype == np.float32
    assert not encoded['heatmaps'][1].any()
    assert 'background_weights' not in encoded


def test_without_visible_every_joint_is_labeled():
    assert codec().encode(points((1, 1), (9, 9)))['keypoint_weights'].tolist() == [[1, 1]]


@pytest.mark.parametrize(('visible', 'expected'), [([1, 1], 1), ([1, 0], 0), ([0, 0], 0)], ids=str)
def test_background_weight_needs_every_joint_labeled(visible, expected):
    keypoints = points((19.5, 27.5), (300, 300))  # outside, but known to be
    encoded = codec(background=True).encode(keypoints, np.array([visible], np.float32))
    assert encoded['background_weights'].tolist() == [[expected]]
    assert encoded['background_weights'].dtype == np.float32


# labeled; not labeled; labeled and outside; not labeled and outside
FOUR = points((19.5, 27.5), (19.5, 27.5), (200, 20), (200, 20))
SEEN = np.array([[1, 0, 1, 0]], np.float32)


@pytest.mark.parametrize(
    ('mask_unlabeled', 'mask_outside', 'weights', 'background'),
    [
        (True, True, [1, 0, 0, 0], 0),
        (True, False, [1, 0, 1, 0], 0),
        (False, True, [1, 1, 0, 1], 1),
        (False, False, [1, 1, 1, 1], 1),
    ],
    ids=['default', 'outside counts', 'unlabeled counts', "the authors'"],
)
def test_what_counts_in_the_loss(mask_unlabeled, mask_outside, weights, background):
    """The maps are the same in all cases: empty but for the first joint's."""
    masks = dict(mask_unlabeled=mask_unlabeled, mask_outside=mask_outside)
    encoded = codec(background=True, **masks).encode(FOUR, SEEN)
    assert encoded['keypoint_weights'].tolist() == [weights]
    assert encoded['background_weights'].tolist() == [[background]]
    for name in ('keypoint_weights', 'background_weights'):
        assert encoded[name].dtype == np.float32
    one = codec().encode(points((19.5, 27.5)))['heatmaps']
    np.testing.assert_array_equal(encoded['heatmaps'][:1], one)
    assert not encoded['heatmaps'][1:4].any()
    np.testing.assert_array_equal(encoded['heatmaps'][4], 1 - one[0])


def test_unlabeled_nan_counts_as_an_empty_map():
    """Of the authors' way, too: no position is looked at where there is none."""
    nowhere = points((19.5, 27.5), (np.nan, np.nan))
    for mask_outside in (False, True):
        encoder = codec(background=True, mask_unlabeled=False, mask_outside=mask_outside)
        encoded = encoder.encode(nowhere, np.array([[1, 0]], np.float32))
        assert encoded['keypoint_weights'].tolist() == [[1, 1]]
        assert np.isfinite(encoded['heatmaps']).all() and not encoded['heatmaps'][1].any()


def test_background_is_one_minus_the_largest_belief():
    encoded = codec(background=True).encode(points((19.5, 27.5), (35.5, 27.5)))
    assert encoded['heatmaps'].shape == (3, 6, 8)
    background = encoded['heatmaps'][2]
    assert background[3, 2] == background[3, 4] == 0
    assert background[3, 3] == pytest.approx(1 - np.exp(-64 / 98), rel=1e-6)
    assert background[0, 7] == 1
    assert encoded['keypoint_weights'].shape == (1, 2)


def test_unlabeled_nan_leaves_no_trace():
    encoded = codec(background=True).encode(
        points((19.5, 27.5), (np.nan, np.nan)), np.array([[1, 0]], np.float32)
    )
    assert np.isfinite(encoded['heatmaps']).all()
    assert encoded['keypoint_weights'].tolist() == [[1, 0]]


# -- everybody in the crop


def test_everybodys_map_is_the_sum_of_the_single_ones_cut_at_one():
    person = points((19.5, 27.5), (35.5, 11.5))
    others = np.concatenate([points((43.5, 27.5), (10.0, 10.0)), points((12, 12), (50, 40))])
    visible = np.array([[1, 0], [1, 1]], np.float32)
    encoded = codec(all_people=True, background=True).encode(
        person, np.ones((1, 2), np.float32), others, visible
    )
    alone = codec()
    singles = [alone.encode(person)['heatmaps']] + [
        alone.encode(one[None], seen[None])['heatmaps'] for one, seen in zip(others, visible)
    ]
    expected = np.minimum(np.sum(singles, axis=0), 1)
    assert np.sum(singles, axis=0).max() > 1.01  # the cut matters
    np.testing.assert_allclose(encoded['heatmaps_all'][:2], expected, atol=1e-6)
    np.testing.assert_allclose(encoded['heatmaps_all'][2], 1 - expected.max(axis=0), atol=1e-6)
    np.testing.assert_array_equal(encoded['heatmaps'][:2], singles[0])  # the person alone
    assert encoded['heatmaps_all'][0, 3, 5] == 1
    # neighbors have no say in the weights
    assert encoded['keypoint_weights'].tolist() == [[1, 1]]
    assert encoded['background_weights'].tolist() == [[1]]


def test_without_neighbors_both_maps_are_equal():
    encoded = codec(all_people=True).encode(
        points((19.5, 27.5)), None, np.zeros((0, 1, 2)), np.zeros((0, 1))
    )
    np.testing.assert_array_equal(encoded['heatmaps_all'], encoded['heatmaps'])


def test_missing_neighbors_name_the_transform():
    with pytest.raises(ValueError, match='AddNeighbors'):
        codec(all_people=True).encode(points((19.5, 27.5)))


def test_neighbors_are_ignored_unless_asked_for():
    encoded = codec().encode(points((19.5, 27.5)), None, points((40, 20)), np.ones((1, 1)))
    assert 'heatmaps_all' not in encoded


# -- decode


def test_round_trip_is_exact_between_cells():
    generator = np.random.default_rng(0)
    keypoints = generator.uniform((4, 4), (59, 43), (1, 200, 2))
    found, scores = codec().decode(codec().encode(keypoints)['heatmaps'])
    assert found.shape == (1, 200, 2) and scores.shape == (1, 200)
    assert found.dtype == scores.dtype == np.float32
    np.testing.assert_allclose(found, keypoints, atol=1e-3)
    # at most half a cell from the peak's cell on both axes
    assert np.exp(-2 * 16 / 98) - 1e-6 <= scores.min() and scores.max() <= 1


def test_without_subpixel_the_cell_is_returned():
    heatmaps = codec().encode(points((21.0, 25.0)))['heatmaps']
    found, _ = codec(subpixel=False).decode(heatmaps)
    assert found.tolist() == [[[19.5, 27.5]]]


@pytest.mark.parametrize('kind', [torch.as_tensor, np.asarray])
def test_batch_decode_equals_decode(kind):
    maps = np.random.default_rng(1).random((3, 5, 6, 8)).astype(np.float32)
    keypoints, scores = codec().batch_decode(kind(maps))
    assert len(keypoints) == len(scores) == 3
    for index in range(3):
        one, score = codec().decode(maps[index])
        np.testing.assert_array_equal(keypoints[index], one)
        np.testing.assert_array_equal(scores[index], score)
    assert codec().support_batch_decoding


# -- in MMPose's pipeline


def pack(encoder, people, visible):
    results = dict(
        img=np.full((48, 64, 3), 200, np.uint8),
        transformed_keypoints=people[:1],
        keypoints=people[:1] * 9,  # those of the image; not to be encoded
        keypoints_visible=visible[:1],
        neighbor_keypoints=people[1:],
        neighbor_keypoints_visible=visible[1:],
        dataset_keypoint_weights=np.ones(people.shape[1]),
    )
    return PackPoseInputs(meta_keys=())(GenerateTarget(encoder=encoder)(results))


def test_targets_pass_through_stock_pipeline_and_preprocessor():
    encoder = dict(
        type='CPMHeatmap',
        input_size=(64, 48),
        heatmap_size=(8, 6),
        background=True,
        all_people=True,
    )
    people = np.array([[[19.5, 27.5], [35.5, 11.5]], [[43.5, 27.5], [3.5, 3.5]]])
    packed = [
        pack(encoder, people, np.array([[1.0, 1.0], [1.0, 1.0]])),
        pack(encoder, people[:1], np.array([[1.0, 0.0]])),
    ]
    preprocessor = MODELS.build(
        dict(type='PoseDataPreprocessor', mean=[128.0] * 3, std=[256.0] * 3)
    )
    data = preprocessor(pseudo_collate(packed), training=True)
    assert torch.equal(data['inputs'], torch.full((2, 3, 48, 64), 72 / 256))
    both, single = data['data_samples']
    direct = codec(background=True, all_people=True).encode(
        people[:1], np.ones((1, 2)), people[1:], np.ones((1, 2))
    )
    for name in ('heatmaps', 'heatmaps_all'):
        np.testing.assert_array_equal(getattr(both.gt_fields, name), direct[name])
    assert both.gt_fields.heatmaps_all[0, 3, 5] == 1
    assert torch.equal(single.gt_fields.heatmaps, single.gt_fields.heatmaps_all)
    labels = [sample.gt_instance_labels for sample in (both, single)]
    assert [label.keypoint_weights.tolist() for label in labels] == [[[1, 1]], [[1, 0]]]
    assert [label.background_weights.tolist() for label in labels] == [[[1]], [[0]]]


def test_pipeline_without_add_neighbors_is_told_so():
    encoder = dict(type='CPMHeatmap', input_size=(64, 48), heatmap_size=(8, 6), all_people=True)
    results = dict(keypoints=points((9, 9)), keypoints_visible=np.ones((1, 1)))
    with pytest.raises(ValueError, match="dict\\(type='AddNeighbors'\\) after TopdownAffine"):
        GenerateTarget(encoder=encoder)(results)


# -- the authors' recipe on MPII, from the annotations to the targets

MPI_TO_OURS = [9, 8, 12, 11, 10, 13, 14, 15, 2, 1, 0, 3, 4, 5]
RIGHT, LEFT = [3, 4, 5, 9, 10, 11], [6, 7, 8, 12, 13, 14]  # swapLeftRight, from 1 on
UNLABELED = {0: [2, 10, 13], 1: [8]}  # MPII's joints of the two people


def put_gaussian_maps(entry, center, stride, sigma):
    """putGaussianMaps of the authors' data_transformer.cpp."""
    start = stride / 2 - 0.5
    for g_y in range(entry.shape[0]):
        for g_x in range(entry.shape[1]):
            x, y = start + g_x * stride, start + g_y * stride
            exponent = ((x - center[0]) ** 2 + (y - center[1]) ** 2) / 2 / sigma / sigma
            if exponent > 4.6052:
                continue
            entry[g_y, g_x] = min(entry[g_y, g_x] + math.exp(-exponent), 1)


def generate_label_map(joints, labeled, others, others_labeled):
    """generateLabelMap of the same file: (person, everybody), np + 1 maps each."""
    count = len(joints)
    label = np.zeros((2, count + 1, 46, 46))
    for i in range(count):
        if labeled[i]:
            put_gaussian_maps(label[0, i], joints[i], 8, 7)
            put_gaussian_maps(label[1, i], joints[i], 8, 7)
        for other, seen in zip(others, others_labeled, strict=True):
            if seen[i]:
                put_gaussian_maps(label[1, i], other[i], 8, 7)
    label[:, count] = np.maximum(1 - label[:, :count].max(axis=1), 0)
    return label


@pytest.fixture(scope='module')
def mpii_people(tmp_path_factory):
    """Two people in one image; MPII counts pixels from 1, and center and scale are its own."""
    root = tmp_path_factory.mktemp('mpii')
    generator = np.random.default_rng(3)
    people = []
    for number, center in enumerate([(150, 150), (215, 155)]):
        joints = np.array(center) + generator.uniform((-45, -80), (45, 80), (16, 2))
        visible = np.ones(16, int)
        visible[UNLABELED[number]] = 0
        joints[UNLABELED[number]] = -1
        people.append(
            dict(
                image='1.png',
                center=center,
                scale=0.9 + 0.2 * number,
                joints=joints.tolist(),
                joints_vis=visible.tolist(),
            )
        )
    (root / 'people.json').write_text(json.dumps(people))
    image = np.full((240, 300, 3), (10, 40, 60), np.uint8)
    for person in people:
        x, y = (value - 1 for value in person['center'])
        cv2.circle(image, (x, y), 4, (255, 255, 255), -1)
    cv2.imwrite(str(root / '1.png'), image)
    return root, people


def recipe(repo):
    folder = repo / 'configs' / 'body_2d_keypoint' / 'topdown_heatmap' / 'mpii'
    return Config.fromfile(folder / 'td-hm_cpm-6s_paper_1xb16-600k_mpii-368x368.py')


def mapped(points, results, center, scale):
    """Points of the image in the crop that was drawn, by the authors' arithmetic."""
    points = np.asarray(points, float)
    if results['flip']:
        points, center = points * [-1, 1] + [299, 0], (299 - center[0], center[1])
    factor = 368 * 35 / 41 * scale / results['bbox_scale'][0, 0]
    assert 0.7 <= factor <= 1.3
    (degree,) = results['bbox_rotation']
    assert -40 <= degree <= 40
    angle, resize = np.deg2rad(degree), 41 / 35 / scale * factor
    rotation = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    return 184 + resize * (points - center) @ np.transpose(rotation)


@pytest.mark.parametrize('person', [0, 1])
@pytest.mark.parametrize('flip', [False, True], ids=['plain', 'flipped'])
def test_recipe_gives_the_authors_targets(repo, mpii_people, person, flip):
    root, people = mpii_people
    cfg = recipe(repo)
    config = dict(cfg.train_dataloader.dataset, data_root=str(root), ann_file='people.json')
    config.update(data_prefix=dict(img=''))
    dataset = DATASETS.build(config)
    *steps, pack = dataset.pipeline.transforms
    (mirror,) = (step for step in steps if type(step).__name__ == 'RandomFlip')
    mirror.prob = float(flip)
    results = dataset.get_data_info(person)
    results.update(dataset=dataset)
    for step in steps:
        results = step(results)
    assert results['flip'] == flip

    me, center = people[person], np.array(people[person]['center']) - 1.0
    ours = MPI_TO_OURS.copy()
    if flip:
        for right, left in zip(RIGHT, LEFT, strict=True):
            ours[right - 1], ours[left - 1] = ours[left - 1], ours[right - 1]
    everybody = [me, people[1 - person]]
    # the authors take 1 from center and joints, and leave out joints outside the image
    places = [np.array(one['joints'])[:, :2] - 1.0 for one in everybody]
    joints = [mapped(place, results, center, me['scale'])[ours] for place in places]
    inside = [((place >= 0) & (place < (300, 240))).all(axis=1) for place in places]
    labeled = [
        (np.array(one['joints_vis']) * there)[ours]
        for one, there in zip(everybody, inside, strict=True)
    ]
    expected = generate_label_map(joints[0], labeled[0], joints[1:], labeled[1:])
    packed = pack(results)
    fields, labels = packed['data_samples'].gt_fields, packed['data_samples'].gt_instance_labels
    assert fields.heatmaps.shape == fields.heatmaps_all.shape == (15, 46, 46)
    np.testing.assert_allclose(fields.heatmaps, expected[0], atol=2e-4)
    np.testing.assert_allclose(fields.heatmaps_all, expected[1], atol=2e-4)
    assert np.abs(expected[1] - expected[0])[:14].max() > 0.9  # the other person is in the crop

    missing = [ours.index(joint) for joint in UNLABELED[person]]
    assert not fields.heatmaps[missing].any()
    assert (fields.heatmaps[:14].amax(dim=(1, 2)) > 0).sum() == 14 - len(missing)
    assert fields.heatmaps_all[missing].amax(dim=(1, 2)).min() > 0.5
    assert labels.keypoint_weights.tolist() == [[1] * 14]
    assert labels.background_weights.tolist() == [[1]]

    # the image, and what the network sees of it
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    (image,) = preprocessor(pseudo_collate([packed]), training=True)['inputs']
    assert tuple(image.shape) == (4, 368, 368)
    for one in everybody:
        x, y = mapped(np.array(one['center']) - 1.0, results, center, me['scale']).round()
        assert torch.equal(image[:3, int(y), int(x)], torch.full((3,), 127 / 256))
    inside = results['img'][184 - 60, 184 - 60]  # blue, green and red of the image, in its order
    np.testing.assert_allclose(inside[:3], (10, 40, 60), atol=1)
    np.testing.assert_allclose(image[:3, 124, 124] * 256 + 128, inside[:3], atol=1e-4)
    assert image[3, 184, 184] == 1
    assert image[3, 184, 184 + 21].item() == pytest.approx(math.exp(-0.5), rel=1e-5)
    # below the image there is 128, 0 for the network
    x, y = mapped((center[0], 245), results, center, me['scale']).round().astype(int)
    assert not image[:3, y, x].any()


# -- errors


@pytest.mark.parametrize(
    ('input_size', 'heatmap_size'),
    [((64, 48), (8, 7)), ((64, 48), (8, 8)), ((60, 45), (8, 6)), ((64, 48), (6, 8))],
    ids=str,
)
def test_unequal_or_broken_strides_are_refused(input_size, heatmap_size):
    with pytest.raises(ValueError, match='whole multiple'):
        CPMHeatmap(input_size=input_size, heatmap_size=heatmap_size)


@pytest.mark.parametrize('sigma', [0, -1.0])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(ValueError, match=f'sigma {sigma}'):
        codec(sigma=sigma)


def test_visibilities_that_do_not_fit_name_the_sample():
    step = GenerateTarget(encoder=dict(type='CPMHeatmap', input_size=(64, 48), heatmap_size=(8, 6)))
    results = dict(
        keypoints=points((9, 9), (5, 5)), keypoints_visible=np.ones((1, 3)), img_path='a.jpg', id=7
    )
    message = r'a\.jpg, annotation 7: visibilities \(1, 3\) do not fit keypoints \(1, 2, 2\)'
    with pytest.raises(ValueError, match=message):
        step(results)


def test_two_people_in_one_sample_are_refused():
    with pytest.raises(ValueError, match='2 people'):
        codec().encode(np.zeros((2, 3, 2)))
