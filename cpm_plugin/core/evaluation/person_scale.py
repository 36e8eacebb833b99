"""Scale of a person from the keypoints alone, for datasets that do not state it.

MPII gives every person a scale, which is 1 for a person of 200 pixels, and the authors crop by it.
For Leeds Sports Pose they compute a similar scale from the lengths of the limbs. This module
follows ``insertMPILikeScale`` in their ``training/genJSON.m``.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray
from ..maps.joints import JointSet

REFERENCE = ('neck', 'head_top')

# The authors' list of parents ``pa``, in its order. On the right side, each joint goes with the
# next one towards the neck. The joints of the left side have the opposite order, which the list
# overlooks. Left thigh and upper arm thus count twice, left ankle and wrist are measured to the
# neck, and left shin, forearm, hip to neck and shoulder to neck are missing.
LIMBS = (
    ('right_ankle', 'right_knee'), ('right_knee', 'right_hip'), ('right_hip', 'neck'),
    ('left_hip', 'left_knee'), ('left_knee', 'left_hip'), ('left_ankle', 'neck'),
    REFERENCE,
    ('right_wrist', 'right_elbow'), ('right_elbow', 'right_shoulder'), ('right_shoulder', 'neck'),
    ('left_shoulder', 'left_elbow'), ('left_elbow', 'left_shoulder'), ('left_wrist', 'neck'),
)  # fmt: skip

# MPII's unit of scale in pixels (mpii.mat: person scale with regard to 200 px height).
PIXELS_OF_SCALE_1 = 200.0

# target_dist in the authors' genJSON.m and run_benchmark.m: a person of scale 1 is resized by this
# factor before the crop of 368 x 368 pixels.
TARGET_DIST = 41 / 35

# Length of the reference limb in pixels at scale 1. genJSON.m: "a magic number to balance to MPI".
REFERENCE_LENGTH = 35


def limb_ratios(keypoints: npt.ArrayLike, labeled: npt.ArrayLike, joints: JointSet) -> FloatArray:
    """Compute the median length of each limb over people, relative to neck to head top.

    A person is counted for a limb if all joints of that limb, the neck and the head top are
    labeled.

    Args:
        keypoints: (N, K, 2), x and y in image pixels; any values where not labeled.
        labeled: (N, K), true where the position is known.
        joints: Names of the K keypoints; those of ``LIMBS`` must be among them.

    Returns:
        (13,), in the order of ``LIMBS``. NaN for a limb that nobody is counted for.

    Raises:
        ValueError: If the shapes do not fit, or a joint of ``LIMBS`` is not among ``joints``.
    """
    points, _ = _checked(keypoints, labeled, joints)
    return _ratios(_limb_lengths(points, joints))


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
    """Compute the scale of each person in MPII's unit, about 1 for a person of 200 pixels.

    Each labeled limb, divided by its ratio (``limb_ratios``), is an estimate of the distance from
    neck to head top. The 0.75 quantile of the estimates is 35 pixels at scale 1. A person whose
    labeled keypoints would not fit into the crop has the larger scale at which they just fit.

    A person without a labeled limb has the scale at which the labeled keypoints just fit, as in
    the authors' code. A person with fewer than two keypoints has the median scale of the others;
    the authors' code fails there. All scales are thus finite and positive.

    Args:
        keypoints: (N, K, 2), x and y in image pixels; any values where not labeled.
        labeled: (N, K), true where the position is known.
        joints: Names of the K keypoints; those of ``LIMBS`` must be among them.
        ratios: (13,), ratios of the limbs; by default those of these N people.
        target_dist: Factor by which a person of scale 1 is resized before the crop.
        box_size: Side of the crop in input pixels.
        margin: The labeled keypoints span at most ``box_size - margin`` input pixels.

    Returns:
        (N,), scales in units of 200 image pixels.

    Raises:
        ValueError: If the shapes do not fit, a joint of ``LIMBS`` is not among ``joints``, or
            nobody has two labeled keypoints at different places.

    Examples:
        A person that is twice as large has twice the scale:

        >>> import numpy as np
        >>> from cpm_plugin.core import LSP
        >>> from cpm_plugin.core.evaluation import mpii_like_scales
        >>> person = np.random.default_rng(0).uniform(0, 200, (14, 2))
        >>> small, large = mpii_like_scales([person, 2 * person], np.ones((2, 14)), LSP)
        >>> round(large / small, 6)
        2.0
    """
    points, known = _checked(keypoints, labeled, joints)
    lengths = _limb_lengths(points, joints)
    usual = np.array(_ratios(lengths) if ratios is None else ratios, dtype=np.float64)
    usual[usual == 0] = np.nan  # in most people, the joints of this limb coincide
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # for people without a labeled limb
        # 'hazen' is MATLAB's rule: of n sorted values, the i-th is the (i - 0.5) / n quantile.
        reference = np.nanquantile(lengths / usual, 0.75, axis=1, method='hazen')
    fitting = target_dist * _extent(points, known) / (box_size - margin)
    # fmax ignores NaN, as MATLAB's min does in the authors' code.
    scales = np.fmax(reference / REFERENCE_LENGTH, fitting)
    usable = scales > 0
    if not usable.any():
        raise ValueError(
            f'none of {len(scales)} people has two labeled joints at different places; no '
            'scale can be computed from such data'
        )
    return np.where(usable, scales, np.median(scales[usable]))


def _checked(
    keypoints: npt.ArrayLike, labeled: npt.ArrayLike, joints: JointSet
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return keypoints (N, K, 2), NaN where not labeled, and labeled (N, K), after checking the
    shapes.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    known = np.asarray(labeled, dtype=bool)
    expected = (len(points), len(joints.names))
    if points.shape != (*expected, 2) or known.shape != expected:
        raise ValueError(
            f'keypoints {points.shape} and labeled {known.shape} must be (N, {expected[1]}, 2) '
            f'and (N, {expected[1]})'
        )
    return np.where(known[..., None], points, np.nan), known


def _limb_lengths(points: FloatArray, joints: JointSet) -> FloatArray:
    """Return the lengths of limbs (N, 13), NaN where a joint of the limb is not labeled."""
    ends = np.array([[joints.index(name) for name in limb] for limb in LIMBS])
    return np.linalg.norm(points[:, ends[:, 0]] - points[:, ends[:, 1]], axis=2)


def _ratios(lengths: FloatArray) -> FloatArray:
    """Return the median over people (13,) of lengths (N, 13) relative to neck to head top."""
    with np.errstate(divide='ignore', invalid='ignore'), warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # for limbs that nobody has
        return np.nanmedian(lengths / lengths[:, [LIMBS.index(REFERENCE)]], axis=0)


def _extent(points: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the longer side of the bounding box of the labeled keypoints: (N,), 0 without any."""
    low = np.where(known[..., None], points, np.inf).min(axis=1)
    high = np.where(known[..., None], points, -np.inf).max(axis=1)
    return np.where(known.any(axis=1), (high - low).max(axis=1), 0.0)
