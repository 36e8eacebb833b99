"""``Structure``: joints, larger parts, springs and repulsions, fitted to poses; as JSON, too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .bodies import Body
from .deformations import fit_deformations, fit_distances, with_parts
from .loopy import Repulsions
from .springs import Springs, is_tree

# Two joints repel each other if they are closer than in this share of the training poses.
QUANTILE = 0.05


@dataclass(frozen=True)
class Structure:
    """A model of where the joints of a person lie to each other.

    Nodes are the joints, then the parts. Lengths are in units of the side of the crop, which is
    the height of the belief maps.

    Attributes:
        joints: Names of the K joints, in the order of the belief maps.
        parts: Names of the larger parts, which have no belief map.
        springs: Names of the two nodes of each spring.
        means: Mean offset x, y from the first node to the second.
        variances: Variances of the same.
        repulsions: Names of the two nodes that repel each other.
        distances: The distance below which they do.
        penalties: What it then costs, as a logarithm.

    Raises:
        ValueError: If a name is unknown or given twice, or a number is missing or out of range.
    """

    joints: tuple[str, ...]
    parts: tuple[str, ...]
    springs: tuple[tuple[str, str], ...]
    means: tuple[tuple[float, float], ...]
    variances: tuple[tuple[float, float], ...]
    repulsions: tuple[tuple[str, str], ...] = ()
    distances: tuple[float, ...] = ()
    penalties: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.nodes)) != len(self.nodes):
            raise ValueError(f'names of joints and parts must be unique: {", ".join(self.nodes)}')
        for edge in (*self.springs, *self.repulsions):
            for name in edge:
                if name not in self.nodes:
                    raise ValueError(
                        f'edge {tuple(edge)}: no joint or part {name!r}; there are: '
                        f'{", ".join(self.nodes)}'
                    )
        count = len(self.springs), len(self.repulsions)
        for name, expected in (
            ('means', (count[0], 2)), ('variances', (count[0], 2)),
            ('distances', (count[1],)), ('penalties', (count[1],)),
        ):  # fmt: skip
            values = np.asarray(getattr(self, name), dtype=np.float64).reshape(-1, *expected[1:])
            if values.shape != expected:
                raise ValueError(f'{name} of shape {values.shape}: expected {expected}')
            least = -np.inf if name == 'means' else 0
            if not (np.isfinite(values) & (values >= least)).all() or (
                name == 'variances' and not values.all()
            ):
                raise ValueError(
                    f'{name} {values.tolist()}: must be finite, and all but means not negative; '
                    'variances must be positive'
                )

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes, the joints first."""
        return (*self.joints, *self.parts)

    @property
    def exact(self) -> bool:
        """Whether the springs make a tree and nothing repels, so that max-sum is exact."""
        return not self.repulsions and is_tree(len(self.nodes), self._indices(self.springs))

    def springs_in_cells(self, side: int, weight: float = 1.0) -> Springs:
        """Return the springs for a grid of cells.

        The cost of an offset is minus the logarithm of its Gaussian, without the constant.

        Args:
            side: Height of the maps in cells.
            weight: Factor on the costs, positive.

        Returns:
            The springs.
        """
        _positive(weight)
        means = np.array(self.means, dtype=np.float64).reshape(-1, 2) * side
        variances = np.array(self.variances, dtype=np.float64).reshape(-1, 2) * side**2
        return Springs(self._indices(self.springs), means, weight / (2 * variances))

    def repulsions_in_cells(self, side: int, weight: float = 1.0) -> Repulsions:
        """Return the repulsions for a grid of cells.

        Args:
            side: Height of the maps in cells.
            weight: Factor on the penalties, positive.

        Returns:
            The repulsions.
        """
        _positive(weight)
        distances, penalties = (
            np.array(values, dtype=np.float64) for values in (self.distances, self.penalties)
        )
        return Repulsions(self._indices(self.repulsions), distances * side, penalties * weight)

    def _indices(self, edges: Sequence[Sequence[str]]) -> npt.NDArray[np.int64]:
        names = [[self.nodes.index(name) for name in edge] for edge in edges]
        return np.array(names, dtype=np.int64).reshape(-1, 2)

    def to_json(self) -> str:
        """Return the structure as JSON, for ``from_json``."""
        return json.dumps(asdict(self), indent=1) + '\n'

    @classmethod
    def from_json(cls, text: str) -> Structure:
        """Read a structure from JSON.

        Args:
            text: What ``to_json`` gives.

        Returns:
            The structure.

        Raises:
            ValueError: If it is something else, or the structure has mistakes.
        """
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ValueError(f'no JSON ({error}); fit the structure again') from error
        names = [field.name for field in fields(cls)]
        if not isinstance(given, dict) or sorted(given) != sorted(names):
            raise ValueError(
                f'not a structure, which has {", ".join(names)}; fit it with tools/fit_structure.py'
            )
        try:
            return cls(**{name: _tuples(value) for name, value in given.items()})
        except TypeError as error:
            raise ValueError(f'not a structure ({error}); fit the structure again') from error


def fit_structure(
    body: Body,
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    quantile: float = QUANTILE,
) -> Structure:
    """Fit the springs and repulsions of a body to training poses.

    A joint pair is closer than its distance in a share ``quantile`` of the poses. The penalty is
    minus the logarithm of that share.

    Args:
        body: The nodes and edges.
        keypoints: (N, K, 2), x and y in pixels.
        labeled: (N, K).
        sizes: (N,), in pixels what is the height of the belief maps in the test: the side of the
            crop.
        quantile: Between 0 and 1.

    Returns:
        The structure.

    Raises:
        ValueError: If shapes do not fit, or an edge has fewer than two poses.

    Examples:
        >>> from cpm_plugin.core.structure import Body, fit_structure
        >>> body = Body(('hip', 'knee'), springs=(('hip', 'knee'),))
        >>> poses = [[[0, 0], [0, 4]], [[0, 0], [2, 6]]]
        >>> fitted = fit_structure(body, poses, [[1, 1], [1, 1]], sizes=[10, 10])
        >>> fitted.means, fitted.exact
        (((0.1, 0.5),), True)
    """
    members = [[body.joints.index(name) for name in names] for _, names in body.parts]
    points, known = with_parts(keypoints, labeled, members)
    nodes = body.nodes
    pairs, apart = (
        [(nodes.index(first), nodes.index(second)) for first, second in edges]
        for edges in (body.springs, body.repulsions)
    )
    fitted = fit_deformations(points, known, sizes, pairs, nodes)
    distances = fit_distances(points, known, sizes, apart, quantile, nodes)
    return Structure(
        body.joints,
        tuple(name for name, _ in body.parts),
        body.springs,
        _tuples(fitted.means.round(6).tolist()),
        _tuples(fitted.variances.round(9).tolist()),
        body.repulsions,
        _tuples(distances.round(6).tolist()),
        (round(-float(np.log(quantile)), 6),) * len(apart),
    )


def _positive(weight: float) -> None:
    if not 0 < weight < np.inf:
        raise ValueError(f'weight {weight} must be positive and finite')


def _tuples(value: Any) -> Any:
    """Return lists within lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
