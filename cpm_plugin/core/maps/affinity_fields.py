"""Target part affinity fields: for each limb, where it is and which way it points.

Paper: Cao, Simon, Wei, Sheikh: Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields,
CVPR 2017 (arXiv 1611.08050), section 2.3. Fields are (2L, H, W) for L limbs: channel 2l is the x
and channel 2l + 1 the y of the unit vector from the first joint of limb l to its second.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .belief_maps import labeled_points
from .geometry import cell_to_pixel

Limbs = Sequence[tuple[int, int]]

# A cell this far, in input pixels, beyond the width is still inside. The rounding of an exact
# distance is far smaller, so it cannot decide.
_ROUNDING = 1e-6


def ideal_affinity_fields(
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    limbs: Limbs,
    size: tuple[int, int],
    *,
    stride: int = 8,
    width: float = 8.0,
    first_cell: float | None = None,
) -> npt.NDArray[np.float32]:
    """Draw the target fields: each limb of each person as a band of unit vectors.

    A cell belongs to a limb if its center is at most ``width`` from the line through the two
    joints, and inside their bounding box, grown by ``width`` on every side. Both include cells
    exactly at the width. Where limbs of several people overlap, the field is the mean of those
    that belong there (the paper's equation 9).

    Source: ``putVecMaps`` in ``cpm_data_transformer.cpp`` of the authors' ``caffe_train``, and
    ``putVectorMaps`` in ``oPDataTransformer.cpp`` of OpenPose's ``openpose_caffe_train``. Equal
    to theirs are the width, which counts at the line, the grown box, and the unit vectors.
    Different are:

    - Their cell g is at pixel ``stride * g``, although their belief maps have it at
      ``stride * g + stride / 2 - 0.5``. Here fields and belief maps agree. Theirs is
      ``first_cell=0``.
    - They round the box to cells and leave out its last row and column. So their limbs are
      longer at one end than at the other, and the field of a mirrored image is not the mirrored
      field.
    - ``caffe_train`` never counts the first person at a cell, so that the last person's vector
      stands there alone. ``openpose_caffe_train`` takes the mean.

    Joints at one place draw nothing in theirs, too: their direction is NaN, and so is the distance.
    ``tools/dev/compare_paf.py`` runs both functions beside this one.

    Args:
        keypoints: (P, K, 2), x and y in input pixels of K keypoints of P >= 0 people. They may
            lie outside the image; the part of the limb inside the image is drawn.
        labeled: (P, K). A limb is drawn if the values of both its joints are 0.5 or more;
            positions of other joints may be NaN. Two joints at one place have no direction;
            nothing is drawn.
        limbs: Pairs of indices of joints, L of them. Vectors point from the first to the second.
        size: (width, height) of the fields in cells.
        stride: Input pixels per cell.
        width: Half the breadth of a limb in input pixels. The default, 8, is ``thre = 1`` cell of
            the authors' code, at their stride of 8.
        first_cell: Input pixel of the center of cell 0. By default ``stride / 2 - 0.5``, as in
            the belief maps.

    Returns:
        (2L, height, width) in float32, with values in [-1, 1].

    Raises:
        ValueError: If the shapes do not fit, a limb has no such joint, a labeled keypoint is not
            finite, or ``width`` or ``stride`` is not positive.

    Examples:
        A limb from the cell in column 1 and row 2 to the right:

        >>> from cpm_plugin.core.maps import ideal_affinity_fields
        >>> joints = [[[11.5, 19.5], [27.5, 19.5]]]
        >>> fields = ideal_affinity_fields(joints, [[1, 1]], [(0, 1)], size=(6, 5))
        >>> fields.shape
        (2, 5, 6)
        >>> print(fields[0])
        [[0. 0. 0. 0. 0. 0.]
         [1. 1. 1. 1. 1. 0.]
         [1. 1. 1. 1. 1. 0.]
         [1. 1. 1. 1. 1. 0.]
         [0. 0. 0. 0. 0. 0.]]
    """
    points, seen = labeled_points(keypoints, labeled)
    pairs = check_limbs(limbs, points.shape[1])
    if width <= 0 or stride <= 0:
        raise ValueError(f'width {width} and stride {stride} must be positive')
    columns, rows = size
    shift = 0.0 if first_cell is None else first_cell - float(cell_to_pixel(0, stride))
    x = cell_to_pixel(np.arange(columns), stride) + shift
    y = cell_to_pixel(np.arange(rows), stride) + shift
    fields = np.zeros((len(pairs), 2, rows, columns))
    for field, (first, second) in zip(fields, pairs):
        both = seen[:, first] & seen[:, second]
        start, end = points[both, first], points[both, second]
        length = np.hypot(*(end - start).T)
        start, end, length = start[length > 0], end[length > 0], length[length > 0]
        unit = (end - start) / length[:, None]
        # Distance from the line: | (cell - start) x unit |, of which x and y are separate terms.
        across_x = (x - start[:, :1]) * unit[:, 1:]
        across_y = (y - start[:, 1:]) * unit[:, :1]
        reach = width + _ROUNDING
        low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
        in_x = (x >= low[:, :1]) & (x <= high[:, :1])
        in_y = (y >= low[:, 1:]) & (y <= high[:, 1:])
        inside = np.abs(across_y[:, :, None] - across_x[:, None, :]) <= reach
        inside &= in_y[:, :, None] & in_x[:, None, :]
        field[:] = np.tensordot(unit.T, inside, axes=1) / inside.sum(axis=0).clip(min=1)
    return fields.reshape(-1, rows, columns).astype(np.float32)


def check_limbs(limbs: Limbs, num_joints: int) -> npt.NDArray[np.int64]:
    """Check that limbs join joints that there are.

    Args:
        limbs: Pairs of indices of joints.
        num_joints: Number of joints.

    Returns:
        (L, 2), the limbs.

    Raises:
        ValueError: If a limb is no pair, names an unknown joint, or joins a joint to itself.

    Examples:
        >>> from cpm_plugin.core.maps.affinity_fields import check_limbs
        >>> check_limbs([(0, 1), (1, 2)], num_joints=3).shape
        (2, 2)
        >>> check_limbs([(0, 3)], num_joints=3)
        Traceback (most recent call last):
        ValueError: limb 0 is (0, 3); the joints of a limb are two different ones of 0 to 2
    """
    pairs = [tuple(limb) for limb in limbs]
    for number, pair in enumerate(pairs):
        known = all(isinstance(j, int | np.integer) and 0 <= j < num_joints for j in pair)
        if len(pair) != 2 or not known or pair[0] == pair[1]:
            raise ValueError(
                f'limb {number} is {pair}; the joints of a limb are two different ones of 0 to '
                f'{num_joints - 1}'
            )
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
