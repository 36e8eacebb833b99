"""``CPMHeatmap``: ideal belief maps as MMPose targets, and peaks as keypoints."""

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

from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS
from mmpose.utils.tensor_utils import to_numpy


@KEYPOINT_CODECS.register_module()
class CPMHeatmap(BaseKeypointCodec):
    """The authors' belief maps (``cpm_plugin.core.maps.belief_maps``).

    Cells are centered at stride * g + stride / 2 - 0.5 pixels, so a mirrored image has
    exactly the mirrored map: configs with this codec need
    ``test_cfg=dict(shift_heatmap=False)``, where MSRAHeatmap needs True.

    ``encode`` gives, for K joints:

    - ``heatmaps`` (K[+1], H, W), the background last;
    - ``heatmaps_all``, the same with the joints of everybody in the crop, with
      ``all_people`` (put ``AddNeighbors`` after ``TopdownAffine``);
    - ``keypoint_weights`` (1, K): 0 where a joint is masked in the loss;
    - ``background_weights`` (1, 1), with ``background``: 0 where a joint is masked because
      it is not labeled: then nobody knows what is background.

    Args:
        input_size: (width, height) of the network input in pixels.
        heatmap_size: (width, height) of the maps in cells, the input's eighth.
        sigma: of the Gaussians in input pixels; the authors' is 7 at 368 x 368.
        background: adds the background channel.
        all_people: adds ``heatmaps_all``.
        mask_unlabeled: joints that are not labeled count nothing in the loss. False, the
            authors' way: their ideal map is empty, as if they were not there.
        mask_outside: nor do joints that leave no trace in the map, as in MMPose's codecs.
            False, the authors' way: their ideal map is empty.
        truncation: beliefs below this are 0 (the authors' 0.01).
        subpixel: refine peaks between cells when decoding.
    """

    auxiliary_encode_keys = {'neighbor_keypoints', 'neighbor_keypoints_visible'}  # noqa: RUF012

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
        strides = {size / cells for size, cells in zip(input_size, heatmap_size)}
        if len(strides) != 1 or not (stride := strides.pop()).is_integer():
            raise ValueError(
                f'input_size {input_size} must be a whole multiple of heatmap_size '
                f'{heatmap_size}, the same in width and height; a CPM has stride 8'
            )
        if sigma <= 0:
            raise ValueError(f'sigma {sigma} must be positive')
        self.input_size = tuple(input_size)
        self.heatmap_size = tuple(heatmap_size)
        self.stride = int(stride)
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
    ) -> dict[str, Any]:
        """(1, K, 2) keypoints in input pixels, (1, K) visible -> see the class.

        Neighbors are (M, K, 2) and (M, K), M >= 0.
        """
        if len(keypoints) != 1:
            raise ValueError(f'{len(keypoints)} people in a top-down sample; expected one')
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], dtype=np.float32)
        keypoints = keypoints[..., :2]
        labeled = keypoints_visible >= 0.5
        known = labeled if self.mask_unlabeled else np.ones_like(labeled)
        inside = position_in_map(keypoints, self.heatmap_size, stride=self.stride, sigma=self.sigma)
        # where a joint that is not labeled lies means nothing
        counts = known & (inside | ~labeled) if self.mask_outside else known
        encoded = dict(
            heatmaps=self._maps(keypoints, labeled),
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
            )
        return encoded

    def _maps(self, keypoints: np.ndarray, labeled: np.ndarray) -> np.ndarray:
        maps = ideal_belief_maps(
            keypoints,
            labeled,
            self.heatmap_size,
            stride=self.stride,
            sigma=self.sigma,
            truncation=self.truncation,
        )
        return np.concatenate([maps, background_map(maps)]) if self.background else maps

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Beliefs (K, H, W) without background -> keypoints (1, K, 2) and scores (1, K)."""
        keypoints, scores = decode_peaks(encoded, stride=self.stride, subpixel=self.subpixel)
        return keypoints[None].astype(np.float32), scores[None].astype(np.float32)

    def batch_decode(self, batch_encoded: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Beliefs (N, K, H, W) -> N keypoints (1, K, 2) and N scores (1, K)."""
        keypoints, scores = decode_peaks(
            to_numpy(batch_encoded), stride=self.stride, subpixel=self.subpixel
        )
        return list(keypoints[:, None].astype(np.float32)), list(scores[:, None].astype(np.float32))
