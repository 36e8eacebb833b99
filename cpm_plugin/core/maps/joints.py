"""Joint sets: the names of a model's keypoints, in the order of its belief channels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JointSet:
    """Names of the keypoints of a model or dataset, in channel order.

    Left and right are those of the person, not of the image.

    Attributes:
        names: Unique names in lower case. Names of a left and a right keypoint of the same kind
            differ only in the prefix ``left_`` or ``right_``.
        links: Pairs of names that are connected when a pose is drawn.

    Raises:
        ValueError: If a name is given twice, or a link has a name that is not in ``names``.

    Examples:
        >>> from cpm_plugin.core.maps import JointSet
        >>> arm = JointSet(('neck', 'left_wrist', 'right_wrist'), links=(('neck', 'left_wrist'),))
        >>> arm.index('left_wrist'), arm.partner('left_wrist'), arm.flip_indices
        (1, 'right_wrist', (0, 2, 1))
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
        """Return the channel of a joint.

        Args:
            name: Name of the joint.

        Returns:
            Index into ``names``.

        Raises:
            ValueError: If there is no such joint; the message lists the names.
        """
        if name not in self.names:
            raise ValueError(f'no joint {name!r}; there are: {", ".join(self.names)}')
        return self.names.index(name)

    def partner(self, name: str) -> str:
        """Return the name of the same joint on the other side of the body.

        Args:
            name: Name of a joint.

        Returns:
            Name of the partner, or ``''`` for a joint that has none, such as the neck.
        """
        for side, other in (('left_', 'right_'), ('right_', 'left_')):
            if name.startswith(side) and other + name[len(side) :] in self.names:
                return other + name[len(side) :]
        return ''

    @property
    def flip_indices(self) -> tuple[int, ...]:
        """Channel that each channel becomes in a mirrored image, a tuple of length K."""
        return tuple(self.index(self.partner(name) or name) for name in self.names)

    def sources(self, target: JointSet) -> tuple[tuple[int, ...], ...]:
        """Find the channels of this set that give the joints of another set.

        A joint with the same name has one channel. A joint in ``BETWEEN`` has two: it is the mean
        of the two joints that it lies between.

        Args:
            target: Joint set to be built from this one.

        Returns:
            For each joint of ``target``, the channels of this set whose mean it is.

        Raises:
            ValueError: If this set cannot give a joint; the message names it.

        Examples:
            >>> from cpm_plugin.core.maps import JointSet
            >>> hips = JointSet(('left_hip', 'right_hip'))
            >>> hips.sources(JointSet(('right_hip', 'pelvis')))
            ((1,), (1, 0))
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
        """Group the channels by part of the body.

        The two sides form one group. The neck and the top of the head form the group ``head``.

        Returns:
            Names of parts, such as ``'knee'``, mapped to their channels.
        """
        groups: dict[str, list[int]] = {}
        for channel, name in enumerate(self.names):
            part = name.removeprefix('left_').removeprefix('right_')
            part = 'head' if part in ('neck', 'head_top') else part
            groups.setdefault(part, []).append(channel)
        return {part: tuple(channels) for part, channels in groups.items()}


# MPII annotates these two joints. The authors' networks of 14 joints do not predict them, and
# MPII's evaluation does not count them.
BETWEEN = {'pelvis': ('right_hip', 'left_hip'), 'thorax': ('right_shoulder', 'left_shoulder')}

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
)  # fmt: skip

_LIMBS = (
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
    links=_LIMBS,
)  # fmt: skip

# Order of MPII's annotations: a comment in the authors' training/genJSON.m.
MPII = JointSet(
    names=(
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle',
        'pelvis', 'thorax', 'neck', 'head_top', 'right_wrist', 'right_elbow',
        'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist',
    ),
    links=_LIMBS,
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

JOINT_SETS = {'cpm': CPM, 'flic': FLIC, 'lsp': LSP, 'mpii': MPII, 'person': PERSON}


def joint_set(name: str) -> JointSet:
    """Return one of the known joint sets.

    Args:
        name: Key of ``JOINT_SETS``: ``'cpm'``, ``'flic'``, ``'lsp'``, ``'mpii'`` or ``'person'``.

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
