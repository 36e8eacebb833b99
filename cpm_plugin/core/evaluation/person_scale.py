"""Scale of a person, from the joints alone, for datasets that state none.

MPII gives every person a scale, 1 for a person of 200 pixels; the authors crop by it. For
Leeds Sports Pose they derive one like it from the lengths of the limbs:
``insertMPILikeScale`` of their ``training/genJSON.m``, which this file follows.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray
from ..maps.joints import JointSet

REFERENCE = ('neck', 'head_top')

# The authors' list of parents ``pa``, in its order. On the right, each joint goes with the
# next one inwards. The left joints stand in the opposite order, which the list overlooks:
# left thigh and upper arm count twice, left ankle and wrist are measured to the neck, and
# left shin, forearm, hip to neck and shoulder to neck are missing.
LIMBS = (
    ('right_ankle', 'right_knee'), ('right_knee', 'right_hip'), ('right_hip', 'neck'),
    ('left_hip', 'left_knee'), ('left_knee', 'left_hip'), ('left_ankle', 'neck'),
    REFERENCE,
    ('right_wrist', 'right_elbow'), ('right_elbow', 'right_shoulder'), ('right_shoulder', 'neck'),
    ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_shoulder'), ('left_wrist', 'neck'),
)  # fmt: skip

# MPII's unit of scale in pixels (mpii.mat: person scale with regard to 200 px height).
PIXELS_OF_SCALE_1 = 200.0

# target_dist of the authors' genJSON.m and run_benchmark.m: a person of scale 1 is resized by
# this before 368 x 368 pixels are cut out.
TARGET_DIST = 41 / 35

# Of the reference limb in pixels at scale 1; genJSON.m: "a magic number to balance to MPI".
REFERENCE_LENGTH = 35


def limb_ratios(keypoints: npt.ArrayLike, labeled: npt.ArrayLike, joints: JointSet) -> FloatArray:
    """How long each limb is, compared with neck to head top: the median over people.

    A person counts for a limb where that limb and neck to head top have all their joints.

    Args:
        keypoints: (N, K, 2) in pixels; of joints that are not labeled, anything.
        labeled: (N, K), true where the position is known.
        joints: names of the K joints; must have those of ``LIMBS``.

    Returns:
        (13,), in the order of ``LIMBS``. NaN for a limb that nobody counts for.

    Raises:
        ValueError: if shapes do not fit, or a joint is not among ``joints``.
    """
    return _ratios(_limb_lengths(*_checked(keypoints, labeled, joints), joints))


def mpii_like_scales(
    keypoints: npt.ArrayLike,
    labeled: npt.ArrayLike,
    joints: JointSet,
    ratios: npt.ArrayLike | None = None,
    *,
    target_dist: float = TARGET_DIST,
    box_size: int = 368,
    margin: int = 64,
) -> FloatArray:
    """Scale of each person in MPII's unit, about 1 for a person of 200 pixels.

    Every labeled limb divided by its ratio (``limb_ratios``) says how long the person's
    neck to head top would be; their 0.75 quantile is 35 pixels at scale 1. People whose
    labeled joints would not fit into the crop are made smaller, that is, given the larger
    scale at which the joints just fit.

    A person without a labeled limb has the scale at which the labeled joints just fit, as
    in the authors' code. One with fewer than two joints, where that code fails, has the
    median scale of the others. A scale is thus always finite and positive.

    Args:
        keypoints, labeled, joints: as in ``limb_ratios``.
        ratios: (13,) of the limbs; by default those of these N people.
        target_dist: a person of scale 1 is resized by this before the crop.
        box_size: side of the crop, in pixels of the network input.
        margin: the labeled joints span ``box_size - margin`` pixels at most.

    Returns:
        (N,).

    Raises:
        ValueError: if shapes do not fit, a joint is not among ``joints``, or nobody has two
            labeled joints at different places.
    """
    points, known = _checked(keypoints, labeled, joints)
    lengths = _limb_lengths(points, known, joints)
    usual = np.array(_ratios(lengths) if ratios is None else ratios, dtype=np.float64)
    usual[usual == 0] = np.nan  # the limb's joints coincide in most people
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # of people without a limb
        # 'hazen' is MATLAB's rule: of n sorted values the i-th is the (i - 0.5) / n quantile
        reference = np.nanquantile(lengths / usual, 0.75, axis=1, method='hazen')
    fitting = target_dist * _extent(points, known) / (box_size - margin)
    # fmax passes over NaN, as MATLAB's min does in theirs
    scales = np.fmax(reference / REFERENCE_LENGTH, fitting)
    usable = scales > 0
    if not usable.any():
        raise ValueError(
            f'none of {len(scales)} people has two labeled joints at different places; no '
            'scale can be told from such data'
        )
    return np.where(usable, scales, np.median(scales[usable]))


def _checked(
    keypoints: npt.ArrayLike, labeled: npt.ArrayLike, joints: JointSet
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Keypoints (N, K, 2), NaN where not labeled, and labeled (N, K)."""
    points = np.asarray(keypoints, dtype=np.float64)
    known = np.asarray(labeled, dtype=bool)
    expected = (len(points), len(joints.names))
    if points.shape != (*expected, 2) or known.shape != expected:
        raise ValueError(
            f'keypoints {points.shape} and labeled {known.shape} must be (N, {expected[1]}, 2) '
            f'and (N, {expected[1]})'
        )
    return np.where(known[..., None], points, np.nan), known


def _limb_lengths(points: FloatArray, known: npt.NDArray[np.bool_], joints: JointSet) -> FloatArray:
    """(N, 13), NaN where a joint of the limb is not labeled."""
    ends = np.array([[joints.index(name) for name in limb] for limb in LIMBS])
    return np.linalg.norm(points[:, ends[:, 0]] - points[:, ends[:, 1]], axis=2)


def _ratios(lengths: FloatArray) -> FloatArray:
    with np.errstate(divide='ignore', invalid='ignore'), warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # of limbs that nobody has
        return np.nanmedian(lengths / lengths[:, [LIMBS.index(REFERENCE)]], axis=0)


def _extent(points: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Longer side of the labeled joints' bounding box: (N,), 0 without joints."""
    low = np.where(known[..., None], points, np.inf).min(axis=1)
    high = np.where(known[..., None], points, -np.inf).max(axis=1)
    return np.where(known.any(axis=1), (high - low).max(axis=1), 0.0)
