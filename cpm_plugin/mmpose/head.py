"""``CPMStageHead``: the stages of a CPM as an MMPose head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from ..core.conv.layer import set_conv_method
from ..core.evaluation.pck import map_pck
from ..core.maps.joints import JointSet, joint_set, joint_set_of
from ..core.models.settings import StageSettings, settings_from
from ..core.models.stages import BeliefStages, split_features
from .backbone import norm_layer_of
from .scale_search import search_scales
from .strict import refuse_mismatch

from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import KEYPOINT_CODECS, MODELS


@MODELS.register_module()
class CPMStageHead(BaseHead):
    """Image features -> beliefs of every stage, with a loss at each.

    Takes what ``CPMBackbone`` gives, ``(stage1_features, shared_features
    [, pooled_center_map])``, or the single feature map of any stock backbone, used for
    stage 1 and the later stages alike.

    Args:
        in_channels: Of the feature map, or of (stage-1 features, shared features).
        num_keypoints: Keypoints.
        center_map: The features hold the pooled center map, for stages 2 and later.
        joints: What the belief channels are, the name of a set in
            ``cpm_plugin.core.maps.joints.JOINT_SETS``; None: the dataset's keypoints. Needed
            where the two differ, as the authors' 14 joints and MPII's 16.
        output_joints: The set that predictions are given in, the dataset's; with joints.
            A joint that the head has not, MPII's pelvis and thorax, is put between the
            two that it lies between.
        norm_cfg: E.g. ``dict(type='BN')``; None, as in the paper: no normalization.
        loss: Config of ``IntermediateSupervisionLoss``.
        target_fields: Names of the targets in ``gt_fields``, one for all stages or one a
            stage, e.g. ``['heatmaps_all'] + ['heatmaps'] * 5``.
        decoder: Config of a codec.
        conv_method: ``auto``: the faster of two exact ways of convolution; ``direct``: plain
            conv2d, bit for bit.
        strict_load: Refuse checkpoints that do not fit instead of warning.
        init_cfg: None leaves the core's initialization.
        settings: Of ``cpm_plugin.core.models.settings.StageSettings``, e.g. num_stages, channels,
            background. With ``background=True`` targets need a background, too, as
            ``CPMHeatmap(background=True)`` makes; it is cut off before flip test, decoding and
            ``output_heatmaps``.

    Raises:
        ValueError: For an unknown or wrong setting.

    Examples:
        >>> decoder = dict(type='CPMHeatmap', input_size=(368, 368), heatmap_size=(46, 46))
        >>> head = dict(
        ...     type='CPMStageHead', in_channels=128, num_keypoints=14, center_map=True,
        ...     norm_cfg=dict(type='BN'), decoder=decoder)
    """

    searches_scales = True  # see ScaleSearchHook

    def __init__(
        self,
        in_channels: int | Sequence[int],
        num_keypoints: int,
        center_map: bool = False,
        joints: str | None = None,
        output_joints: str | None = None,
        norm_cfg: dict | None = None,
        loss: dict | None = None,
        target_fields: str | Sequence[str] = 'heatmaps',
        decoder: dict | None = None,
        conv_method: str = 'auto',
        strict_load: bool = True,
        init_cfg: dict | list | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.stages = BeliefStages(
            (in_channels,) * 2 if isinstance(in_channels, int) else in_channels,
            settings_from(
                StageSettings, {'num_keypoints': num_keypoints, **settings}, 'CPMStageHead'
            ),
            center_map=center_map,
            norm_layer=norm_layer_of(norm_cfg),
        )
        num_stages = self.stages.num_stages
        self.joints = joint_set_of(joints, num_keypoints)
        self.output_sources = _output_sources(self.joints, output_joints)
        names = [target_fields] * num_stages if isinstance(target_fields, str) else target_fields
        if len(names) != num_stages:
            raise ValueError(
                f'{len(names)} target_fields for num_stages={num_stages}; give one name, or one '
                'a stage'
            )
        self.target_fields = list(names)
        self.loss_module = MODELS.build(loss or dict(type='IntermediateSupervisionLoss'))
        self.decoder = None if decoder is None else KEYPOINT_CODECS.build(decoder)
        set_conv_method(self, conv_method)
        if strict_load:
            refuse_mismatch(self)

    def forward(self, feats: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """Features -> T beliefs (N, num_keypoints + background, h, w), stage 1 first."""
        return self.stages(*split_features(feats))

    def keypoint_beliefs(
        self, feats: Any, data_samples: Sequence[Any], test_cfg: dict | None = None
    ) -> list[Tensor]:
        """As ``forward``, without background and, under ``flip_test``, averaged with the
        beliefs of the mirrored image.

        Args:
            feats: Features; under ``test_cfg['flip_test']`` a list of two, of the image
                and of the mirrored one.
            data_samples: Of the batch; the first one's ``flip_indices`` are used, unless the
                head has joints of its own.

        Returns:
            T tensors (N, num_keypoints, h, w) in float32, whatever autocast chose.
        """
        test_cfg = test_cfg or {}
        num_keypoints = self.stages.num_keypoints
        if not test_cfg.get('flip_test', False):
            return [beliefs[:, :num_keypoints].float() for beliefs in self.forward(feats)]
        if self.joints is not None:
            flip_indices: Sequence[int] = self.joints.flip_indices
        else:
            flip_indices = data_samples[0].metainfo['flip_indices']
        if len(flip_indices) != num_keypoints:
            raise ValueError(
                f'the dataset has {len(flip_indices)} joints, the head num_keypoints='
                f'{num_keypoints}; make the two agree, or give the head joints and output_joints'
            )
        straight, mirrored = map(self.forward, feats)
        return [
            0.5
            * (
                one[:, :num_keypoints].float()
                + flip_heatmaps(
                    other[:, :num_keypoints].float(),
                    flip_indices=flip_indices,
                    flip_mode=test_cfg.get('flip_mode', 'heatmap'),
                    shift_heatmap=test_cfg.get('shift_heatmap', False),
                )
            )
            for one, other in zip(straight, mirrored)
        ]

    def predict(self, feats: Any, batch_data_samples: Sequence[Any], test_cfg: dict = {}) -> Any:  # noqa: B006
        """Joint positions of the last stage, in network-input pixels.

        Where the samples have ``crop_scales`` (``scale_search``), the features are of S
        crops of each of the N people, one person after the other; positions are then whole
        pixels of the image, expressed in input pixels of the crop of scale 1.

        Returns:
            A list of ``InstanceData``; with ``test_cfg['output_heatmaps']`` also a list of
            ``PixelData`` with ``heatmaps`` (num_keypoints, h, w).
        """
        beliefs = self.keypoint_beliefs(feats, batch_data_samples, test_cfg)[-1]
        several = 'crop_scales' in batch_data_samples[0].metainfo
        if several:
            found = search_scales(beliefs, batch_data_samples, self.decoder)
        else:
            found = self.decode(beliefs)
        instances = [self.for_dataset(instance) for instance in found]
        if not test_cfg.get('output_heatmaps', False):
            return instances
        if several:
            raise ValueError(
                'output_heatmaps=True gives the maps of one crop a person, and scale search has '
                'several; leave one of the two out'
            )
        return instances, [PixelData(heatmaps=maps) for maps in beliefs.detach()]

    def for_dataset(self, instance: InstanceData) -> InstanceData:
        """Predictions of the head's joints as predictions of ``output_joints``."""
        if self.output_sources is None:
            return instance
        for key, value in instance.all_items():
            if key.startswith('keypoint'):  # (1, K[, 2]), as MMPose's own selection does
                parts = [value[:, list(channels)].mean(axis=1) for channels in self.output_sources]
                instance.set_field(np.stack(parts, axis=1), key)
        return instance

    def loss(self, feats: Any, batch_data_samples: Sequence[Any], train_cfg: dict = {}) -> dict:  # noqa: B006
        """Loss and accuracy of every stage: ``loss_stage1``, ``acc_stage1``, ...

        MMEngine sums what has "loss" in its name into the loss of the network. Accuracy is
        MMPose's ``pose_pck_accuracy``: how many labeled joints have their peak within 5 % of
        the map, averaged over the kinds of joints; joints with an empty map are not counted.
        """
        beliefs = self.forward(feats)
        fields = {
            name: torch.stack([_field(sample, name) for sample in batch_data_samples])
            for name in set(self.target_fields)
        }
        targets = [fields[name] for name in self.target_fields]
        joint_weights = torch.cat(
            [sample.gt_instance_labels.keypoint_weights for sample in batch_data_samples]
        )
        losses = self.loss_module(
            beliefs, targets, self._channel_weights(joint_weights, batch_data_samples)
        )
        log: dict[str, Tensor] = {}
        for stage, (loss, belief, target) in enumerate(zip(losses, beliefs, targets), start=1):
            ideal = target[:, : self.stages.num_keypoints]
            counted = (joint_weights > 0) & (ideal.amax(dim=(2, 3)) > 0)
            log[f'loss_stage{stage}'] = loss
            log[f'acc_stage{stage}'] = map_pck(belief[:, : ideal.shape[1]], ideal, counted)
        return log

    def _channel_weights(self, joint_weights: Tensor, samples: Sequence[Any]) -> Tensor:
        """(N, K) joint weights, and the background's as a last column."""
        if not self.stages.background:
            return joint_weights
        try:
            background = [s.gt_instance_labels.background_weights for s in samples]
        except AttributeError as error:
            raise ValueError(
                'the head has background=True but the codec makes no background channel; use '
                "dict(type='CPMHeatmap', background=True, ...) or background=False in the head"
            ) from error
        return torch.cat([joint_weights, torch.cat(background)], dim=1)


def _output_sources(joints: JointSet | None, output: str | None) -> Any:
    if output is None:
        return None
    if joints is None:
        raise ValueError(f'output_joints={output!r} needs joints, what the belief channels are')
    return joints.sources(joint_set(output))


def _field(sample: Any, name: str) -> Tensor:
    if name not in sample.gt_fields:
        raise ValueError(
            f'no target {name!r} in the sample, there are {list(sample.gt_fields.keys())}; '
            "'heatmaps_all' needs CPMHeatmap(all_people=True) and AddNeighbors in the pipeline"
        )
    return getattr(sample.gt_fields, name)
