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
from ..core.maps.joint_sets import joint_set, joint_set_of
from ..core.maps.joints import JointSet
from ..core.models.settings import StageSettings, settings_from
from ..core.models.stages import BeliefStages, split_features
from .backbone import norm_layer_of
from .scale_peaks import search_scales
from .strict import check_loading

from mmpose.models.heads.base_head import BaseHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import KEYPOINT_CODECS, MODELS


@MODELS.register_module()
class CPMStageHead(BaseHead):
    """Head with the stages of a CPM: belief maps of every stage, and a loss for each.

    It takes the output of ``CPMBackbone``, ``(stage1_features, shared_features)`` and with a
    center map ``pooled_center_map``. It also takes the single feature map of any stock backbone,
    which then serves stage 1 and the later stages.

    Args:
        in_channels: Number of channels of the feature map, or of (stage-1 features, shared
            features).
        num_keypoints: Number of keypoints.
        center_map: The features include the pooled center map, for stages 2 and later.
        joints: Name of the joint set of the belief channels, in
            ``cpm_plugin.core.maps.joint_sets.JOINT_SETS``. None: the keypoints of the dataset. It
            is needed where the two differ, as the authors' 14 joints and MPII's 16.
        output_joints: Name of the joint set of the predictions, that of the dataset. It needs
            ``joints``. A joint that the head does not have, such as MPII's pelvis and thorax, is
            put in the middle of the two joints that it lies between.
        norm_cfg: Config of the normalization layers, such as ``dict(type='BN')``. None, as in the
            paper, is for no normalization.
        loss: Config of ``IntermediateSupervisionLoss``.
        target_fields: Name of the targets in ``gt_fields`` for all stages, or one name for each
            stage, such as ``['heatmaps_all'] + ['heatmaps'] * 5``.
        decoder: Config of a codec.
        conv_method: ``'auto'`` takes the faster of two exact ways to compute a convolution.
            ``'direct'`` takes PyTorch's ``conv2d``, bit for bit.
        strict_load: Refuse checkpoints that do not fit, where MMEngine only warns. False: at the
            start of a training (``load_from``, ``init_cfg``), take what fits, and log what does
            not. A test or a resumed training refuses it all the same.
        init_cfg: Initialization by MMEngine. None keeps the initialization of the core.
        settings: Fields of ``cpm_plugin.core.models.settings.StageSettings``, such as
            ``num_stages``, ``channels`` or ``background``. With ``background=True`` the targets
            need a background too, as ``CPMHeatmap(background=True)`` makes it. It is removed
            before flip test, decoding and ``output_heatmaps``.

    Raises:
        ValueError: If a setting is unknown or out of range.

    Examples:
        The stages of the paper with batch normalization, in a config:

        >>> model = dict(
        ...     head=dict(
        ...         type='CPMStageHead',
        ...         in_channels=128,
        ...         num_keypoints=14,
        ...         num_stages=6,
        ...         background=True,
        ...         center_map=True,
        ...         norm_cfg=dict(type='BN'),
        ...         decoder=dict(
        ...             type='CPMHeatmap', input_size=(368, 368), heatmap_size=(46, 46),
        ...             background=True,
        ...         ),
        ...     )
        ... )
    """

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
                StageSettings, {'num_keypoints': num_keypoints, **settings}, CPMStageHead
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
                'for each stage'
            )
        self.target_fields = list(names)
        self.loss_module = MODELS.build(loss or dict(type='IntermediateSupervisionLoss'))
        self.decoder = None if decoder is None else KEYPOINT_CODECS.build(decoder)
        set_conv_method(self, conv_method)
        check_loading(self, strict=strict_load)

    def forward(self, feats: Sequence[Tensor] | Tensor) -> list[Tensor]:
        """Compute the belief maps of all stages.

        Args:
            feats: Features (N, C, h, w); see the class.

        Returns:
            T tensors (N, num_keypoints + background, h, w), stage 1 first.
        """
        return self.stages(*split_features(feats))

    def keypoint_beliefs(
        self, feats: Any, data_samples: Sequence[Any], test_cfg: dict | None = None
    ) -> list[Tensor]:
        """Compute the belief maps of all stages without background, with flip test if it is on.

        Under flip test they are averaged with those of the mirrored image.

        Args:
            feats: Features of the image. With ``test_cfg['flip_test']`` a list of two, of the image
                and of the mirrored image.
            data_samples: Data samples of the batch. The ``flip_indices`` of the first one are used,
                unless the head has ``joints``.
            test_cfg: The model's ``test_cfg``: ``flip_test``, ``flip_mode`` and ``shift_heatmap``.

        Returns:
            T tensors (N, num_keypoints, h, w) in float32, also under autocast.

        Raises:
            ValueError: If the dataset has another number of joints than the head, under flip test.
        """
        test_cfg = test_cfg or {}
        num_keypoints = self.stages.num_keypoints
        if not test_cfg.get('flip_test', False):
            return [beliefs[:, :num_keypoints].float() for beliefs in self.forward(feats)]
        if self.joints is not None:
            flip_indices: Sequence[int] = self.joints.flip_indices
        else:
            flip_indices = data_samples[0].metainfo['flip_indices']
        self._check_number(len(flip_indices))
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
        """Predict the keypoints of the last stage, or of ``test_cfg['stage']``, in input pixels.

        Where the samples have ``crop_scales`` (``scale_search``), the features are those of S crops
        of each of N people, person by person. The positions are then whole image pixels, given in
        input pixels of the crop of scale 1.

        Args:
            feats: See ``keypoint_beliefs``.
            batch_data_samples: Data samples of the batch.
            test_cfg: See ``keypoint_beliefs``; also ``output_heatmaps``, and ``stage``, from 1.

        Returns:
            A list of ``InstanceData``. With ``test_cfg['output_heatmaps']`` also a list of
                ``PixelData`` with ``heatmaps`` (num_keypoints, h, w).

        Raises:
            ValueError: If there is no such stage, or ``output_heatmaps`` is on with several scales.
        """
        stage = test_cfg.get('stage', last := self.stages.num_stages)
        if stage not in range(1, last + 1):
            raise ValueError(f'test_cfg has stage={stage!r}; this head has stages 1 to {last}')
        beliefs = self.keypoint_beliefs(feats, batch_data_samples, test_cfg)[stage - 1]
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
                'output_heatmaps=True gives the maps of one crop for each person, and scale search '
                'has several; leave one of the two out'
            )
        return instances, [PixelData(heatmaps=maps) for maps in beliefs.detach()]

    def for_dataset(self, instance: InstanceData) -> InstanceData:
        """Turn predictions of the head's joints into predictions of ``output_joints``.

        Args:
            instance: Predictions of one person, with fields (1, K) or (1, K, 2). It is changed in
                place.

        Returns:
            ``instance``.
        """
        if self.output_sources is None:
            return instance
        for key, value in instance.all_items():
            if key.startswith('keypoint'):  # (1, K[, 2]), as MMPose's own selection does
                parts = [value[:, list(channels)].mean(axis=1) for channels in self.output_sources]
                instance.set_field(np.stack(parts, axis=1), key)
        return instance

    def loss(self, feats: Any, batch_data_samples: Sequence[Any], train_cfg: dict = {}) -> dict:  # noqa: B006
        """Compute the loss and the accuracy of every stage.

        MMEngine adds everything with "loss" in its name to the loss of the network. The accuracy is
        MMPose's ``pose_pck_accuracy``: the fraction of labeled joints whose peak lies within 5 % of
        the map, averaged over the kinds of joints. Joints with an empty map are not counted.

        Args:
            feats: See ``forward``.
            batch_data_samples: Data samples of the batch, with targets.
            train_cfg: Not used.

        Returns:
            ``loss_stage1``, ``acc_stage1`` and so on.

        Raises:
            ValueError: If the samples do not have the targets that the head needs, or have another
                number of joints.
        """
        self._check_number(batch_data_samples[0].gt_instance_labels.keypoint_weights.shape[1])
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

    def _check_number(self, joints: int) -> None:
        """Raise ValueError if a dataset has another number of joints than the head."""
        own = self.stages.num_keypoints
        if joints != own:
            raise ValueError(
                f'the dataset has {joints} joints, the head num_keypoints={own}; make the two '
                f'agree: model=dict(head=dict(num_keypoints={joints})), or give the head joints '
                'and output_joints'
            )

    def _channel_weights(self, joint_weights: Tensor, samples: Sequence[Any]) -> Tensor:
        """Return the weights of joints (N, K), with those of the background as a last column."""
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
    """Return the channels that each output joint is the middle of, or None for the head's own."""
    if output is None:
        return None
    if joints is None:
        raise ValueError(
            f'output_joints={output!r} needs joints, the joint set of the belief channels'
        )
    return joints.sources(joint_set(output))


def _field(sample: Any, name: str) -> Tensor:
    if name not in sample.gt_fields:
        raise ValueError(
            f'no target {name!r} in the sample; there are {list(sample.gt_fields.keys())}; '
            "'heatmaps_all' needs CPMHeatmap(all_people=True) and AddNeighbors in the pipeline"
        )
    return getattr(sample.gt_fields, name)
