"""The order and the sides of the joints of every dataset and network."""

import dataclasses

import pytest

from cpm_plugin.core import LSP, JointSet
from cpm_plugin.core.maps.joint_sets import JOINT_SETS


def test_lsp_order_is_that_of_its_readme():
    """Right ankle to left ankle, right wrist to left wrist, neck, head top."""
    assert LSP.names == (
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
        'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow',
        'left_wrist', 'neck', 'head_top',
    )  # fmt: skip


def test_lsp_flip_indices():
    assert LSP.flip_indices == (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13)


def test_lsp_groups():
    assert LSP.groups() == {
        'ankle': (0, 5),
        'knee': (1, 4),
        'hip': (2, 3),
        'wrist': (6, 11),
        'elbow': (7, 10),
        'shoulder': (8, 9),
        'head': (12, 13),
    }


def test_lsp_links_connect_every_joint_and_are_symmetric():
    assert {name for link in LSP.links for name in link} == set(LSP.names)
    bones = {frozenset(link) for link in LSP.links}
    mirrored = {frozenset(LSP.partner(name) or name for name in link) for link in LSP.links}
    assert bones == mirrored
    assert len(bones) == len(LSP.links)


def test_partner():
    assert LSP.partner('left_hip') == 'right_hip'
    assert LSP.partner('right_ankle') == 'left_ankle'
    assert LSP.partner('neck') == ''


def test_joint_whose_other_side_is_not_in_the_set_stays():
    joints = JointSet(('left_eye', 'left_ear', 'right_ear', 'leftover'))
    assert joints.partner('left_eye') == ''
    assert joints.flip_indices == (0, 2, 1, 3)


@pytest.mark.parametrize(
    ('left', 'right'),
    [
        ('l_eye', 'r_eye'), ('eye_left', 'eye_right'), ('eye-L', 'eye-R'), ('leftEye', 'rightEye'),
        ('LEye', 'REye'), ('Left eye', 'Right eye'), ('LEFT_EYE', 'RIGHT_EYE'), ('eye.l', 'eye.r'),
    ],
)  # fmt: skip
def test_sides_of_other_names(left, right):
    joints = JointSet((right, 'nose', left))
    assert joints.flip_indices == (2, 1, 0)
    assert [joints.side(name) for name in (left, right)] == ['left', 'right']


@pytest.mark.parametrize(
    'name', ['lip', 'rim', 'Lip', 'leftover', 'right', 'nail', 'r', 'copyright']
)
def test_names_that_only_look_like_a_side(name):
    others = ('rip', 'lim', 'Rip', 'rightover', 'left', 'l', 'copyleft')
    assert JointSet.side(name) == ''
    assert JointSet((name, *others)).partner(name) == ''


def test_index_names_what_there_is():
    assert LSP.index('head_top') == 13
    with pytest.raises(ValueError, match=r"no joint 'nose'.*right_ankle, .*head_top"):
        LSP.index('nose')


def test_a_joint_set_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LSP.names = ()


# -- the authors' joint sets


def test_orders_of_the_authors_networks():
    """part_str of their testing/config.m: Rsho, Relb, ... with left and right of the person."""
    parts = {
        'head': 'head_top', 'neck': 'neck', 'sho': 'shoulder', 'elb': 'elbow', 'wri': 'wrist',
        'hip': 'hip', 'kne': 'knee', 'ank': 'ankle',
    }  # fmt: skip
    sides = {'R': 'right_', 'L': 'left_'}

    def names(part_str):
        return tuple(
            sides[part[0]] + parts[part[1:]] if part[0] in sides else parts[part]
            for part in part_str.split()
        )

    cpm = 'head neck Rsho Relb Rwri Lsho Lelb Lwri Rhip Rkne Rank Lhip Lkne Lank'
    assert JOINT_SETS['cpm'].names == names(cpm)
    flic = names('Lsho Lelb Lwri Rsho Relb Rwri Lhip Rhip head')
    assert JOINT_SETS['flic'].names == (*flic[:-1], 'head')  # the face, not the top of the head
    assert JOINT_SETS['person'].names == ('person',)


@pytest.mark.parametrize(
    'name, right, left',
    [
        ('cpm', (3, 4, 5, 9, 10, 11), (6, 7, 8, 12, 13, 14)),
        ('flic', (1, 2, 3, 7), (4, 5, 6, 8)),
        # the comment above it: right 0, 1, 2 and 10, 11, 12; left 5, 4, 3 and 15, 14, 13
        ('mpii', (1, 2, 3, 11, 12, 13), (6, 5, 4, 16, 15, 14)),
    ],
)
def test_flip_indices_are_the_authors_swap(name, right, left):
    """swapLeftRight of data_transformer.cpp, which counts from 1."""
    joints = JOINT_SETS[name]
    order = list(range(len(joints.names)))
    for one, other in zip(right, left, strict=True):
        order[one - 1], order[other - 1] = order[other - 1], order[one - 1]
    assert joints.flip_indices == tuple(order)


def test_order_of_mpii():
    """The comment of genJSON.m: 6 pelvis, 7 thorax, 8 upper neck, 9 head top."""
    joints = JOINT_SETS['mpii']
    assert joints.names[6:10] == ('pelvis', 'thorax', 'neck', 'head_top')
    limbs = ('ankle', 'knee', 'hip', 'wrist', 'elbow', 'shoulder')
    numbers = dict(right=(0, 1, 2, 10, 11, 12), left=(5, 4, 3, 15, 14, 13))
    for side, channels in numbers.items():
        assert tuple(joints.index(f'{side}_{limb}') for limb in limbs) == channels


def test_sources_of_the_authors_joints_in_mpii_are_their_list():
    """MPI_to_ours of TransformJoints, data_transformer.cpp."""
    expected = (9, 8, 12, 11, 10, 13, 14, 15, 2, 1, 0, 3, 4, 5)
    sources = JOINT_SETS['mpii'].sources(JOINT_SETS['cpm'])
    assert sources == tuple((channel,) for channel in expected)


def test_pelvis_and_thorax_lie_between_hips_and_shoulders():
    cpm, mpii = JOINT_SETS['cpm'], JOINT_SETS['mpii']
    sources = cpm.sources(mpii)
    assert sources[6] == (8, 11)
    assert sources[7] == (2, 5)
    for target, channels in enumerate(sources):
        if target not in (6, 7):
            assert [cpm.names[channel] for channel in channels] == [mpii.names[target]]
    assert mpii.sources(mpii) == tuple((channel,) for channel in range(16))  # its own ones


def test_sources_between_sets_of_other_orders():
    other = JointSet(('left_hip', 'neck', 'right_hip'))
    assert LSP.sources(other) == ((3,), (12,), (2,))
    assert other.sources(JointSet(('pelvis', 'neck'))) == ((2, 0), (1,))


@pytest.mark.parametrize(
    'source, target, missing',
    [
        ('cpm', 'flic', 'head'),
        ('flic', 'cpm', 'head_top'),
        ('person', 'mpii', 'right_ankle'),
        ('lsp', 'person', 'person'),
    ],
)
def test_joint_that_a_set_cannot_give_is_named(source, target, missing):
    source, target = JOINT_SETS[source], JOINT_SETS[target]
    with pytest.raises(ValueError, match=f'no joint {missing!r}, which') as error:
        source.sources(target)
    for names in (source.names, target.names):
        assert ', '.join(names) in str(error.value)


def test_a_joint_between_needs_both_of_its_neighbors():
    half = JointSet(('left_hip', 'neck'))
    with pytest.raises(ValueError, match=r"no joint 'pelvis'.*there are: left_hip, neck"):
        half.sources(JointSet(('pelvis',)))


@pytest.mark.parametrize('name', JOINT_SETS)
def test_links_of_every_set_are_symmetric(name):
    joints = JOINT_SETS[name]
    bones = {frozenset(link) for link in joints.links}
    assert len(bones) == len(joints.links)
    assert all(len(bone) == 2 for bone in bones)
    assert bones == {frozenset(joints.partner(end) or end for end in bone) for bone in bones}


def test_names_given_twice_and_links_to_nowhere_are_refused():
    with pytest.raises(ValueError, match='must be unique: neck, hip, neck'):
        JointSet(('neck', 'hip', 'neck'))
    with pytest.raises(ValueError, match="no joint 'knee'; there are: neck, hip"):
        JointSet(('neck', 'hip'), links=(('hip', 'knee'),))


# -- limbs

BODY = JointSet(
    names=('neck', 'left_hip', 'right_hip', 'left_ear', 'right_ear'),
    links=(('neck', 'left_ear'), ('neck', 'right_ear')),
    limbs=(
        ('left_hip', 'right_hip'),
        ('left_hip', 'left_ear'), ('right_ear', 'right_hip'),
        ('neck', 'left_ear'), ('neck', 'right_ear'),
    ),
)  # fmt: skip


def test_limb_indices():
    assert BODY.limb_indices == ((1, 2), (1, 3), (4, 2), (0, 3), (0, 4))
    assert JointSet(('neck',)).limb_indices == ()


def test_tree_asks_limbs_that_are_drawn_first():
    """Ears to neck, then hip to hip and left hip to left ear: all five joints are connected."""
    assert BODY.tree_limbs == (0, 1, 3, 4)


def test_tree_of_parts_that_nothing_connects():
    pairs = JointSet(('a', 'b', 'c', 'd'), limbs=(('a', 'b'), ('c', 'd')))
    assert pairs.tree_limbs == (0, 1)
    ring = JointSet(('a', 'b', 'c'), limbs=(('a', 'b'), ('b', 'c'), ('c', 'a')))
    assert ring.tree_limbs == (0, 1)


def test_flipped_limbs():
    """Hip to hip turns round; hip to ear becomes the other, which points the other way."""
    assert BODY.flip_limbs == ((0, True), (2, True), (1, True), (4, False), (3, False))


def test_limb_without_mirror_image_is_named():
    lame = JointSet(('neck', 'left_hip', 'right_hip'), limbs=(('neck', 'left_hip'),))
    with pytest.raises(ValueError, match=r"\('neck', 'left_hip'\).*add the limb \('neck', 'right_"):
        _ = lame.flip_limbs


@pytest.mark.parametrize(
    'limbs, message',
    [
        ((('neck', 'knee'),), "no joint 'knee'"),
        ((('neck', 'neck'),), 'two different joints'),
        ((('neck', 'hip'), ('hip', 'neck')), 'only once'),
    ],
)
def test_wrong_limbs_are_refused(limbs, message):
    with pytest.raises(ValueError, match=message):
        JointSet(('neck', 'hip'), limbs=limbs)
