"""From belief maps and part affinity fields to people: which peaks belong to one person.

Paper: Cao, Simon, Wei, Sheikh, CVPR 2017 (arXiv 1611.08050), sections 2.3 and 2.4. The steps are
peaks, line integrals of the fields along candidates of limbs, a matching for each limb, and people
that grow together limb by limb.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from .affinity_fields import Limbs, check_limbs
from .geometry import FloatArray, pixel_to_cell
from .peaks import MAX_PEAKS, PEAK_THRESHOLD, IntArray, Peaks, find_peaks, finite_maps

# thre2 in testing/python/config of the CVPR paper's release, and
# getPoseDefaultConnectInterThreshold in OpenPose's poseParameters.cpp.
FIELD_THRESHOLD = 0.05
# The 0.8 in connect56LineVec.m of the paper's release. OpenPose has 0.95, for maps enlarged to the
# input's size. Here, with few samples on coarse cells, 0.95 would let one sample decide.
MIN_ABOVE = 0.8
# getPoseDefaultMinSubsetCnt and getPoseDefaultConnectMinSubsetScore in OpenPose's
# poseParameters.cpp. In the paper's release: 3 and 0.2 (connect56LineVec.m).
MIN_PARTS = 3
MIN_SCORE = 0.4
# POSE_MAX_PEOPLE in OpenPose's poseParameters.hpp.
MAX_PEOPLE = 127
# getScoreAB in OpenPose's bodyPartConnectorBase.cpp, for distances in input pixels: the square
# root of 5 times the longer side, but 5 to 25 samples; and joints that are nearer to each other
# than the side of the map over 150 may have no field between them.
_SAMPLES = (5, 25)
_NEAR = 1 / 150


class People(NamedTuple):
    """P people of K joints, sorted by falling score.

    Attributes:
        keypoints: (P, K, 2), x and y in input pixels; 0 for joints that were not found.
        scores: (P, K), beliefs at the joints; 0 for joints that were not found.
        person_scores: (P,), joints' and limbs' scores over the number of joints and limbs there
            can be, about 0 to 1. ``poseScores`` in OpenPose's ``bodyPartConnectorBase.cpp``.
    """

    keypoints: FloatArray
    scores: FloatArray
    person_scores: FloatArray


def group_people(
    heatmaps: npt.ArrayLike | torch.Tensor,
    fields: npt.ArrayLike | torch.Tensor,
    limbs: Limbs,
    *,
    stride: int = 8,
    peak_threshold: float = PEAK_THRESHOLD,
    field_threshold: float = FIELD_THRESHOLD,
    min_above: float = MIN_ABOVE,
    min_parts: int = MIN_PARTS,
    min_score: float = MIN_SCORE,
    max_peaks: int = MAX_PEAKS,
    max_people: int = MAX_PEOPLE,
    tree: Sequence[int] | None = None,
) -> People:
    """Group the peaks of belief maps into people, by the fields between them.

    1. ``find_peaks`` finds the joints of all people.
    2. For each limb, every pair of a first and a second joint is a candidate. Its score is the mean
       of the field along the line between them, in the direction of the line.
    3. For each limb, candidates are taken by falling score, if neither joint is taken yet.
    4. Limbs then join peaks into people, again by falling score. A limb joins two parts of a person
       whether they are single peaks or several; but not if both have a joint of the same kind.
       The stronger limb was first then. Limbs outside the tree, which close a circle, such as
       shoulder to ear beside shoulder, neck, nose, eye, ear, come after all others. They join what
       is still apart.

    Args:
        heatmaps: (K, H, W), without the background channel. Tensors may have any type and device;
            a gradient does not pass.
        fields: (2L, H, W), x and y of each limb's field in turn.
        limbs: L pairs of indices of joints, in the order of the fields. Circles are allowed.
        stride: Input pixels per cell.
        peak_threshold: A joint has a larger belief than this.
        field_threshold: A sample of the field supports a limb if it is larger than this.
        min_above: More than this part of a limb's samples must support it.
        min_parts: Smallest number of joints of a person.
        min_score: Smallest sum of scores of a person's joints and limbs, over its number of joints.
        max_peaks: Largest number of peaks of a joint; the strongest are kept.
        max_people: Largest number of people; those with the best score are kept.
        tree: Positions of the limbs that come first, such as ``JointSet.tree_limbs``. By default
            those that join joints which no limb before them connects.

    Returns:
        The people; see ``People``. There may be none.

    Raises:
        ValueError: If the maps are not (K, H, W) and (2L, H, W) of one size, are empty or not
            finite, a limb has no such joint, ``tree`` has no such limb, or a number is below what
            makes sense.

    Examples:
        Two people with three joints each:

        >>> from cpm_plugin.core.maps import (
        ...     group_people, ideal_affinity_fields, ideal_belief_maps)
        >>> points = [[[12, 20], [44, 20], [76, 30]], [[20, 90], [50, 80], [90, 84]]]
        >>> seen, limbs = [[1, 1, 1], [1, 1, 1]], [(0, 1), (1, 2)]
        >>> maps = ideal_belief_maps(points, seen, size=(12, 12))
        >>> fields = ideal_affinity_fields(points, seen, limbs, size=(12, 12))
        >>> people = group_people(maps, fields, limbs)
        >>> people.keypoints.round(2).tolist() == points
        True
        >>> people.person_scores.round(1)
        array([1., 1.])
    """
    maps = finite_maps(heatmaps, 'heatmaps')
    vectors = finite_maps(fields, 'fields')
    pairs = check_limbs(limbs, len(maps))
    if len(vectors) != 2 * len(pairs) or vectors.shape[1:] != maps.shape[1:]:
        raise ValueError(
            f'fields of shape {vectors.shape} do not fit heatmaps {maps.shape} and {len(pairs)} '
            f'limbs; expected {(2 * len(pairs), *maps.shape[1:])}'
        )
    if min_parts < 1 or max_people < 0:
        raise ValueError(
            f'min_parts is {min_parts} and max_people {max_people}; they must be at least 1 and 0'
        )
    in_tree = _in_tree(pairs, len(maps)) if tree is None else _chosen(tree, len(pairs))
    peaks = find_peaks(maps, stride=stride, threshold=peak_threshold, max_peaks=max_peaks)
    groups = _Groups(peaks, len(maps))
    cells = pixel_to_cell(peaks.positions, stride)
    earlier: list[tuple[float, int, int]] = []
    later: list[tuple[float, int, int]] = []
    for limb, connections in enumerate(earlier if first else later for first in in_tree):
        first, second = (np.flatnonzero(peaks.joints == joint) for joint in pairs[limb])
        if len(first) and len(second):
            field = vectors[2 * limb : 2 * limb + 2]
            scores = _limb_scores(
                field, cells[first], cells[second], stride, field_threshold, min_above
            )
            connections.extend(
                (score, int(first[i]), int(second[j])) for score, i, j in _match(scores)
            )
    for connections in (earlier, later):
        for score, one, other in sorted(connections, key=lambda found: -found[0]):
            groups.join(one, other, score)
    return groups.people(
        num_scores=len(maps) + len(pairs),
        min_parts=min_parts,
        min_score=min_score,
        max_people=max_people,
    )


def _in_tree(pairs: IntArray, num_joints: int) -> list[bool]:
    """Tell for each limb whether it joins joints that no limb before it connects."""
    part = list(range(num_joints))
    found = []
    for first, second in pairs.tolist():
        one, other = part[first], part[second]
        found.append(one != other)
        part = [one if value == other else value for value in part]
    return found


def _chosen(tree: Sequence[int], num_limbs: int) -> list[bool]:
    """Tell for each limb whether it is in the tree; raise ValueError for unknown limbs."""
    if unknown := sorted(set(tree) - set(range(num_limbs))):
        raise ValueError(
            f'tree has limbs {unknown}; there are 0 to {num_limbs - 1}. Give the positions of the '
            'limbs that come first'
        )
    return [limb in tree for limb in range(num_limbs)]


def _limb_scores(
    field: FloatArray,
    starts: FloatArray,
    ends: FloatArray,
    stride: int,
    threshold: float,
    min_above: float,
) -> FloatArray:
    """Integrate a field along the lines between all starts and all ends.

    Args:
        field: (2, H, W), x and y.
        starts: (N, 2), x and y in cells.
        ends: (M, 2), x and y in cells.
        stride: Input pixels per cell.
        threshold: See ``field_threshold`` of ``group_people``.
        min_above: See ``group_people``.

    Returns:
        (N, M), the mean of the field along the line, or 0 where the two are no limb.
    """
    height, width = field.shape[1:]
    lines = (ends[None] - starts[:, None]).reshape(-1, 2)
    lengths = np.hypot(lines[:, 0], lines[:, 1])
    units = np.divide(lines, lengths[:, None], out=np.zeros_like(lines), where=lengths[:, None] > 0)
    counts = np.sqrt(5 * stride * np.abs(lines).max(axis=1)).round().clip(*_SAMPLES)
    share = np.arange(counts.max()) / (counts[:, None] - 1)  # of the way, 0 to 1
    on_line = share <= 1
    origins = np.repeat(starts, len(ends), axis=0)
    # Between cells, the field is that of the four around, weighted by nearness.
    x = (origins[:, :1] + share * lines[:, :1]).clip(0, width - 1)
    y = (origins[:, 1:] + share * lines[:, 1:]).clip(0, height - 1)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right_weight, bottom_weight = x - left, y - top
    cell = top * width + left
    right = np.minimum(left + 1, width - 1) - left
    below = (np.minimum(top + 1, height - 1) - top) * width
    along = np.zeros_like(x)
    for axis in (0, 1):
        values = field[axis].ravel()
        upper = values[cell] * (1 - right_weight) + values[cell + right] * right_weight
        lower = values[cell + below] * (1 - right_weight) + (
            values[cell + below + right] * right_weight
        )
        along += (upper * (1 - bottom_weight) + lower * bottom_weight) * units[:, axis, None]
    scores = (along * on_line).sum(axis=1) / counts
    above = ((along > threshold) & on_line).sum(axis=1) / counts
    near = lengths < _NEAR * np.sqrt(height * width)
    found = np.where((above > min_above) & (scores > 0), scores, np.where(near, threshold, 0.0))
    return found.reshape(len(starts), len(ends))


def _match(scores: FloatArray) -> Iterator[tuple[float, int, int]]:
    """Match rows with columns, the largest score first; yield score, row and column."""
    rows, columns = np.nonzero(scores > 0)
    values = scores[rows, columns]
    order = np.argsort(-values, kind='stable')
    taken_rows, taken_columns = set(), set()
    for value, row, column in zip(
        values[order].tolist(), rows[order].tolist(), columns[order].tolist()
    ):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            yield value, row, column


class _Groups:
    """Peaks that grow together into people; in the beginning each is a group of its own."""

    def __init__(self, peaks: Peaks, num_joints: int) -> None:
        self.peaks = peaks
        self.num_joints = num_joints
        self.group_of = list(range(len(peaks.joints)))
        self.members = [{joint: peak} for peak, joint in enumerate(peaks.joints.tolist())]
        self.totals = peaks.scores.tolist()

    def join(self, one: int, other: int, score: float) -> None:
        """Join the groups of two peaks, unless they have a joint of the same kind."""
        first, second = self.group_of[one], self.group_of[other]
        if first != second:
            if self.members[first].keys() & self.members[second].keys():
                return
            for peak in self.members[second].values():
                self.group_of[peak] = first
            self.members[first].update(self.members[second])
            self.totals[first] += self.totals[second]
            self.members[second] = {}
        self.totals[first] += score

    def people(
        self, *, num_scores: int, min_parts: int, min_score: float, max_people: int
    ) -> People:
        """Return the groups that are large and sure enough to be people."""
        found = [
            (self.totals[group] / num_scores, members)
            for group, members in enumerate(self.members)
            if len(members) >= min_parts and self.totals[group] >= min_score * len(members)
        ]
        found = sorted(found, key=lambda person: -person[0])[:max_people]
        keypoints = np.zeros((len(found), self.num_joints, 2))
        scores = np.zeros((len(found), self.num_joints))
        for person, (_, members) in enumerate(found):
            joints, peaks = list(members), list(members.values())
            keypoints[person, joints] = self.peaks.positions[peaks]
            scores[person, joints] = self.peaks.scores[peaks]
        return People(keypoints, scores, np.array([score for score, _ in found], dtype=np.float64))
