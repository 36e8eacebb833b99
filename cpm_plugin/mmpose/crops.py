"""How a person is cut out of the image in the authors' way: transforms in place of MMPose's
``GetBBoxCenterScale``, ``RandomBBoxTransform`` and ``TopdownAffine``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ..core.evaluation.person_scale import PIXELS_OF_SCALE_1, TARGET_DIST
from ..core.maps.belief_maps import center_map
from .transforms import Transform

from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import bbox_xyxy2cs, get_warp_matrix

_INTERPOLATIONS = {
    'linear': cv2.INTER_LINEAR,
    'cubic': cv2.INTER_CUBIC,
    'area': cv2.INTER_LINEAR,  # of an image that was averaged
}


@TRANSFORMS.register_module()
class GetPersonCenterScale(Transform):
    """The authors' crop: ``box_size`` pixels of the image resized by target_dist / scale.

    That is 368 x 35 / 41 = 314 scale pixels of the image, where MMPose cuts out 250
    scale. Scale is MPII's, 1 for a person of 200 pixels: the dataset's, where it gives
    ``bbox_center`` and ``bbox_scale`` (MPII, FLIC, ``LspDataset(center_scale='authors')``),
    else the longer side of ``bbox`` / 200 around the middle of the box.

    Stands after ``RandomFlip``, which mirrors the box and its center only.

    Required keys: bbox, or bbox_center (1, 2) and bbox_scale (1, 2) in pixels.
    Added keys: bbox_center, bbox_scale, and person_center, where ``PersonCrop`` draws the
    center map even if a later step moves the crop.

    Args:
        target_dist: 41 / 35 for all of the authors' datasets.
        box_size: side of the network input, 368.
        moved_down: what the dataset has added to the center's y, in pixels at scale 1;
            MMPose's ``MpiiDataset`` adds 15, the authors nothing.
    """

    def __init__(
        self, target_dist: float = TARGET_DIST, box_size: int = 368, moved_down: float = 0.0
    ) -> None:
        _positive(target_dist=target_dist, box_size=box_size)
        self.target_dist = target_dist
        self.box_size = box_size
        self.moved_down = moved_down

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
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
                ' must have a size; mend or leave out this annotation'
            )
        side = self.box_size / self.target_dist * scale
        results['bbox_center'] = results['person_center'] = center
        results['bbox_scale'] = np.stack([side, side], axis=1).astype(np.float32)
        return results


# GetPictureCenterScale: its name in configs of before 0.1.0
@TRANSFORMS.register_module(name=['GetImageCenterScale', 'GetPictureCenterScale'])
class GetImageCenterScale(Transform):
    """The authors' crop for testing on LSP, which knows nothing of the person: the middle of
    the image, scale = its height / 368 (``run_benchmark.m``), so height / target_dist pixels.

    A sample without ``keypoints``, as inference on a given box makes, gets
    ``GetPersonCenterScale`` of its box.

    Required keys: img_shape, or bbox. Added keys: bbox_center, bbox_scale.

    Args:
        target_dist: the authors' is 0.8.
    """

    def __init__(self, target_dist: float = 0.8) -> None:
        _positive(target_dist=target_dist)
        self.target_dist = target_dist

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if 'keypoints' not in results:
            return GetPersonCenterScale().transform(results)
        height, width = results['img_shape'][:2]
        # half the size in MATLAB's pixels, which begin with 1
        results['bbox_center'] = np.array([[width / 2 - 1, height / 2 - 1]], dtype=np.float32)
        results['bbox_scale'] = np.full((1, 2), height / self.target_dist, dtype=np.float32)
        return results


@TRANSFORMS.register_module()
class RandomScaleRotate(Transform):
    """The authors' augmentation of the crop, all uniform (``data_transformer.cpp``).

    MMPose's ``RandomBBoxTransform`` draws from normal distributions, and the size of the
    crop where this draws the size of the person.

    Required keys: bbox_center, bbox_scale.
    Added keys: bbox_rotation (1,) in degrees.

    Args:
        scale: smallest and largest factor on the person's size; authors: 0.7 to 1.3.
        rotate: largest angle in degrees, either way; authors: 40.
    """

    def __init__(self, scale: tuple[float, float] = (0.7, 1.3), rotate: float = 40.0) -> None:
        if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1]:
            raise ValueError(f'scale {scale}: expected smallest and largest, both positive')
        if rotate < 0:
            raise ValueError(f'rotate {rotate} must not be negative: it is the largest angle')
        self.scale = scale
        self.rotate = rotate

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        # MMEngine seeds numpy's global generator in every worker
        uniform = np.random.uniform
        factor = uniform(*self.scale)
        results['bbox_scale'] = (results['bbox_scale'] / factor).astype(np.float32)
        results['bbox_rotation'] = uniform(-self.rotate, self.rotate, 1)
        return results


@TRANSFORMS.register_module()
class PersonCrop(Transform):
    """Stock ``TopdownAffine`` with the authors' border, center map, several scales, averaging.

    Required keys: img (H, W, 3), bbox_center, bbox_scale, optionally bbox_rotation,
    keypoints and person_center.
    Added keys: input_size, input_center, input_scale, transformed_keypoints, as
    ``TopdownAffine`` does; with ``scales`` also ``crop_scales`` (S, 2), the width and
    height of each crop in pixels of the image, and img is a list of S crops.

    Args:
        input_size: (width, height) of the network input.
        border: value of pixels outside the image; authors: 128.
        interpolation: ``'cubic'`` (authors), ``'linear'`` (stock), or ``'area'``: linear, but
            where the person becomes n >= 2 times smaller, of the image averaged over squares
            of int(n) pixels. Linear looks at the two pixels beside a point, and from 2 on
            skips some, which large photographs suffer from.
        center_map_sigma: adds the center map, (H, W) in [0, 1], as a fourth channel; in
            input pixels, authors: 21. It is drawn at ``person_center``, by default the
            middle of the crop, and not cut off at 0.01, as in the authors' testing code
            (their training code does cut it off). Needs ``CPMDataPreprocessor``.
        scales: factors on the person's size: a crop each, for testing; None: one crop.
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
            raise ValueError(f'input_size {input_size}: expected (width, height) in pixels')
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f'interpolation {interpolation!r} must be one of {", ".join(_INTERPOLATIONS)}'
            )
        if center_map_sigma is not None:
            _positive(center_map_sigma=center_map_sigma)
        if scales is not None and not (np.ndim(scales) == 1 and len(scales) and min(scales) > 0):
            raise ValueError(f'scales {scales} must be positive numbers, or None for one crop')
        self.input_size = tuple(input_size)
        self.border = border
        self.interpolation = interpolation
        self.center_map_sigma = center_map_sigma
        self.scales = scales

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        width, height = self.input_size
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
        else:  # as TopdownAffine does where nothing is annotated
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
        """(height, width, 3 or 4) of uint8, or of float32 with a center map; and its matrix."""
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
    """An image (H, W, 3) made smaller by ``factor``, and a (2, 3) matrix that does the rest."""
    height, width = image.shape[:2]
    size = max(1, round(width / factor)), max(1, round(height / factor))
    x, y = width / size[0], height / size[1]
    # from centers of pixels to centers of pixels
    enlarge = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), matrix @ enlarge


def _positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f'{name}={value} must be positive')
