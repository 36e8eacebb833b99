"""``CPMHeatmap``: the authors' belief maps as an MMPose codec."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.maps.belief_maps import (
    TRUNCATION,
    background_map,
    decode_peaks,
    ideal_belief_maps,
    position_in_map,
)
from .labels import LabelError, name_of

from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS
from mmpose.utils.tensor_utils import to_numpy


def stride_of(input_size: tuple[int, int], heatmap_size: tuple[int, int]) -> int:
    """Return the stride of a codec's maps.

    Args:
        input_size: (width, height) of the network input in pixels.
        heatmap_size: (width, height) of the maps in cells.

    Returns:
        Input pixels per cell.

    Raises:
        ValueError: If it is no whole number, or not the same in width and height.
    """
    strides = {size / cells for size, cells in zip(input_size, heatmap_size)}
    if len(strides) != 1 or not (stride := strides.pop()).is_integer():
        raise ValueError(
            f'input_size {input_size} must be a whole multiple of heatmap_size {heatmap_size}, the '
            'same in width and height; a CPM has stride 8'
        )
    return int(stride)


@KEYPOINT_CODECS.register_module()
class CPMHeatmap(BaseKeypointCodec):
    """Codec that draws the authors' belief maps and finds keypoints at their peaks.

    The maps are those of ``cpm_plugin.core.maps.belief_maps``. The center of cell g lies at
    stride * g + stride / 2 - 0.5 input pixels. A mirrored image therefore has exactly the
    mirrored map. Configs with this codec need ``test_cfg=dict(shift_heatmap=False)``, where
    ``MSRAHeatmap`` needs True.

    Args:
        input_size: (width, height) of the network input in pixels.
        heatmap_size: (width, height) of the maps in cells, an eighth of the input.
        sigma: Standard deviation of the Gaussians in input pixels, positive. The authors' is 7, at
            368 x 368.
        background: Add the background channel.
        all_people: Add ``heatmaps_all``, with the keypoints of all people in the crop. Put
            ``AddNeighbors`` after ``TopdownAffine`` or ``PersonCrop`` in the pipeline.
        mask_unlabeled: Leave keypoints that are not labeled out of the loss. False is the authors'
            way: the target map of such a keypoint is empty, as if it were not in the image.
        mask_outside: Leave keypoints out of the loss that leave no trace in the map, as MMPose's
            codecs do. False is the authors' way: their target map is empty.
        truncation: Beliefs below this value are 0. The authors' is 0.01.
        subpixel: Refine peaks between cells when decoding.

    Raises:
        ValueError: If the two sizes do not have one whole ratio, or ``sigma`` is not positive.

    Examples:
        The paper's input size, in a config:

        >>> codec = dict(
        ...     type='CPMHeatmap', input_size=(368, 368), heatmap_size=(46, 46), sigma=7.0,
        ...     background=True,
        ... )
        >>> train_pipeline = [dict(type='LoadImage'), dict(type='GenerateTarget', encoder=codec)]
        >>> head = dict(background=True, decoder=codec)
        >>> model = dict(head=head, test_cfg=dict(shift_heatmap=False))
    """

    # The last two only name the sample in an error.
    auxiliary_encode_keys = {  # noqa: RUF012
        'neighbor_keypoints',
        'neighbor_keypoints_visible',
        'img_path',
        'id',
    }

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float = 7.0,
        background: bool = False,
        all_people: bool = False,
        mask_unlabeled: bool = True,
        mask_outside: bool = True,
        truncation: float = TRUNCATION,
        subpixel: bool = True,
    ) -> None:
        super().__init__()
        self.stride = stride_of(input_size, heatmap_size)
        if sigma <= 0:
            raise ValueError(f'sigma {sigma} must be positive')
        self.input_size = (input_size[0], input_size[1])
        self.heatmap_size = (heatmap_size[0], heatmap_size[1])
        self.sigma = sigma
        self.background = background
        self.all_people = all_people
        self.mask_unlabeled = mask_unlabeled
        self.mask_outside = mask_outside
        self.truncation = truncation
        self.subpixel = subpixel
        self.field_mapping_table = dict(heatmaps='heatmaps')
        self.label_mapping_table = dict(keypoint_weights='keypoint_weights')
        if all_people:
            self.field_mapping_table['heatmaps_all'] = 'heatmaps_all'
        if background:
            self.label_mapping_table['background_weights'] = 'background_weights'

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        neighbor_keypoints: np.ndarray | None = None,
        neighbor_keypoints_visible: np.ndarray | None = None,
        img_path: str | None = None,
        id: Any = None,
    ) -> dict[str, Any]:
        """Draw the target belief maps of one person with K keypoints.

        Args:
            keypoints: (1, K, 2), x and y in input pixels.
            keypoints_visible: (1, K). Values below 0.5 mean "not labeled". By default all are
                labeled.
            neighbor_keypoints: (M, K, 2), keypoints of M >= 0 other people in input pixels.
            neighbor_keypoints_visible: (M, K), as ``keypoints_visible``.
            img_path: Path of the image, for errors.
            id: Number of the annotation, for errors.

        Returns:
            Arrays in float32 by name:
                - ``heatmaps`` (K, height, width), in [0, 1]; with ``background`` one channel
                  more, the last;
                - ``heatmaps_all``, with ``all_people``: the same for all people in the crop;
                - ``keypoint_weights`` (1, K): 0 where a keypoint is left out of the loss, else 1;
                - ``background_weights`` (1, 1), with ``background``: 0 where a keypoint is left out
                  because it is not labeled, otherwise 1. The background is unknown without it.

        Raises:
            ValueError: If there is more than one person, or no neighbors are given with
                ``all_people``. ``LabelError``, which names image and annotation, if a labeled
                keypoint is not at a finite position, or the shapes do not fit.
        """
        if len(keypoints) != 1:
            raise ValueError(
                f'{len(keypoints)} people in a top-down sample, expected one; use a dataset with '
                "data_mode='topdown'"
            )
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], dtype=np.float32)
        sample = dict(img_path=img_path, id=id)
        keypoints = keypoints[..., :2]
        if keypoints_visible.shape != keypoints.shape[:2]:
            raise LabelError(
                f'{name_of(sample)}: visibilities {keypoints_visible.shape} do not fit keypoints '
                f'{keypoints.shape}; every keypoint of the annotation needs one'
            )
        labeled = keypoints_visible >= 0.5
        known = labeled if self.mask_unlabeled else np.ones_like(labeled)
        inside = position_in_map(keypoints, self.heatmap_size, stride=self.stride, sigma=self.sigma)
        # The position of a keypoint that is not labeled has no meaning.
        counts = known & (inside | ~labeled) if self.mask_outside else known
        encoded = dict(
            heatmaps=self._maps(keypoints, labeled, sample),
            keypoint_weights=counts.astype(np.float32),
        )
        if self.background:
            encoded['background_weights'] = known.all(axis=1, keepdims=True).astype(np.float32)
        if self.all_people:
            if neighbor_keypoints is None or neighbor_keypoints_visible is None:
                raise ValueError(
                    'CPMHeatmap(all_people=True) needs the other people of the image; put '
                    "dict(type='AddNeighbors') after TopdownAffine in the pipeline"
                )
            encoded['heatmaps_all'] = self._maps(
                np.concatenate([keypoints, neighbor_keypoints[..., :2]]),
                np.concatenate([labeled, neighbor_keypoints_visible >= 0.5]),
                sample,
            )
        return encoded

    def _maps(
        self, keypoints: np.ndarray, labeled: np.ndarray, sample: dict[str, Any]
    ) -> np.ndarray:
        try:
            maps = ideal_belief_maps(
                keypoints,
                labeled,
                self.heatmap_size,
                stride=self.stride,
                sigma=self.sigma,
                truncation=self.truncation,
            )
        except ValueError as error:
            raise LabelError(f'{name_of(sample)}, in pixels of the input: {error}') from error
        return np.concatenate([maps, background_map(maps)]) if self.background else maps

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the keypoints of one person in belief maps.

        Args:
            encoded: (K, height, width), belief maps without background.

        Returns:
            Keypoints (1, K, 2) in input pixels, and scores (1, K), the beliefs at the peaks.
        """
        keypoints, scores = decode_peaks(encoded, stride=self.stride, subpixel=self.subpixel)
        return keypoints[None].astype(np.float32), scores[None].astype(np.float32)

    def batch_decode(self, batch_encoded: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Find the keypoints of N people in belief maps.

        Args:
            batch_encoded: (N, K, height, width), belief maps without background.

        Returns:
            N arrays of keypoints (1, K, 2) in input pixels, and N arrays of scores (1, K).
        """
        keypoints, scores = decode_peaks(
            to_numpy(batch_encoded), stride=self.stride, subpixel=self.subpixel
        )
        return list(keypoints[:, None].astype(np.float32)), list(scores[:, None].astype(np.float32))
