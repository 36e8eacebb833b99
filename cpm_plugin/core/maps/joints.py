"""Joint sets: the names of a model's belief channels, in order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JointSet:
    """Names of joints in channel order; left and right from the person's own side.

    Args:
        names: unique, lower case; partners differ in ``left_`` / ``right_`` alone.
        links: pairs of names to draw as bones.

    Raises:
        ValueError: for a name that is given twice, or a link to a joint that is not there.
    """

    names: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f'joint names must be unique: {", ".join(self.names)}')
        for link in self.links:
            for name in link:
                self.index(name)

    def index(self, name: str) -> int:
        """Channel of a joint. Raises ValueError, naming what there is, if it has none."""
        if name not in self.names:
            raise ValueError(f'no joint {name!r}; there are: {", ".join(self.names)}')
        return self.names.index(name)

    def partner(self, name: str) -> str:
        """Name of the same joint on the other side, or ``''`` for a joint of the middle."""
        for side, other in (('left_', 'right_'), ('right_', 'left_')):
            if name.startswith(side) and other + name[len(side) :] in self.names:
                return other + name[len(side) :]
        return ''

    @property
    def flip_indices(self) -> tuple[int, ...]:
        """For each channel, the channel it becomes in a mirrored image."""
        return tuple(self.index(self.partner(name) or name) for name in self.names)

    def sources(self, target: JointSet) -> tuple[tuple[int, ...], ...]:
        """For each joint of ``target``, the channels of this set whose mean it is.

        One channel for a joint of the same name; for one of ``BETWEEN`` the two that
        it lies between.

        Raises:
            ValueError: naming the joint that this set cannot give.
        """
        found: list[tuple[int, ...]] = []
        for name in target.names:
            between = BETWEEN.get(name, ())
            if name in self.names:
                found.append((self.index(name),))
            elif between and set(between) <= set(self.names):
                found.append(tuple(self.index(part) for part in between))
            else:
                raise ValueError(
                    f'no joint {name!r}, which {", ".join(target.names)} has; there are: '
                    f'{", ".join(self.names)}'
                )
        return tuple(found)

    def groups(self) -> dict[str, tuple[int, ...]]:
        """Channels by part of the body: both sides together, neck and head top as head."""
        groups: dict[str, list[int]] = {}
        for channel, name in enumerate(self.names):
            part = name.removeprefix('left_').removeprefix('right_')
            part = 'head' if part in ('neck', 'head_top') else part
            groups.setdefault(part, []).append(channel)
        return {part: tuple(channels) for part, channels in groups.items()}


# MPII annotates these; the authors' 14-joint networks do not predict them, and MPII's
# evaluation does not count them.
BETWEEN = {'pelvis': ('right_hip', 'left_hip'), 'thorax': ('right_shoulder', 'left_shoulder')}

# Order: README.txt of LSP Extended (Johnson & Everingham, CVPR 2011), the same in LSP.
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
)  # fmt: skip

_LIMBS = (
    ('head_top', 'neck'),
    ('right_shoulder', 'right_elbow'), ('right_elbow', 'right_wrist'),
    ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_wrist'),
    ('right_hip', 'right_knee'), ('right_knee', 'right_ankle'),
    ('left_hip', 'left_knee'), ('left_knee', 'left_ankle'),
)  # fmt: skip

# Order of the authors' MPII and LSP networks: part_str in their testing/config.m.
CPM = JointSet(
    names=(
        'head_top', 'neck', 'right_shoulder', 'right_elbow', 'right_wrist', 'left_shoulder',
        'left_elbow', 'left_wrist', 'right_hip', 'right_knee', 'right_ankle', 'left_hip',
        'left_knee', 'left_ankle',
    ),
    links=_LIMBS,
)  # fmt: skip

# Order of MPII's annotations: a comment of the authors' training/genJSON.m.
MPII = JointSet(
    names=(
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
        'pelvis', 'thorax', 'neck', 'head_top', 'right_wrist', 'right_elbow',
        'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist',
    ),
    links=_LIMBS,
)  # fmt: skip

# Order of the authors' FLIC network: part_str in their testing/config.m.
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

# The one channel of the authors' person network: where people are.
PERSON = JointSet(names=('person',))

JOINT_SETS = {'cpm': CPM, 'flic': FLIC, 'lsp': LSP, 'mpii': MPII, 'person': PERSON}


def joint_set(name: str) -> JointSet:
    """The set of that name in ``JOINT_SETS``. Raises ValueError, naming what there is."""
    if name not in JOINT_SETS:
        raise ValueError(f'no joint set {name!r}; there are: {", ".join(JOINT_SETS)}')
    return JOINT_SETS[name]


def joint_set_of(joints: JointSet | str | None, num_keypoints: int) -> JointSet | None:
    """A joint set by itself or by its name in ``JOINT_SETS``.

    Raises:
        ValueError: for an unknown name, or a set of another length than num_keypoints.
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
