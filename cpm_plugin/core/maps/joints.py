"""``JointSet``: the names of a model's keypoints, in the order of its belief channels, and limbs.

``joint_sets`` has those of the datasets and networks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# How a name says its side: a word in front or at the end, or "left" before a capital.
_SIDES = (
    re.compile(r'(?P<front>)(?P<side>left|right|l|r)(?P<back>[_\-. ].+)', re.IGNORECASE),
    re.compile(r'(?P<front>.+[_\-. ])(?P<side>left|right|l|r)(?P<back>)', re.IGNORECASE),
    re.compile(r'(?P<front>)(?P<side>[Ll]eft|[Rr]ight|L|R)(?P<back>[A-Z].*)'),
)
_OTHER = {'left': 'right', 'right': 'left', 'l': 'r', 'r': 'l'}


@dataclass(frozen=True)
class JointSet:
    """Names of the keypoints of a model or dataset, in channel order.

    Left and right are those of the person, not of the image.

    Attributes:
        names: Unique names. Those of this project are in lower case, with the prefix ``left_`` or
            ``right_``. Of others, ``l_`` and ``r_``, ``_left`` and ``_right``, ``leftHand`` and
            ``RHand`` are understood, too.
        links: Pairs of names that are connected when a pose is drawn.
        limbs: Pairs of names that an affinity field joins, in the order of the fields. A field
            points from the first joint to the second.

    Raises:
        ValueError: If a name or a limb is given twice, a limb joins a joint to itself, or a link or
            limb has a name that is not in ``names``.

    Examples:
        >>> from cpm_plugin.core.maps import JointSet
        >>> arm = JointSet(('neck', 'left_wrist', 'right_wrist'), links=(('neck', 'left_wrist'),))
        >>> arm.index('left_wrist'), arm.partner('left_wrist'), arm.flip_indices
        (1, 'right_wrist', (0, 2, 1))
    """

    names: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    limbs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f'joint names must be unique: {", ".join(self.names)}')
        for link in (*self.links, *self.limbs):
            for name in link:
                self.index(name)
        ends = [frozenset(limb) for limb in self.limbs]
        for limb, both in zip(self.limbs, ends):
            if len(both) < 2 or ends.count(both) > 1:
                raise ValueError(
                    f'limb {limb}: it must join two different joints, and be given only once'
                )

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

        Examples:
            >>> from cpm_plugin.core.maps import JointSet
            >>> JointSet(('nose', 'LWrist', 'RWrist')).partner('RWrist')
            'LWrist'
        """
        for found in filter(None, (form.fullmatch(name) for form in _SIDES)):
            other = _OTHER[found['side'].lower()]
            if found['side'][0].isupper():
                other = other.upper() if found['side'].isupper() else other.capitalize()
            if (partner := found['front'] + other + found['back']) in self.names:
                return partner
        return ''

    @property
    def flip_indices(self) -> tuple[int, ...]:
        """Channel that each channel becomes in a mirrored image, a tuple of length K."""
        return tuple(self.index(self.partner(name) or name) for name in self.names)

    @property
    def limb_indices(self) -> tuple[tuple[int, int], ...]:
        """Channels of the first and of the second joint of each limb, a tuple of L pairs."""
        return tuple((self.index(first), self.index(second)) for first, second in self.limbs)

    @property
    def tree_limbs(self) -> tuple[int, ...]:
        """Positions of the limbs that make a spanning forest, in the order of ``limbs``.

        A limb is taken if it joins two so far unconnected parts of the body. Limbs that are also
        links are asked first. The others serve to check a pose, such as OpenPose's between shoulder
        and ear, which it does not draw.
        """
        drawn = {frozenset(link) for link in self.links}
        order = sorted(range(len(self.limbs)), key=lambda i: frozenset(self.limbs[i]) not in drawn)
        part = {name: name for name in self.names}
        taken = []
        for position in order:
            first, second = (part[name] for name in self.limbs[position])
            if first != second:
                taken.append(position)
                part = {name: first if one == second else one for name, one in part.items()}
        return tuple(sorted(taken))

    @property
    def flip_limbs(self) -> tuple[tuple[int, bool], ...]:
        """Limb that each limb becomes in a mirrored image, and whether its direction turns round.

        In a mirrored image the x of every vector is negated. A limb that turns round, such as that
        from the left to the right hip, has then both x and y negated once more. It is a tuple of L
        pairs; a ValueError names a limb whose mirror image is no limb.
        """
        turned: dict[tuple[str, str], tuple[int, bool]] = {}
        for position, (first, second) in enumerate(self.limbs):
            turned[first, second] = (position, False)
            turned[second, first] = (position, True)
        found = []
        for limb in self.limbs:
            first, second = (self.partner(name) or name for name in limb)
            if (first, second) not in turned:
                raise ValueError(
                    f'limb {limb} has no mirror image: add the limb {(first, second)}, or do not '
                    'flip images'
                )
            found.append(turned[first, second])
        return tuple(found)

    @staticmethod
    def side(name: str) -> str:
        """Return the side that a name says.

        Args:
            name: Name of a joint.

        Returns:
            ``'left'``, ``'right'``, or ``''`` for a name that says none.

        Examples:
            >>> from cpm_plugin.core.maps import JointSet
            >>> JointSet.side('wrist_r'), JointSet.side('left_ear'), JointSet.side('lip')
            ('right', 'left', '')
        """
        for found in filter(None, (form.fullmatch(name) for form in _SIDES)):
            return 'left' if found['side'].lower() in ('left', 'l') else 'right'
        return ''

    def sources(self, target: JointSet, *, partial: bool = False) -> tuple[tuple[int, ...], ...]:
        """Find the channels of this set that give the joints of another set.

        A joint with the same name has one channel. A joint in ``BETWEEN`` has two: it is the mean
        of the two joints that it lies between.

        Args:
            target: Joint set to be built from this one.
            partial: Allow joints that this set cannot give.

        Returns:
            For each joint of ``target``, the channels of this set whose mean it is; none for a
                joint that this set cannot give.

        Raises:
            ValueError: If this set cannot give a joint, and ``partial`` is False; the message names
                it.

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
            elif partial:
                found.append(())
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


# MPII annotates pelvis and thorax. The authors' networks of 14 joints do not predict them, and
# MPII's evaluation does not count them. OpenPose makes the neck and the middle of the hips (here
# ``pelvis``) from COCO's annotations, which have neither.
BETWEEN = {
    'pelvis': ('right_hip', 'left_hip'),
    'thorax': ('right_shoulder', 'left_shoulder'),
    'neck': ('right_shoulder', 'left_shoulder'),
}
