"""``CPMAffinityFields``: belief maps and part affinity fields of several people as an MMPose codec.

Paper: Cao, Simon, Wei, Sheikh, CVPR 2017 (arXiv 1611.08050).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.maps.affinity_fields import ideal_affinity_fields
from ..core.maps.belief_maps import TRUNCATION, background_map, ideal_belief_maps
from ..core.maps.grouping import (
    FIELD_THRESHOLD,
    MAX_PEOPLE,
    MIN_ABOVE,
    MIN_PARTS,
    MIN_SCORE,
    group_people,
)
from ..core.maps.joint_sets import joint_set
from ..core.maps.peaks import PEAK_THRESHOLD
from .codec import stride_of
from .labels import LabelError, name_of

from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS


@KEYPOINT_CODECS.register_module()
class CPMAffinityFields(BaseKeypointCodec):
    """Codec that draws belief maps and fields of all people, and groups their peaks into people.

    The maps are those of ``cpm_plugin.core.maps``: cell g is at stride * g + stride / 2 - 0.5 input
    pixels. ``GenerateTarget`` adds them to a sample as ``heatmaps`` and ``affinity_fields``. Put
    ``PeopleMask`` after it, if the dataset has people without labels, or crowds.

    Args:
        input_size: (width, height) of the network input in pixels.
        heatmap_size: (width, height) of the maps in cells, an eighth of the input. For testing, the
            maps may have another size; only the ratio of the two counts.
        joints: Name of the joint set of the model, with limbs, in
            ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``. Keypoints must have its joints, in its
            order; ``SelectJoints`` makes them from those of a dataset.
        sigma: Standard deviation of the Gaussians in input pixels, positive. The authors' is 7, at
            368 x 368.
        limb_width: Half the breadth of a limb in input pixels, positive. The authors' is 8.
        background: Add the background channel.
        truncation: Beliefs below this value are 0. The authors' is 0.01.
        peak_threshold: See ``group_people``, as for the arguments below.
        field_threshold: A sample of the field supports a limb if it is larger than this.
        min_above: More than this part of a limb's samples must support it.
        min_parts: Smallest number of joints of a person.
        min_score: Smallest sum of scores of a person's joints and limbs, over its number of joints.
        max_people: Largest number of people.

    Raises:
        ValueError: If the two sizes do not have one whole ratio, the joints have no limbs, or
            ``sigma`` or ``limb_width`` is not positive.

    Examples:
        The paper's input size, in a config:

        >>> codec = dict(
        ...     type='CPMAffinityFields', input_size=(368, 368), heatmap_size=(46, 46),
        ...     joints='openpose_coco',
        ... )
        >>> encode = dict(type='GenerateTarget', encoder=codec)
        >>> train_pipeline = [encode, dict(type='PeopleMask')]
        >>> head = dict(
        ...     type='CPMPAFHead', in_channels=128, joints='openpose_coco', decoder=codec,
        ... )
    """

    # They only name the sample in an error.
    auxiliary_encode_keys = {'img_path', 'id'}  # noqa: RUF012

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        joints: str,
        sigma: float = 7.0,
        limb_width: float = 8.0,
        background: bool = True,
        truncation: float = TRUNCATION,
        peak_threshold: float = PEAK_THRESHOLD,
        field_threshold: float = FIELD_THRESHOLD,
        min_above: float = MIN_ABOVE,
        min_parts: int = MIN_PARTS,
        min_score: float = MIN_SCORE,
        max_people: int = MAX_PEOPLE,
    ) -> None:
        super().__init__()
        self.stride = stride_of(input_size, heatmap_size)
        if sigma <= 0 or limb_width <= 0:
            raise ValueError(
                f'sigma {sigma} and limb_width {limb_width} must be positive; the authors have '
                '7 and 8 pixels'
            )
        self.joints = joint_set(joints)
        if not self.joints.limbs:
            raise ValueError(f'joints={joints!r} have no limbs; give a joint set with limbs')
        self.input_size = (input_size[0], input_size[1])
        self.heatmap_size = (heatmap_size[0], heatmap_size[1])
        self.sigma = sigma
        self.limb_width = limb_width
        self.background = background
        self.truncation = truncation
        self.thresholds: dict[str, Any] = dict(
            peak_threshold=peak_threshold,
            field_threshold=field_threshold,
            min_above=min_above,
            min_parts=min_parts,
            min_score=min_score,
            max_people=max_people,
        )
        # The mask is that of PeopleMask.
        names = ('heatmaps', 'affinity_fields', 'heatmap_mask')
        self.field_mapping_table = {name: name for name in names}

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        img_path: str | None = None,
        id: Any = None,
    ) -> dict[str, Any]:
        """Draw the target maps of P >= 0 people with K keypoints.

        Args:
            keypoints: (P, K, 2), x and y in input pixels.
            keypoints_visible: (P, K). Values below 0.5 mean "not labeled": such a keypoint is not
                drawn, and neither are its limbs. By default all are labeled.
            img_path: Path of the image, for errors.
            id: Numbers of the annotations, for errors.

        Returns:
            Arrays in float32 by name:
                - ``heatmaps`` (K, height, width), in [0, 1]; with ``background`` one channel more,
                  the last;
                - ``affinity_fields`` (2L, height, width), in [-1, 1].

        Raises:
            ValueError: If the keypoints are not those of ``joints``. ``LabelError``, which names
                the image, if a labeled keypoint is not at a finite position, or the shapes do not
                fit.
        """
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], dtype=np.float32)
        where = name_of(dict(img_path=img_path, id=id))
        if keypoints.shape[1] != len(self.joints.names):
            raise ValueError(
                f'{where}: {keypoints.shape[1]} keypoints, but joints of the codec has '
                f'{len(self.joints.names)} ({", ".join(self.joints.names)}); set joints to the '
                'joint set of the dataset, or put SelectJoints before RandomFlip in the pipeline'
            )
        if keypoints_visible.shape != keypoints.shape[:2]:
            raise LabelError(
                f'{where}: visibilities {keypoints_visible.shape} do not fit keypoints '
                f'{keypoints.shape}; every keypoint of the annotation needs one'
            )
        keypoints, labeled = keypoints[..., :2], keypoints_visible >= 0.5
        try:
            maps = ideal_belief_maps(
                keypoints,
                labeled,
                self.heatmap_size,
                stride=self.stride,
                sigma=self.sigma,
                truncation=self.truncation,
            )
            fields = ideal_affinity_fields(
                keypoints,
                labeled,
                self.joints.limb_indices,
                self.heatmap_size,
                stride=self.stride,
                width=self.limb_width,
            )
        except ValueError as error:
            raise LabelError(f'{where}, in pixels of the input: {error}') from error
        if self.background:
            maps = np.concatenate([maps, background_map(maps)])
        return dict(heatmaps=maps, affinity_fields=fields)

    def decode(
        self, heatmaps: np.ndarray, fields: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find P >= 0 people in belief maps and fields.

        A joint that was not found has score 0. It is put in the middle of the joints found, so that
        it does not change the box of the person.

        Args:
            heatmaps: (K, height, width), belief maps without background.
            fields: (2L, height, width).

        Returns:
            Keypoints (P, K, 2) in input pixels, their scores (P, K), and the scores of the people
                (P,), the best first.
        """
        people = group_people(
            heatmaps,
            fields,
            self.joints.limb_indices,
            stride=self.stride,
            tree=self.joints.tree_limbs,
            **self.thresholds,
        )
        found = people.scores[..., None] > 0
        middles = people.keypoints.sum(axis=1, where=found) / found.sum(axis=1).clip(min=1)
        keypoints = np.where(found, people.keypoints, middles[:, None])
        return (
            keypoints.astype(np.float32),
            people.scores.astype(np.float32),
            people.person_scores.astype(np.float32),
        )
