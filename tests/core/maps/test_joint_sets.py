"""The joint sets with limbs, against OpenPose's own lists of numbers."""

import pytest

from cpm_plugin.core.maps.joint_sets import JOINT_SETS, LSP, joint_set, joint_set_of

# OpenPose's poseParameters.cpp: body parts, pairs, and the first field channel of each pair.
PARTS = {
    'openpose_coco': (
        'Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee '
        'LAnkle REye LEye REar LEar'
    ),
    'openpose_body25': (
        'Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip '
        'LKnee LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel'
    ),
}
PAIRS = {
    'openpose_coco': (
        '1,2 1,5 2,3 3,4 5,6 6,7 1,8 8,9 9,10 1,11 11,12 12,13 1,0 0,14 14,16 0,15 15,17 2,16 5,17'
    ),
    'openpose_body25': (
        '1,8 1,2 1,5 2,3 3,4 5,6 6,7 8,9 9,10 10,11 8,12 12,13 13,14 1,0 0,15 15,17 0,16 16,18 '
        '2,17 5,18 14,19 19,20 14,21 11,22 22,23 11,24'
    ),
}
CHANNELS = {
    'openpose_coco': (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26),
    'openpose_body25': (
        0, 14, 22, 16, 18, 24, 26, 6, 2, 4, 8, 10, 12, 30, 32, 36, 34, 38, 20, 28, 40, 42, 44, 46,
        48, 50,
    ),
}  # fmt: skip
NOT_DRAWN = {'openpose_coco': {(2, 16), (5, 17)}, 'openpose_body25': {(2, 17), (5, 18)}}


def test_sets():
    assert set(JOINT_SETS) == {
        'coco', 'cpm', 'flic', 'lsp', 'mpii', 'openpose_body25', 'openpose_coco', 'person',
    }  # fmt: skip
    assert joint_set('lsp') is joint_set_of('lsp', 14) is joint_set_of(LSP, 14) is LSP
    assert joint_set_of(None, 14) is None
    with pytest.raises(ValueError, match=r"no joint set 'body'; there are: coco, cpm"):
        joint_set('body')
    with pytest.raises(ValueError, match=r'14 joints .*num_keypoints=15'):
        joint_set_of('lsp', 15)


@pytest.mark.parametrize('name', PARTS)
def test_openpose_joints_and_limbs(name):
    joints = JOINT_SETS[name]
    short = {'MidHip': 'pelvis'}
    for part, ours in zip(PARTS[name].split(), joints.names, strict=True):
        side, kind = ours.rpartition('_')[0], ours.replace('_', '')
        if side.startswith(('left', 'right')):
            assert part[0].lower() + part[1:].lower() == ours[0] + kind[4 + (ours[0] == 'r') :]
        else:
            assert short.get(part, part.lower()) == ours
    pairs = [tuple(map(int, pair.split(','))) for pair in PAIRS[name].split()]
    in_order = [pair for _, pair in sorted(zip(CHANNELS[name], pairs, strict=True))]
    assert sorted(CHANNELS[name]) == list(range(0, 2 * len(pairs), 2))
    assert list(joints.limb_indices) == in_order
    links = {tuple(map(joints.index, link)) for link in joints.links}
    assert links == set(pairs) - NOT_DRAWN[name]
    tree = {joints.limb_indices[position] for position in joints.tree_limbs}
    assert tree == links and len(tree) == len(joints.names) - 1


def test_coco_skeleton_is_that_of_its_annotations():
    """Counted from 1, as in person_keypoints_train2017.json."""
    skeleton = (
        (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8),
        (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
    )  # fmt: skip
    coco = JOINT_SETS['coco']
    assert coco.names[:5] == ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear')
    assert coco.names[5:7] == ('left_shoulder', 'right_shoulder')
    links = tuple((coco.index(a) + 1, coco.index(b) + 1) for a, b in coco.links)
    assert links == skeleton


@pytest.mark.parametrize('name, limbs', [('coco', 17), ('lsp', 13), ('cpm', 13)])
def test_trees(name, limbs):
    joints = JOINT_SETS[name]
    assert len(joints.limbs) == limbs
    assert len(joints.tree_limbs) == len(joints.names) - 1


def test_coco_tree_runs_over_the_shoulders():
    coco = JOINT_SETS['coco']
    left = set(range(len(coco.limbs))) - set(coco.tree_limbs)
    assert [coco.limbs[position] for position in left] == [('right_shoulder', 'nose')]


@pytest.mark.parametrize('name', [name for name in JOINT_SETS if JOINT_SETS[name].limbs])
def test_mirrored_limbs(name):
    """Twice mirrored is the same, and the limb that it becomes joins the partners."""
    joints = JOINT_SETS[name]
    for position, (other, turned) in enumerate(joints.flip_limbs):
        assert joints.flip_limbs[other] == (position, turned)
        ends = [joints.partner(end) or end for end in joints.limbs[position]]
        assert tuple(reversed(ends) if turned else ends) == joints.limbs[other]


def test_coco_shoulders_turn_round():
    flips = JOINT_SETS['coco'].flip_limbs
    assert flips[0] == (0, True)
    assert [turned for _, turned in flips[1:]] == [False] * 16


def test_openpose_joints_from_coco():
    """The neck lies between the shoulders, the pelvis between the hips."""
    coco = JOINT_SETS['coco']
    sources = coco.sources(JOINT_SETS['openpose_coco'])
    assert sources[:3] == ((0,), (6, 5), (6,))
    assert all(len(channels) == 1 for channels in sources[2:])
