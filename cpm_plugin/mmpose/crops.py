"""Transforms that crop a person as the authors do, in place of MMPose's.

They replace ``GetBBoxCenterScale``, ``RandomBBoxTransform`` and ``TopdownAffine``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ..core.evaluation.person_scale import PIXELS_OF_SCALE_1, TARGET_DIST
from ..core.maps.belief_maps import center_map
from .labels import name_of
from .transforms import Transform

from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import bbox_xyxy2cs, get_warp_matrix

_INTERPOLATIONS = {
    'linear': cv2.INTER_LINEAR,
    'cubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_LINEAR,  # applied to an averaged image
}


@TRANSFORMS.register_module()
class GetPersonCenterScale(Transform):
    """Set the center and the size of the authors' crop around a person.

    The authors resize the image by target_dist / scale and cut out ``box_size`` pixels. These are
    368 x 35 / 41 = 314 x scale pixels of the image; MMPose cuts out 250 x scale.

    The scale is that of MPII, 1 for a person of 200 pixels. It is taken from the dataset where
    that gives ``bbox_center`` and ``bbox_scale``, as MPII, FLIC and
    ``LspDataset(center_scale='authors')`` do. Otherwise it is the longer side of ``bbox`` / 200,
    around the middle of the box.

    Put it after ``RandomFlip``, which mirrors only the box and its center.

    Required keys: ``bbox``, or ``bbox_center`` (1, 2) and ``bbox_scale`` (1, 2) in image pixels.

    Added keys: ``bbox_center`` (1, 2) and ``bbox_scale`` (1, 2) in image pixels, and
    ``person_center`` (1, 2). ``PersonCrop`` draws the center map at ``person_center``, even if a
    later transform moves the crop.

    Args:
        target_dist: Scale of the person in the crop. 41 / 35 for all datasets of the authors.
        box_size: Side of the network input in pixels. The authors' is 368.
        moved_down: Pixels, at scale 1, that the dataset has added to the y coordinate of the
            center. MMPose's ``MpiiDataset`` adds 15, the authors add nothing.

    Raises:
        ValueError: If ``target_dist`` or ``box_size`` is not positive, or a person has no size.

    Examples:
        In the pipeline of a config, for training:

        >>> train_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='RandomFlip', direction='horizontal'),
        ...     dict(type='GetPersonCenterScale'),
        ...     dict(type='RandomScaleRotate', scale=(0.7, 1.3), rotate=40.0),
        ...     dict(type='PersonCrop', input_size=(368, 368), center_map_sigma=21.0),
        ... ]
    """

    def __init__(
        self, target_dist: float = TARGET_DIST, box_size: int = 368, moved_down: float = 0.0
    ) -> None:
        _positive(target_dist=target_dist, box_size=box_size)
        self.target_dist = target_dist
        self.box_size = box_size
        self.moved_down = moved_down

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        if 'bbox_center' in results and 'bbox_scale' in results:
            center = np.array(results['bbox_center'], dtype=np.float32)
            scale = results['bbox_scale'][:, 1] / PIXELS_OF_SCALE_1
            center[:, 1] -= self.moved_down * scale
        else:
            center, sides = bbox_xyxy2cs(results['bbox'])
            scale = sides.max(axis=1) / PIXELS_OF_SCALE_1
        if not (scale > 0).all():
            raise ValueError(
                f'a person of scale {scale.tolist()} in {results.get("img_path")}: the box or scale'
                ' must have a size; correct or remove this annotation'
            )
        side = self.box_size / self.target_dist * scale
        results['bbox_center'] = results['person_center'] = center
        results['bbox_scale'] = np.stack([side, side], axis=1).astype(np.float32)
        return results


# Configs from before version 0.1.0 name it GetPictureCenterScale.
@TRANSFORMS.register_module(name=['GetImageCenterScale', 'GetPictureCenterScale'])
class GetImageCenterScale(Transform):
    """Set the authors' crop for testing on LSP, which uses nothing of the person's annotation.

    The center is the middle of the image, and the scale is its height / 368
    (``run_benchmark.m``). The side of the crop is height / target_dist in image pixels.

    A sample without ``keypoints``, as inference in a given box makes it, is treated as
    ``GetPersonCenterScale`` treats its box.

    Required keys: ``img_shape``, or ``bbox``.

    Added keys: ``bbox_center`` (1, 2) and ``bbox_scale`` (1, 2) in image pixels.

    Args:
        target_dist: Height of the image as a part of the side of the crop. The authors' is 0.8.

    Raises:
        ValueError: If ``target_dist`` is not positive.

    Examples:
        In the pipeline of a config, for testing:

        >>> test_pipeline = [
        ...     dict(type='LoadImage'),
        ...     dict(type='GetImageCenterScale'),
        ...     dict(type='PersonCrop', input_size=(368, 368), center_map_sigma=21.0),
        ...     dict(type='PackPoseInputs'),
        ... ]
    """

    def __init__(self, target_dist: float = 0.8) -> None:
        _positive(target_dist=target_dist)
        self.target_dist = target_dist

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        if 'keypoints' not in results:
            return GetPersonCenterScale().transform(results)
        height, width = results['img_shape'][:2]
        # Half the size, in MATLAB's pixels, which are counted from 1.
        results['bbox_center'] = np.array([[width / 2 - 1, height / 2 - 1]], dtype=np.float32)
        results['bbox_scale'] = np.full((1, 2), height / self.target_dist, dtype=np.float32)
        return results


@TRANSFORMS.register_module()
class RandomScaleRotate(Transform):
    """Change the size and the rotation of the crop at random, as the authors do.

    All values are drawn from uniform distributions (``data_transformer.cpp``). MMPose's
    ``RandomBBoxTransform`` draws from normal distributions. It draws the size of the crop, where
    this transform draws the size of the person.

    Required keys: ``bbox_center``, ``bbox_scale``.

    Added keys: ``bbox_rotation`` (1,) in degrees. ``bbox_scale`` is changed.

    Args:
        scale: Smallest and largest factor on the size of the person. The authors' are 0.7 and 1.3.
        rotate: Largest angle in degrees, in either direction. The authors' is 40.

    Raises:
        ValueError: If the factors are not positive and in order, or the angle is negative.

    Examples:
        In the pipeline of a config, between ``GetPersonCenterScale`` and ``PersonCrop``:

        >>> step = dict(type='RandomScaleRotate', scale=(0.7, 1.3), rotate=40.0)
    """

    def __init__(self, scale: tuple[float, float] = (0.7, 1.3), rotate: float = 40.0) -> None:
        if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1]:
            raise ValueError(
                f'scale {scale} must be a pair of the smallest and largest, both positive'
            )
        if rotate < 0:
            raise ValueError(f'rotate {rotate}, the largest angle in degrees, must not be negative')
        self.scale = scale
        self.rotate = rotate

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        # MMEngine seeds NumPy's global generator in every worker.
        uniform = np.random.uniform
        factor = uniform(*self.scale)
        results['bbox_scale'] = (results['bbox_scale'] / factor).astype(np.float32)
        results['bbox_rotation'] = uniform(-self.rotate, self.rotate, 1)
        return results


@TRANSFORMS.register_module()
class PersonCrop(Transform):
    """Crop a person as stock ``TopdownAffine`` does, and add what the authors' crop has.

    These are the value of the border, the center map, crops at several scales, and averaging.

    Required keys: ``img`` (H, W, 3), ``bbox_center``, ``bbox_scale``; optionally
    ``bbox_rotation``, ``keypoints`` and ``person_center``.

    Added keys: ``input_size``, ``input_center``, ``input_scale`` and ``transformed_keypoints``,
    as by ``TopdownAffine``. With ``scales`` also ``crop_scales`` (S, 2), the width and height of
    each crop in image pixels; ``img`` is then a list of S crops.

    Args:
        input_size: (width, height) of the network input in pixels.
        border: Value of pixels outside the image, 0 to 255. The authors' is 128.
        interpolation: ``'cubic'`` (the authors'), ``'linear'`` (stock MMPose's) or ``'area'``.
            ``'linear'`` looks at the two pixels next to a point on each axis. Where the image
            becomes 2 or more times smaller, it skips pixels, which does harm to large photographs.
            ``'area'`` is linear too, but where the person becomes n >= 2 times smaller, it first
            averages the image over squares of int(n) pixels.
        center_map_sigma: Add the center map, (H, W) in [0, 1], as a fourth channel. The value is
            the standard deviation of its Gaussian in input pixels; the authors' is 21. It is drawn
            at ``person_center``, by default in the middle of the crop. It is not cut off at 0.01,
            as in the authors' testing code; their training code does cut it off. It needs
            ``CPMDataPreprocessor``.
        scales: Factors on the size of the person, for testing: one crop for each. None: one crop.

    Raises:
        ValueError: If an argument is out of range, or a box is not finite or has no area.

    Examples:
        The authors' crop with a center map, in the pipeline of a config:

        >>> step = dict(type='PersonCrop', input_size=(368, 368), center_map_sigma=21.0)
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        border: int = 128,
        interpolation: str = 'cubic',
        center_map_sigma: float | None = None,
        scales: Sequence[float] | None = None,
    ) -> None:
        if np.shape(input_size) != (2,) or min(input_size) < 1:
            raise ValueError(f'input_size {input_size} must be (width, height) in pixels')
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f'interpolation {interpolation!r} must be one of {", ".join(_INTERPOLATIONS)}'
            )
        if center_map_sigma is not None:
            _positive(center_map_sigma=center_map_sigma)
        if scales is not None and not (np.ndim(scales) == 1 and len(scales) and min(scales) > 0):
            raise ValueError(f'scales {scales} must be positive numbers, or None for one crop')
        self.input_size = (input_size[0], input_size[1])
        self.border = border
        self.interpolation = interpolation
        self.center_map_sigma = center_map_sigma
        self.scales = scales

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        width, height = self.input_size
        center, sides = results['bbox_center'], results['bbox_scale']
        if not (np.isfinite([center, sides]).all() and (sides > 0).all()):
            raise ValueError(
                f'{name_of(results)}: a crop around {np.ravel(center).tolist()} of '
                f'{np.ravel(sides).tolist()} pixels; the box must be finite and have an area'
            )
        results['bbox_scale'] = TopdownAffine._fix_aspect_ratio(
            results['bbox_scale'], aspect_ratio=width / height
        )
        scale = results['bbox_scale'][0]
        if self.scales is None:
            results['img'], matrix = self._crop(results, scale)
        else:
            results['crop_scales'] = scale / np.array(self.scales, dtype=np.float64)[:, None]
            results['img'] = [self._crop(results, size)[0] for size in results['crop_scales']]
            matrix = self._matrix(results, scale)
        if results.get('keypoints') is not None:
            moved = results['keypoints'].copy()
            moved[..., :2] = cv2.transform(moved[..., :2], matrix)
            results['transformed_keypoints'] = moved
        else:  # no annotation: the same values as TopdownAffine gives
            results['transformed_keypoints'] = np.zeros([])
            results['keypoints_visible'] = np.ones((1, 1, 1))
        results['input_size'] = self.input_size
        results['input_center'] = results['bbox_center'][0]
        results['input_scale'] = scale
        return results

    def _matrix(self, results: dict[str, Any], scale: np.ndarray) -> np.ndarray:
        rotation = results['bbox_rotation'][0] if 'bbox_rotation' in results else 0.0
        return get_warp_matrix(
            results['bbox_center'][0], scale, rotation, output_size=self.input_size
        )

    def _crop(self, results: dict[str, Any], scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a crop (height, width, 3), or float32 with the center map as a fourth channel.

        The second value is the matrix (2, 3) from image pixels to input pixels.
        """
        matrix = self._matrix(results, scale)
        image, to_input = results['img'], matrix
        if self.interpolation == 'area' and scale[0] >= 2 * self.input_size[0]:
            image, to_input = _shrunk(image, matrix, int(scale[0] / self.input_size[0]))
        crop = cv2.warpAffine(
            image,
            to_input,
            self.input_size,
            flags=_INTERPOLATIONS[self.interpolation],
            borderValue=(self.border,) * 3,
        )
        if self.center_map_sigma is None:
            return crop, matrix
        person = results.get('person_center', results['bbox_center'])[None].astype(np.float64)
        x, y = cv2.transform(person, matrix)[0, 0]
        heat = center_map(self.input_size, (x, y), sigma=self.center_map_sigma)
        return np.dstack([crop.astype(np.float32), heat]), matrix


def _shrunk(image: np.ndarray, matrix: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (H, W, 3) made smaller by ``factor``, and the (2, 3) matrix for the rest."""
    height, width = image.shape[:2]
    size = max(1, round(width / factor)), max(1, round(height / factor))
    x, y = width / size[0], height / size[1]
    # The matrix maps centers of pixels to centers of pixels.
    enlarge = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), matrix @ enlarge


def _positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f'{name}={value} must be positive')
