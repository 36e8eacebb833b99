"""``CPMPAFHead``: stages with part affinity fields as an MMPose head, for several people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor
from torch.nn import functional as F

from ..core.conv.layer import set_conv_method
from ..core.maps.joint_sets import joint_set
from ..core.models.affinity_settings import AffinityStageSettings
from ..core.models.affinity_stages import AffinityStages, PartMaps, last_maps, mirror_back
from ..core.models.settings import settings_from
from ..core.models.stages import split_features
from .backbone import norm_layer_of
from .strict import check_loading

from mmpose.models.heads.base_head import BaseHead
from mmpose.registry import KEYPOINT_CODECS, MODELS


@MODELS.register_module()
class CPMPAFHead(BaseHead):
    """Head that computes belief maps and part affinity fields, for ``BottomupPoseEstimator``.

    It takes the output of ``CPMBackbone`` without a center map, or a single feature map of any
    stock backbone at stride 8, which then serves stage 1 and the later stages.

    Args:
        in_channels: Number of channels of the feature map, or of (stage-1 features, shared
            features).
        joints: Name of the joint set of the maps, with limbs, in
            ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``. It gives ``num_keypoints`` and
            ``num_limbs``.
        output_joints: Name of the joint set of the predictions, that of the dataset. None: that of
            the maps.
        norm_cfg: Config of the normalization layers, such as ``dict(type='BN')``. None, as in the
            paper, is for no normalization.
        loss: Config of ``AffinityLoss``.
        decoder: Config of ``CPMAffinityFields``, with the same joints.
        conv_method: See ``CPMStageHead``.
        strict_load: See ``CPMStageHead``.
        init_cfg: Initialization by MMEngine. None keeps the initialization of the core.
        settings: Fields of ``cpm_plugin.core.models.affinity_settings.AffinityStageSettings``, such
            as ``num_stages``, ``channels`` or ``field_stages``.

    Raises:
        ValueError: If a setting is unknown or out of range, the joints have no limbs, or the
            decoder has others.

    Examples:
        The stages of the paper of 2017, in a config:

        >>> model = dict(
        ...     type='BottomupPoseEstimator',
        ...     head=dict(
        ...         type='CPMPAFHead',
        ...         in_channels=128,
        ...         joints='openpose_coco',
        ...         output_joints='coco',
        ...         decoder=dict(
        ...             type='CPMAffinityFields', input_size=(368, 368), heatmap_size=(46, 46),
        ...             joints='openpose_coco',
        ...         ),
        ...     ),
        ...     test_cfg=dict(flip_test=True),
        ... )
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        joints: str,
        output_joints: str | None = None,
        norm_cfg: dict | None = None,
        loss: dict | None = None,
        decoder: dict | None = None,
        conv_method: str = 'auto',
        strict_load: bool = True,
        init_cfg: dict | list | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.joints = joint_set(joints)
        if not self.joints.limbs:
            raise ValueError(f'joints={joints!r} have no limbs; give a joint set with limbs')
        counts = {'num_keypoints': len(self.joints.names), 'num_limbs': len(self.joints.limbs)}
        for name, count in counts.items():
            if settings.setdefault(name, count) != count:
                raise ValueError(
                    f'{name}={settings[name]}, but joints={joints!r} have {count}; leave it out'
                )
        self.stages = AffinityStages(
            (in_channels,) * 2 if isinstance(in_channels, int) else in_channels,
            settings_from(AffinityStageSettings, settings, CPMPAFHead),
            norm_layer=norm_layer_of(norm_cfg),
        )
        self.output_sources = None
        if output_joints is not None:
            self.output_sources = self.joints.sources(joint_set(output_joints))
        self.loss_module = MODELS.build(loss or dict(type='AffinityLoss'))
        self.decoder = None if decoder is None else KEYPOINT_CODECS.build(decoder)
        if self.decoder is not None and self.decoder.joints != self.joints:
            raise ValueError(
                f'the decoder has other joints than joints={joints!r} of the head; make the two '
                'agree'
            )
        set_conv_method(self, conv_method)
        check_loading(self, strict=strict_load)

    def forward(self, feats: Sequence[Tensor] | Tensor) -> list[PartMaps]:
        """Compute the maps of all stages.

        Args:
            feats: Features (N, C, h, w); see the class.

        Returns:
            T ``PartMaps``, stage 1 first; see ``AffinityStages``.

        Raises:
            ValueError: If the features have a center map.
        """
        features = split_features(feats)
        if len(features) > 2:
            raise ValueError(
                'the backbone gives a center map, which is for one person; set '
                'center_map_sigma=None in the backbone'
            )
        maps: list[PartMaps] = self.stages(*features)
        return maps

    def part_maps(self, feats: Any, test_cfg: dict | None = None) -> tuple[Tensor, Tensor]:
        """Compute the last belief maps without background, and fields, averaged as tests ask for.

        Under flip test they are averaged with those of the mirrored image, see ``mirror_back``.
        Under multi-scale test they are averaged over the sizes of the image, at the size of the
        first.

        Args:
            feats: Features of the image. With ``test_cfg['flip_test']`` a list of two, of the image
                and of the mirrored image. With ``test_cfg['multiscale_test']`` a list of these, one
                for each size.
            test_cfg: The model's ``test_cfg``: ``flip_test`` and ``multiscale_test``.

        Returns:
            Belief maps (N, K, h, w) and fields (N, 2 L, h, w) in float32, also under autocast.

        Raises:
            ValueError: If ``test_cfg`` has settings that are not for these maps.
        """
        test_cfg = test_cfg or {}
        for name in ('shift_heatmap', 'restore_heatmap_size', 'align_corners'):
            if test_cfg.get(name, False):
                raise ValueError(
                    f'test_cfg has {name}=True, which would move the maps or spoil their peaks; '
                    'CPMAffinityFields needs none. Leave it out'
                )
        scales = feats if test_cfg.get('multiscale_test', False) else [feats]
        beliefs: list[Tensor] = []
        fields: list[Tensor] = []
        for scale in scales:
            if test_cfg.get('flip_test', False):
                one, other = (self._last(feats) for feats in scale)
                back = mirror_back(*other, self.joints)
                one = 0.5 * (one[0] + back[0]), 0.5 * (one[1] + back[1])
            else:
                one = self._last(scale)
            beliefs.append(one[0])
            fields.append(one[1])
        return _average(beliefs), _average(fields)

    def _last(self, feats: Any) -> tuple[Tensor, Tensor]:
        beliefs, fields = last_maps(self.forward(feats))
        assert beliefs is not None and fields is not None  # every arrangement has both
        return beliefs[:, : self.stages.num_keypoints].float(), fields.float()

    def predict(self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: dict = {}) -> Any:  # noqa: B006
        """Predict the people of each image, in input pixels.

        Args:
            feats: See ``part_maps``.
            batch_data_samples: Not used; the joints are the head's.
            test_cfg: See ``part_maps``; also ``output_heatmaps``.

        Returns:
            A list of ``InstanceData`` for P >= 0 people: ``keypoints`` (P, K, 2),
                ``keypoint_scores`` (P, K), and ``bboxes`` (P, 4) around the joints found, as x1,
                y1, x2, y2, with ``bbox_scores`` (P,). With ``test_cfg['output_heatmaps']`` also a
                list of ``PixelData``: ``heatmaps`` (K, h, w) and ``affinity_fields`` (2 L, h, w).

        Raises:
            ValueError: If the head has no decoder.
        """
        if self.decoder is None:
            raise ValueError(
                'the head has no decoder; set decoder to the codec of the config to predict people'
            )
        beliefs, fields = self.part_maps(feats, test_cfg)
        instances = [
            self._people(*self.decoder.decode(one, other))
            for one, other in zip(beliefs.cpu().numpy(), fields.cpu().numpy())
        ]
        if not test_cfg.get('output_heatmaps', False):
            return instances
        return instances, [
            PixelData(heatmaps=one, affinity_fields=other)
            for one, other in zip(beliefs.detach(), fields.detach())
        ]

    def _people(
        self, keypoints: np.ndarray, scores: np.ndarray, person_scores: np.ndarray
    ) -> InstanceData:
        """Return what a codec found as predictions of the joints of the dataset."""
        boxes = [
            np.concatenate([points[known].min(axis=0), points[known].max(axis=0)])
            for points, known in zip(keypoints, scores > 0)
        ]
        if self.output_sources is not None:
            sources = [list(channels) for channels in self.output_sources]
            keypoints = np.stack([keypoints[:, part].mean(axis=1) for part in sources], axis=1)
            # A joint between two of which one was not found is not found.
            scores = np.stack([scores[:, part].min(axis=1) for part in sources], axis=1)
        return InstanceData(
            keypoints=keypoints,
            keypoint_scores=scores,
            bboxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            bbox_scores=person_scores,
        )

    def loss(self, feats: Any, batch_data_samples: Sequence[Any], train_cfg: dict = {}) -> dict:  # noqa: B006
        """Compute the losses of every stage.

        MMEngine adds everything with "loss" in its name to the loss of the network.
        ``field_strength`` is only for the log: the mean of the last fields along the target,
        where there are limbs. It is 1 for the target itself, and 0 for empty fields.

        Args:
            feats: See ``forward``.
            batch_data_samples: Data samples of the batch, with targets, and with a
                ``heatmap_mask`` of ``PeopleMask`` if cells are left out.
            train_cfg: Not used.

        Returns:
            ``loss_fields_stage1``, ``loss_beliefs_stage1`` and so on, for what the stages have, and
                ``field_strength``.

        Raises:
            ValueError: If the samples do not have the targets that the head needs.
        """
        stages = self.forward(feats)
        beliefs, fields = (
            torch.stack([_target(sample, name) for sample in batch_data_samples])
            for name in ('heatmaps', 'affinity_fields')
        )
        mask = None
        if 'heatmap_mask' in batch_data_samples[0].gt_fields:
            mask = torch.stack([s.gt_fields.heatmap_mask for s in batch_data_samples]).to(beliefs)
        losses = self.loss_module(stages, beliefs, fields, mask)
        log: dict[str, Tensor] = {}
        for kind in ('fields', 'beliefs'):
            having = (n for n, maps in enumerate(stages, 1) if getattr(maps, kind) is not None)
            for stage, loss in zip(having, getattr(losses, kind)):
                log[f'loss_{kind}_stage{stage}'] = loss
        last = last_maps(stages).fields
        assert last is not None
        along = (last.detach() * fields).sum() / fields.square().sum().clamp(min=1e-12)
        return {**log, 'field_strength': along}


def _average(maps: list[Tensor]) -> Tensor:
    """Average maps (N, C, h, w) of several sizes, at the size of the first."""
    size = maps[0].shape[2:]
    same = [
        one if one.shape[2:] == size else F.interpolate(one, size, mode='bilinear') for one in maps
    ]
    return torch.stack(same).mean(dim=0)


def _target(sample: Any, name: str) -> Tensor:
    if 'gt_fields' not in sample or name not in sample.gt_fields:
        raise ValueError(
            f'no target {name!r} in the sample; put dict(type="GenerateTarget", encoder=codec) '
            'with a CPMAffinityFields codec in the pipeline'
        )
    target: Tensor = getattr(sample.gt_fields, name)
    return target
