"""Stages that compute belief maps and part affinity fields, for the poses of several people.

All tensors are (N, C, H, W). Channel 2 l of the fields is x, and channel 2 l + 1 is y, of limb l.
Two arrangements are known:

- Both at every stage, in two branches: Cao et al. (CVPR 2017, arXiv 1611.08050).
- Fields at the first stages, belief maps at the later ones: OpenPose (2019, arXiv 1812.08008).

All convolutions have stride 1 and keep the size. ReLU or PReLU follows all but the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..maps.joints import JointSet
from .affinity_settings import AffinityStageSettings
from .layers import ConvBlock, NormLayer, initialize


class PartMaps(NamedTuple):
    """What a stage computes; None is what it does not.

    Attributes:
        beliefs: Belief maps (N, K + background, h, w), not rectified, or None.
        fields: Part affinity fields (N, 2 L, h, w), or None.
    """

    beliefs: Tensor | None
    fields: Tensor | None


def last_maps(stages: Sequence[PartMaps]) -> PartMaps:
    """Return the belief maps and the fields of the last stages that have them.

    Args:
        stages: Maps of all stages, stage 1 first.

    Returns:
        The last belief maps and the last fields.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.models import PartMaps, last_maps
        >>> one, two = torch.zeros(1, 38, 8, 8), torch.ones(1, 19, 8, 8)
        >>> maps = last_maps([PartMaps(None, one), PartMaps(two, None)])
        >>> maps.beliefs is two, maps.fields is one
        (True, True)
    """
    beliefs = [maps.beliefs for maps in stages if maps.beliefs is not None]
    fields = [maps.fields for maps in stages if maps.fields is not None]
    return PartMaps(beliefs[-1] if beliefs else None, fields[-1] if fields else None)


def mirror_back(beliefs: Tensor, fields: Tensor, joints: JointSet) -> tuple[Tensor, Tensor]:
    """Turn the maps of a mirrored image into those of the image, for a flip test.

    Sides change places, and vectors change sign along x. A limb whose direction turns round, such
    as that from the left to the right hip, changes sign once more.

    Args:
        beliefs: (N, K, h, w), without background.
        fields: (N, 2 L, h, w).
        joints: Names of the joints, and limbs.

    Returns:
        Belief maps and fields, of the same shapes.

    Raises:
        ValueError: If a limb has no mirror image among the limbs.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.maps.joint_sets import LSP
        >>> from cpm_plugin.core.models.affinity_stages import mirror_back
        >>> beliefs = torch.zeros(1, 14, 1, 2)
        >>> beliefs[0, LSP.index('left_knee'), 0, 0] = 1
        >>> mirrored, _ = mirror_back(beliefs, torch.zeros(1, 26, 1, 2), LSP)
        >>> mirrored[0, LSP.index('right_knee')]
        tensor([[0., 1.]])
    """
    limbs, turned = zip(*joints.flip_limbs)
    signs = [[1.0, -1.0] if turn else [-1.0, 1.0] for turn in turned]
    count, _, height, width = fields.shape
    pairs = fields.flip(-1).reshape(count, len(limbs), 2, height, width)
    pairs = pairs[:, list(limbs)] * pairs.new_tensor(signs)[..., None, None]
    return beliefs.flip(-1)[:, list(joints.flip_indices)], pairs.flatten(1, 2)


class DenseBlock(nn.Module):
    """Three convolutions, one after the other, whose outputs are concatenated.

    Args:
        in_channels: Number of input channels.
        channels: Number of channels of each convolution; the block has three times as many.
        kernel_size: Side of the kernels, odd.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.
        prelu: See ``ConvBlock``.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        norm_layer: NormLayer | None,
        *,
        prelu: bool = False,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            ConvBlock(width, channels, kernel_size, norm_layer, prelu=prelu)
            for width in (in_channels, channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block: (N, C, H, W) -> (N, 3 channels, H, W)."""
        seen = []
        for conv in self.convs:
            x = conv(x)
            seen.append(x)
        return torch.cat(seen, dim=1)


class Branch(nn.Sequential):
    """The layers of a stage that compute one kind of map.

    In the paper of 2017, 3 x 3x3-128, 1x1-512 and 1x1-out at stage 1; then 5 x 7x7-128, 1x1-128 and
    1x1-out.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of channels of the maps.
        settings: See ``AffinityStageSettings``.
        first: Whether it is the first stage of its kind.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        settings: AffinityStageSettings,
        *,
        first: bool = False,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        if first:
            channels, hidden = settings.first_stage_channels, settings.first_stage_hidden_channels
            kernel_size, depth = settings.first_stage_kernel_size, settings.first_stage_depth
        else:
            channels, hidden = settings.channels, settings.hidden_channels
            kernel_size, depth = settings.refine_kernel_size, settings.refine_depth
        kind = DenseBlock if settings.dense else ConvBlock
        width = 3 * channels if settings.dense else channels
        self.layers = nn.Sequential(
            *(
                kind(seen, channels, kernel_size, norm_layer, prelu=settings.prelu)
                for seen in (in_channels, *[width] * (depth - 1))
            )
        )
        self.hidden = ConvBlock(width, hidden, 1, norm_layer, prelu=settings.prelu)
        self.output = nn.Conv2d(hidden, out_channels, 1)


class AffinityStages(nn.Module):
    """All stages of a network, which compute belief maps and fields from features.

    Stage 1 sees the features only. Every later stage sees the shared features and the last belief
    maps and fields so far.

    Args:
        in_channels: Numbers of channels of the stage-1 features and of the shared features.
        settings: See ``AffinityStageSettings``.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.

    Attributes:
        in_channels: As the argument.
        settings: As the argument.
        num_keypoints: Number of keypoints, K.
        num_limbs: Number of limbs, L.
        num_stages: Number of stages, T.
        background: Whether the last belief channel is the background.
        fields: The branches that compute fields, in their order.
        beliefs: The branches that compute belief maps, in their order.

    Raises:
        ValueError: If ``in_channels`` does not have two numbers.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.models import AffinityStages, AffinityStageSettings
        >>> settings = AffinityStageSettings(num_keypoints=3, num_limbs=2, num_stages=2, channels=8)
        >>> stages = AffinityStages((8, 8), settings)
        >>> features = torch.zeros(1, 8, 8, 6)
        >>> [(tuple(m.beliefs.shape), tuple(m.fields.shape)) for m in stages(features, features)]
        [((1, 4, 8, 6), (1, 4, 8, 6)), ((1, 4, 8, 6), (1, 4, 8, 6))]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        settings: AffinityStageSettings,
        *,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        if len(in_channels) != 2:
            raise ValueError(
                f'in_channels={tuple(in_channels)}: expected two numbers, the channels of the '
                'stage-1 and of the shared features'
            )
        self.in_channels = tuple(in_channels)
        self.settings = settings
        self.num_keypoints = settings.num_keypoints
        self.num_limbs = settings.num_limbs
        self.num_stages = settings.num_stages
        self.background = settings.background
        self.fields, self.beliefs = nn.ModuleList(), nn.ModuleList()
        of_fields = of_beliefs = 0  # channels of the maps so far
        for stage in range(settings.num_stages):
            seen = in_channels[1] + of_fields + of_beliefs if stage else in_channels[0]
            for branches, out_channels in self._branches_of(stage):
                first = not len(branches)
                branches.append(
                    Branch(seen, out_channels, settings, first=first, norm_layer=norm_layer)
                )
            of_fields = settings.field_channels if len(self.fields) else 0
            of_beliefs = settings.belief_channels if len(self.beliefs) else 0
        initialize(self)

    def _branches_of(self, stage: int) -> list[tuple[nn.ModuleList, int]]:
        """Return the lists that a stage has a branch in, and their numbers of channels."""
        fields = (self.fields, self.settings.field_channels)
        beliefs = (self.beliefs, self.settings.belief_channels)
        until = self.settings.field_stages
        return [fields, beliefs] if until is None else [fields] if stage < until else [beliefs]

    def forward(self, stage1_features: Tensor, shared_features: Tensor) -> list[PartMaps]:
        """Compute the maps of all stages.

        Args:
            stage1_features: (N, C, h, w), features for stage 1.
            shared_features: (N, C, h, w), features for the later stages.

        Returns:
            T ``PartMaps``, stage 1 first: belief maps (N, K + background, h, w), not rectified, and
                fields (N, 2 L, h, w). With ``field_stages`` a stage has one of them.

        Raises:
            ValueError: If the channels of the features are not ``in_channels``.
        """
        found = (stage1_features.shape[1], shared_features.shape[1])
        known = isinstance(stage1_features, Tensor)  # and no Proxy of torch.fx
        if known and found != self.in_channels:
            raise ValueError(
                f'features with {found} channels, but the stages were built for '
                f'in_channels={self.in_channels}; make the two agree'
            )
        until = self.settings.field_stages
        fields: Tensor | None = None
        beliefs: Tensor | None = None
        results = []
        for stage in range(self.num_stages):
            seen = self._concatenate(fields, beliefs, shared_features) if stage else stage1_features
            both = until is None
            now = PartMaps(
                beliefs=self.beliefs[stage - (until or 0)](seen)
                if both or stage >= len(self.fields)
                else None,
                fields=self.fields[stage](seen) if both or stage < len(self.fields) else None,
            )
            beliefs = beliefs if now.beliefs is None else now.beliefs
            fields = fields if now.fields is None else now.fields
            results.append(now)
        # The convolutions may have used another memory format.
        return [PartMaps(*(m if m is None else m.contiguous() for m in maps)) for maps in results]

    def _concatenate(
        self, fields: Tensor | None, beliefs: Tensor | None, features: Tensor
    ) -> Tensor:
        """Concatenate what a later stage sees, in the order of the settings."""
        seen = [maps for maps in (fields, beliefs, features) if maps is not None]
        if self.settings.features_first:
            seen.reverse()
        return torch.cat(seen, dim=1)
