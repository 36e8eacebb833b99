"""``PeopleMask``: cells that the loss leaves out, because people there have no labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xtcocotools.mask as cocomask

from mmpose.datasets.transforms import BottomupGetHeatmapMask
from mmpose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PeopleMask(BottomupGetHeatmapMask):
    """Stock's ``BottomupGetHeatmapMask``, with crowds.

    COCO outlines single people by polygons, and crowds by run lengths. Stock's transform masks
    people without keypoints only: it passes run lengths over without a word. The authors mask both
    (``genCOCOMask.m`` of the paper's release). What lies outside the image is masked, too.

    Put it after ``BottomupRandomAffine``, ``RandomFlip`` and ``GenerateTarget``, in this order, which
    it takes for granted. The keys are those of stock's transform; ``heatmap_mask`` is
    (1, h, w), of bool.

    Examples:
        In the pipeline of a config:

        >>> step = dict(type='PeopleMask')
    """

    def _segs_to_mask(self, segs: Sequence[Any], img_shape: Sequence[int]) -> np.ndarray:
        """Return 1 where an outline of people without labels is, in an array (height, width)."""
        height, width = img_shape[:2]
        mask = super()._segs_to_mask(segs, (height, width))
        for runs in (found for found in segs if isinstance(found, dict)):
            if isinstance(runs['counts'], list):  # as in COCO's files
                runs = cocomask.frPyObjects(runs, height, width)
            mask = np.maximum(mask, cocomask.decode(runs))
        return mask

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        results = super().transform(results)
        results['heatmap_mask'] = results['heatmap_mask'][None]
        return results
