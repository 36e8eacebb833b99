"""``Body``: the nodes and edges of a structure, and the three kinds that came before CPM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..maps.joint_sets import JOINT_SETS
from ..maps.joints import JointSet
from .springs import Springs, check_pairs, tree_levels

Edge = tuple[str, str]

# Joints of limbs by their names without the side; all others but the pelvis belong to the head.
_LIMBS = {
    'arm': ('shoulder', 'elbow', 'wrist'),
    'leg': ('hip', 'knee', 'ankle', 'big_toe', 'small_toe', 'heel'),
}
_SIDES = ('right', 'left')


@dataclass(frozen=True)
class Body:
    """Nodes and edges of a structure, before it is fitted.

    Attributes:
        joints: Names of the joints, in the order of the belief maps.
        parts: Larger parts, by name, with the joints whose mean is their position.
        springs: Names of the nodes of each spring.
        repulsions: Names of the nodes that repel each other.

    Raises:
        ValueError: If an edge or a part has an unknown joint. The message names it.
    """

    joints: tuple[str, ...]
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    springs: tuple[Edge, ...] = ()
    repulsions: tuple[Edge, ...] = ()

    def __post_init__(self) -> None:
        joints = JointSet(self.joints)
        nodes = JointSet(self.nodes)
        for _, members in self.parts:
            for name in members:
                joints.index(name)
        for edge in (*self.springs, *self.repulsions):
            check_pairs(len(nodes.names), [[nodes.index(name) for name in edge]])

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, the joints first."""
        return (*self.joints, *(name for name, _ in self.parts))


def tree_body(joints: JointSet) -> Body:
    """Join the joints by the limbs of the body, a tree.

    Felzenszwalb & Huttenlocher (IJCV 61, 2005) and Andriluka, Roth & Schiele (CVPR 2009) have such
    trees. The limbs are those of the joint set, or of the set of ``JOINT_SETS`` that has the same
    names. Without limbs they are the links, with those left out that close a cycle.

    Args:
        joints: Names and links or limbs.

    Returns:
        The tree.

    Raises:
        ValueError: If the links leave a joint apart. The message names it.

    Examples:
        >>> from cpm_plugin.core.maps import joint_set
        >>> from cpm_plugin.core.structure.bodies import tree_body
        >>> tree_body(joint_set('lsp')).springs[:2]
        (('neck', 'head_top'), ('neck', 'right_shoulder'))
    """
    known = [one for one in JOINT_SETS.values() if set(one.names) == set(joints.names)]
    limbs = next((one.limbs for one in (joints, *known) if one.limbs), ())
    joined = JointSet(joints.names, limbs=tuple(limbs or joints.links))
    edges = tuple(joined.limbs[position] for position in joined.tree_limbs)
    nodes = joints.names
    ones = np.ones((2, len(edges), 2))
    pairs = np.array([[nodes.index(name) for name in edge] for edge in edges]).reshape(-1, 2)
    tree_levels(len(nodes), Springs(pairs, *ones), nodes)  # names a joint that is apart
    return Body(joints.names, springs=edges)


def hierarchical_body(joints: JointSet) -> Body:
    """Join the joints by larger parts: limbs, upper and lower body, and the whole, a tree.

    A larger part has no belief map. It is a latent node at the mean of its joints, and joins them.
    This is in the spirit of Sun & Savarese, "Articulated Part-based Model for Joint Object
    Detection and Pose Estimation" (ICCV 2011), and of Tian, Zitnick & Narasimhan, "Exploring the
    Spatial Hierarchy of Mixture Models for Human Pose Estimation" (ECCV 2012). Their parts have
    types, and appearance of their own; ours have neither.

    Args:
        joints: Names, among them those of arms or legs.

    Returns:
        The tree.

    Raises:
        ValueError: If there are no arms and legs by name.

    Examples:
        >>> from cpm_plugin.core.maps import joint_set
        >>> from cpm_plugin.core.structure.bodies import hierarchical_body
        >>> names = [name for name, _ in hierarchical_body(joint_set('lsp')).parts]
        >>> print(*names)
        right_arm left_arm right_leg left_leg head upper_body lower_body body
    """
    limbs = {
        f'{side}_{limb}': _present(joints, (f'{side}_{name}' for name in names))
        for limb, names in _LIMBS.items()
        for side in _SIDES
    }
    if not any(limbs.values()):
        raise ValueError(
            f'no arms or legs among {", ".join(joints.names)}; larger parts are made of joints '
            'such as left_shoulder, left_elbow and right_knee'
        )
    of_limbs = {name for names in limbs.values() for name in names}
    pelvis = _present(joints, ('pelvis',))
    limbs['head'] = tuple(n for n in joints.names if n not in of_limbs and n not in pelvis)
    below = {
        'upper_body': ('right_arm', 'left_arm', 'head'),
        'lower_body': ('right_leg', 'left_leg', *pelvis),
    }
    parts = {name: names for name, names in limbs.items() if names}
    springs = [(part, joint) for part, names in parts.items() for joint in names]
    for half, children in below.items():
        there = [child for child in children if child in parts or child in pelvis]
        members = [name for child in there for name in parts.get(child, (child,))]
        if members:
            parts[half] = tuple(members)
            springs += [(half, child) for child in there]
    halves = [half for half in below if half in parts]
    parts['body'] = joints.names
    springs += [('body', half) for half in halves]
    return Body(joints.names, tuple(parts.items()), tuple(springs))


def loopy_body(joints: JointSet) -> Body:
    """Add to the tree what makes it none: left to right, shoulder to hip, and repulsion.

    Springs between the shoulders, between the hips, and from each shoulder to the hip of its side
    hold the torso together. Elbows, wrists, knees and ankles repel those of the other side, so that
    one limb is not counted twice. Jiang & Martin (CVPR 2008) and Lan & Huttenlocher, "Beyond
    Trees" (ICCV 2005), give reasons for such edges.

    Args:
        joints: Names and links or limbs.

    Returns:
        A body with cycles.

    Raises:
        ValueError: If the links leave a joint apart, or nothing can be added.

    Examples:
        >>> from cpm_plugin.core.maps import joint_set
        >>> from cpm_plugin.core.structure.bodies import loopy_body
        >>> loopy_body(joint_set('lsp')).repulsions[:1]
        (('left_elbow', 'right_elbow'),)
    """
    tree = tree_body(joints)
    wanted = [
        ('left_shoulder', 'right_shoulder'), ('left_hip', 'right_hip'),
        ('left_shoulder', 'left_hip'), ('right_shoulder', 'right_hip'),
    ]  # fmt: skip
    there = {frozenset(edge) for edge in tree.springs}
    names = set(joints.names)
    more = tuple(e for e in wanted if names.issuperset(e) and frozenset(e) not in there)
    ends = ('elbow', 'wrist', 'knee', 'ankle')
    apart = tuple(
        (f'left_{end}', f'right_{end}') for end in ends if names >= {f'left_{end}', f'right_{end}'}
    )
    if not (more or apart):
        raise ValueError(
            f'no left and right joints among {", ".join(joints.names)} that this kind knows, such '
            'as left_hip and right_hip; use the kind tree'
        )
    return Body(joints.names, springs=(*tree.springs, *more), repulsions=apart)


# By the name of the kind.
BODIES: dict[str, Callable[[JointSet], Body]] = {
    'tree': tree_body,
    'hierarchical': hierarchical_body,
    'non-tree': loopy_body,
}


def _present(joints: JointSet, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in joints.names)
