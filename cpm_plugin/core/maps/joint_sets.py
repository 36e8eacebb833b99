"""Joint sets of the datasets and networks, by name."""

from __future__ import annotations

from .joints import JointSet

# Limbs of the sets of 14 joints: a tree from the neck, with OpenPose's limbs from neck to hips.
_TREE = (
    ('neck', 'head_top'),
    ('neck', 'right_shoulder'), ('right_shoulder', 'right_elbow'), ('right_elbow', 'right_wrist'),
    ('neck', 'left_shoulder'), ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
    ('neck', 'right_hip'), ('right_hip', 'right_knee'), ('right_knee', 'right_ankle'),
    ('neck', 'left_hip'), ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
)  # fmt: skip

# Order: README.txt of LSP Extended (Johnson & Everingham, CVPR 2011); LSP has the same.
LSP = JointSet(
    names=(
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
        'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow',
        'left_wrist', 'neck', 'head_top',
    ),
    links=(
        ('right_ankle', 'right_knee'), ('right_knee', 'right_hip'), ('right_hip', 'left_hip'),
        ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
        ('right_wrist', 'right_elbow'), ('right_elbow', 'right_shoulder'),
        ('right_shoulder', 'neck'), ('neck', 'left_shoulder'),
        ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
        ('right_shoulder', 'right_hip'), ('left_shoulder', 'left_hip'), ('neck', 'head_top'),
    ),
    limbs=_TREE,
)  # fmt: skip

_LINKS = (
    ('head_top', 'neck'),
    ('right_shoulder', 'right_elbow'), ('right_elbow', 'right_wrist'),
    ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
    ('right_hip', 'right_knee'), ('right_knee', 'right_ankle'),
    ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
)  # fmt: skip

# Order of the authors' MPII and LSP networks: part_str in the authors' testing/config.m.
CPM = JointSet(
    names=(
        'head_top', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder',
        'left_elbow', 'left_wrist', 'right_hip', 'right_knee', 'right_ankle', 'left_hip',
        'left_knee', 'left_ankle',
    ),
    links=_LINKS,
    limbs=_TREE,
)  # fmt: skip

# Order of MPII's annotations: a comment in the authors' training/genJSON.m.
MPII = JointSet(
    names=(
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
        'pelvis', 'thorax', 'neck', 'head_top', 'right_wrist', 'right_elbow',
        'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist',
    ),
    links=_LINKS,
)  # fmt: skip

# Order of the authors' FLIC network: part_str in the authors' testing/config.m.
FLIC = JointSet(
    names=(
        'left_shoulder', 'left_elbow', 'left_wrist', 'right_shoulder', 'right_elbow',
        'right_wrist', 'left_hip', 'right_hip', 'head',
    ),
    links=(
        ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
        ('right_shoulder', 'right_elbow'), ('right_elbow', 'right_wrist'),
    ),
)  # fmt: skip

# The authors' person network has a single channel, which shows where people are.
PERSON = JointSet(names=('person',))

# Order and skeleton: categories of COCO's person_keypoints annotations (cocodataset.org). The limbs
# are ours. The tree runs over the shoulders, since nose and eyes are hidden in a person seen from
# behind. One of the limbs to the nose is not in it.
COCO = JointSet(
    names=(
        'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder',
        'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip',
        'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle',
    ),
    links=(
        ('left_ankle', 'left_knee'), ('left_knee', 'left_hip'), ('right_ankle', 'right_knee'),
        ('right_knee', 'right_hip'), ('left_hip', 'right_hip'), ('left_shoulder', 'left_hip'),
        ('right_shoulder', 'right_hip'), ('left_shoulder', 'right_shoulder'),
        ('left_shoulder', 'left_elbow'), ('right_shoulder', 'right_elbow'),
        ('left_elbow', 'left_wrist'), ('right_elbow', 'right_wrist'), ('left_eye', 'right_eye'),
        ('nose', 'left_eye'), ('nose', 'right_eye'), ('left_eye', 'left_ear'),
        ('right_eye', 'right_ear'), ('left_ear', 'left_shoulder'),
        ('right_ear', 'right_shoulder'),
    ),
    limbs=(
        ('left_shoulder', 'right_shoulder'),
        ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
        ('right_shoulder', 'right_elbow'), ('right_elbow', 'right_wrist'),
        ('left_shoulder', 'left_hip'), ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
        ('right_shoulder', 'right_hip'), ('right_hip', 'right_knee'),
        ('right_knee', 'right_ankle'),
        ('left_shoulder', 'nose'), ('right_shoulder', 'nose'),
        ('nose', 'left_eye'), ('left_eye', 'left_ear'),
        ('nose', 'right_eye'), ('right_eye', 'right_ear'),
    ),
)  # fmt: skip

# Links that OpenPose's two sets share, from POSE_COCO_PAIRS_RENDER_GPU and
# POSE_BODY_25_PAIRS_RENDER_GPU in OpenPose's poseParametersRender.hpp.
_OPENPOSE_LINKS = (
    ('neck', 'right_shoulder'), ('neck', 'left_shoulder'), ('right_shoulder', 'right_elbow'),
    ('right_elbow', 'right_wrist'), ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
    ('right_hip', 'right_knee'), ('right_knee', 'right_ankle'), ('left_hip', 'left_knee'),
    ('left_knee', 'left_ankle'), ('neck', 'nose'), ('nose', 'right_eye'),
    ('right_eye', 'right_ear'), ('nose', 'left_eye'), ('left_eye', 'left_ear'),
)  # fmt: skip

# Order of OpenPose's networks: POSE_COCO_BODY_PARTS and POSE_BODY_25_BODY_PARTS in OpenPose's
# poseParameters.cpp. The limbs are POSE_BODY_PART_PAIRS there, in the order of POSE_MAP_INDEX: that
# of the channels.
OPENPOSE_COCO = JointSet(
    names=(
        'nose', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder',
        'left_elbow', 'left_wrist', 'right_hip', 'right_knee', 'right_ankle', 'left_hip',
        'left_knee', 'left_ankle', 'right_eye', 'left_eye', 'right_ear', 'left_ear',
    ),
    links=(*_OPENPOSE_LINKS, ('neck', 'right_hip'), ('neck', 'left_hip')),
    limbs=(
        ('neck', 'right_hip'), ('right_hip', 'right_knee'), ('right_knee', 'right_ankle'),
        ('neck', 'left_hip'), ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
        ('neck', 'right_shoulder'), ('right_shoulder', 'right_elbow'),
        ('right_elbow', 'right_wrist'), ('right_shoulder', 'right_ear'),
        ('neck', 'left_shoulder'), ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
        ('left_shoulder', 'left_ear'),
        ('neck', 'nose'), ('nose', 'right_eye'), ('nose', 'left_eye'),
        ('right_eye', 'right_ear'), ('left_eye', 'left_ear'),
    ),
)  # fmt: skip

_FEET = (
    ('left_ankle', 'left_big_toe'), ('left_big_toe', 'left_small_toe'), ('left_ankle', 'left_heel'),
    ('right_ankle', 'right_big_toe'), ('right_big_toe', 'right_small_toe'),
    ('right_ankle', 'right_heel'),
)  # fmt: skip

OPENPOSE_BODY25 = JointSet(
    names=(
        'nose', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder',
        'left_elbow', 'left_wrist', 'pelvis', 'right_hip', 'right_knee', 'right_ankle',
        'left_hip', 'left_knee', 'left_ankle', 'right_eye', 'left_eye', 'right_ear', 'left_ear',
        'left_big_toe', 'left_small_toe', 'left_heel',
        'right_big_toe', 'right_small_toe', 'right_heel',
    ),
    links=(
        *_OPENPOSE_LINKS, ('neck', 'pelvis'), ('pelvis', 'right_hip'), ('pelvis', 'left_hip'),
        *_FEET,
    ),
    limbs=(
        ('neck', 'pelvis'),
        ('right_hip', 'right_knee'), ('right_knee', 'right_ankle'), ('pelvis', 'right_hip'),
        ('pelvis', 'left_hip'), ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
        ('neck', 'right_shoulder'), ('right_shoulder', 'right_elbow'),
        ('right_elbow', 'right_wrist'), ('right_shoulder', 'right_ear'),
        ('neck', 'left_shoulder'), ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
        ('left_shoulder', 'left_ear'),
        ('neck', 'nose'), ('nose', 'right_eye'), ('nose', 'left_eye'),
        ('right_eye', 'right_ear'), ('left_eye', 'left_ear'),
        *_FEET,
    ),
)  # fmt: skip

JOINT_SETS = {
    'coco': COCO,
    'cpm': CPM,
    'flic': FLIC,
    'lsp': LSP,
    'mpii': MPII,
    'openpose_body25': OPENPOSE_BODY25,
    'openpose_coco': OPENPOSE_COCO,
    'person': PERSON,
}


def joint_set(name: str) -> JointSet:
    """Return one of the known joint sets.

    Args:
        name: Key of ``JOINT_SETS``, such as ``'cpm'`` or ``'coco'``.

    Returns:
        The joint set.

    Raises:
        ValueError: If the name is unknown; the message lists the known names.

    Examples:
        >>> from cpm_plugin.core.maps import joint_set
        >>> joint_set('cpm').names[:3]
        ('head_top', 'neck', 'right_shoulder')
    """
    if name not in JOINT_SETS:
        raise ValueError(f'no joint set {name!r}; there are: {", ".join(JOINT_SETS)}')
    return JOINT_SETS[name]


def joint_set_of(joints: JointSet | str | None, num_keypoints: int) -> JointSet | None:
    """Return a joint set that is given by itself or by its name.

    Args:
        joints: A joint set, its name in ``JOINT_SETS``, or None.
        num_keypoints: Number of joints that the set must have.

    Returns:
        The joint set, or None if ``joints`` is None.

    Raises:
        ValueError: If the name is unknown, or the number of joints is not ``num_keypoints``.
    """
    if joints is None:
        return None
    if isinstance(joints, str):
        joints = joint_set(joints)
    if len(joints.names) != num_keypoints:
        raise ValueError(
            f'{len(joints.names)} joints ({", ".join(joints.names)}), but num_keypoints='
            f'{num_keypoints}; make the two agree'
        )
    return joints
