"""CPMAffinityFields: the core's maps in a sample, and the people in them."""

import numpy as np
import pytest
from mmengine.dataset import Compose

from cpm_plugin.core.maps.affinity_fields import ideal_affinity_fields
from cpm_plugin.core.maps.belief_maps import background_map, ideal_belief_maps
from cpm_plugin.core.maps.grouping import People
from cpm_plugin.core.maps.joint_sets import LSP, OPENPOSE_COCO
from cpm_plugin.mmpose import CPMAffinityFields, affinity_codec
from cpm_plugin.mmpose.labels import LabelError

from mmpose.registry import TRANSFORMS

# A person of LSP's 14 joints, and the same one 100 pixels to the right.
ONE = np.array(
    [(30, 170), (32, 130), (34, 96), (58, 96), (60, 130), (62, 170), (10, 92), (14, 68), (26, 46),
     (66, 46), (78, 68), (82, 92), (46, 42), (46, 12)], dtype=np.float32,
)  # fmt: skip
TWO = np.stack([ONE, ONE + np.array([100, 8])])
SEEN = np.ones((2, 14), dtype=np.float32)


def codec(**arguments):
    given = dict(input_size=(192, 192), heatmap_size=(24, 24), joints='lsp')
    return CPMAffinityFields(**{**given, **arguments})


def assert_people(keypoints, scores, points=TWO):
    assert keypoints.shape == points.shape and keypoints.dtype == scores.dtype == np.float32
    order = np.abs(keypoints[:, None, 0] - points[None, :, 0]).sum(axis=-1).argmin(axis=0)
    np.testing.assert_allclose(keypoints[order], points, atol=0.02)
    assert (scores > 0.5).all()


def test_targets_are_those_of_the_core():
    seen = SEEN.copy()
    seen[1, 13] = 0.4  # not labeled
    found = codec(sigma=6.0, limb_width=5.0).encode(TWO, seen)
    maps = ideal_belief_maps(TWO, seen >= 0.5, (24, 24), sigma=6.0)
    assert set(found) == {'heatmaps', 'affinity_fields'}
    np.testing.assert_array_equal(found['heatmaps'][:14], maps)
    np.testing.assert_array_equal(found['heatmaps'][14:], background_map(maps))
    fields = ideal_affinity_fields(TWO, seen >= 0.5, LSP.limb_indices, (24, 24), width=5.0)
    np.testing.assert_array_equal(found['affinity_fields'], fields)
    assert all(one.dtype == np.float32 for one in found.values())
    head_top = fields[:2]  # from the neck straight up: of one person
    assert set(head_top[1].ravel()) == {-1.0, 0.0} and not head_top[0].any()
    assert not head_top[:, :, 13:].any()
    assert codec(background=False).encode(TWO)['heatmaps'].shape == (14, 24, 24)


def test_nobody_gives_empty_maps_and_nobody():
    found = codec().encode(np.zeros((0, 14, 2), np.float32), np.zeros((0, 14), np.float32))
    assert not found['heatmaps'][:14].any() and (found['heatmaps'][14] == 1).all()
    assert not found['affinity_fields'].any()
    keypoints, scores, people = codec().decode(found['heatmaps'][:14], found['affinity_fields'])
    assert (keypoints.shape, scores.shape, people.shape) == ((0, 14, 2), (0, 14), (0,))


def test_decode_finds_who_was_encoded():
    found = codec().encode(TWO, SEEN)
    keypoints, scores, people = codec().decode(found['heatmaps'][:14], found['affinity_fields'])
    assert_people(keypoints, scores)
    np.testing.assert_allclose(people, 1, atol=0.1)


def test_a_joint_not_found_is_in_the_middle_of_the_others():
    seen = SEEN[:1].copy()
    seen[0, 0] = 0  # an ankle
    found = codec().encode(TWO[:1], seen)
    keypoints, scores, _ = codec().decode(found['heatmaps'][:14], found['affinity_fields'])
    assert scores[0, 0] == 0
    np.testing.assert_allclose(keypoints[0, 0], ONE[1:].mean(axis=0), atol=0.05)


def test_thresholds_reach_the_grouping():
    found = codec().encode(TWO, SEEN)
    maps = found['heatmaps'][:14], found['affinity_fields']
    for name, value, people in (
        ('max_people', 1, 1), ('min_parts', 15, 0), ('min_score', 9.0, 0),
        ('peak_threshold', 2.0, 0), ('field_threshold', 2.0, 0), ('min_above', 1.0, 0),
    ):  # fmt: skip
        assert len(codec(**{name: value}).decode(*maps)[0]) == people, name


def test_limbs_of_the_drawn_tree_come_first(monkeypatch):
    """OpenPose's ears hang on eyes, not on shoulders, though the shoulders' limbs are earlier."""
    asked = []
    nobody = People(np.zeros((0, 18, 2)), np.zeros((0, 18)), np.zeros(0))
    monkeypatch.setattr(
        affinity_codec, 'group_people', lambda *_, tree, **__: asked.append(tree) or nobody
    )
    codec(joints='openpose_coco').decode(None, None)
    assert asked == [OPENPOSE_COCO.tree_limbs]
    limbs = [OPENPOSE_COCO.limbs[position] for position in asked[0]]
    assert ('right_shoulder', 'right_ear') not in limbs and ('right_eye', 'right_ear') in limbs


def test_stock_transforms_carry_the_maps_of_other_joints():
    """COCO's 17 joints to OpenPose's 18, with a neck where both shoulders are labeled."""
    points = np.random.default_rng(0).uniform(20, 170, (2, 17, 2)).astype(np.float32)
    seen = np.ones((2, 17), np.float32)
    seen[1, 5] = 0  # a shoulder of the second person
    encode = dict(
        type='CPMAffinityFields', input_size=(192, 192), heatmap_size=(24, 24),
        joints='openpose_coco',
    )  # fmt: skip
    pipeline = Compose(
        [
            TRANSFORMS.build(step)
            for step in (
                dict(type='SelectJoints', source='coco', target='openpose_coco'),
                dict(type='GenerateTarget', encoder=encode),
                dict(type='PeopleMask'),
                dict(type='PackPoseInputs'),
            )
        ]
    )
    packed = pipeline(
        dict(
            img=np.zeros((192, 192, 3), np.uint8), img_shape=(192, 192), ori_shape=(192, 192),
            input_size=(192, 192), keypoints=points.copy(), keypoints_visible=seen,
            dataset_keypoint_weights=np.ones(17), flip_indices=list(range(17)),
        )
    )  # fmt: skip
    fields = packed['data_samples'].gt_fields
    assert fields.heatmaps.shape == (19, 24, 24) and fields.affinity_fields.shape == (38, 24, 24)
    assert fields.heatmap_mask.shape == (1, 24, 24) and fields.heatmap_mask.all()
    neck = ideal_belief_maps(points[:1, [5, 6]].mean(axis=1, keepdims=True), [[1]], (24, 24))
    np.testing.assert_allclose(fields.heatmaps[1].numpy(), neck[0], atol=1e-6)


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(heatmap_size=(24, 12)), 'must be a whole multiple'),
        (dict(heatmap_size=(25, 25)), 'must be a whole multiple'),
        (dict(sigma=0), 'sigma 0 and limb_width 8.0 must be positive'),
        (dict(limb_width=-1), 'limb_width -1 must be positive'),
        (dict(joints='person'), "joints='person' have no limbs"),
        (dict(joints='nobody'), "'nobody'"),
    ],
)
def test_wrong_settings_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        codec(**arguments)


def test_wrong_samples_are_named():
    with pytest.raises(ValueError, match=r'a\.jpg.*17 keypoints, but joints .* 14 .*SelectJoints'):
        codec().encode(np.zeros((1, 17, 2)), np.ones((1, 17)), img_path='a.jpg')
    with pytest.raises(LabelError, match=r'a\.jpg.*visibilities \(1, 13\) do not fit'):
        codec().encode(TWO[:1], np.ones((1, 13)), img_path='a.jpg')
    broken = TWO.copy()
    broken[1, 3, 0] = np.nan
    with pytest.raises(LabelError, match=r'a\.jpg.*in pixels of the input: '):
        codec().encode(broken, SEEN, img_path='a.jpg')
