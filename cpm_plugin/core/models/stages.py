"""Stages, which compute belief maps from features: stage 1, a refinement stage, and all together.

All tensors are (N, C, H, W). The default sizes of layers are those of figure 2 of the paper (arXiv
1602.00134) and of the authors' deploy files for MPII and LSP. Other settings give those of their
VGG networks and of MMPose's ``CPM``. All convolutions have stride 1 and keep the size. ReLU follows
all convolutions except the belief outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import ConvBlock, NormLayer, initialize
from .settings import StageSettings


class FirstStage(nn.Sequential):
    """Stage 1, which computes belief maps from features, that is, from local evidence.

    The layers of the paper are 5x5-32, 9x9-512, 1x1-512 and 1x1-out.

    Args:
        in_channels: Number of channels of the features.
        settings: See ``StageSettings``.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.
    """

    def __init__(
        self, in_channels: int, settings: StageSettings, norm_layer: NormLayer | None = None
    ) -> None:
        super().__init__()
        channels = settings.first_stage_channels
        if settings.reduced_channels is not None:
            self.reduce = ConvBlock(
                in_channels, settings.reduced_channels, settings.reduce_kernel_size, norm_layer
            )
            in_channels = settings.reduced_channels
        if settings.first_stage_kernel_size is not None:
            self.conv1 = ConvBlock(
                in_channels, channels, settings.first_stage_kernel_size, norm_layer
            )
            self.dropout1 = nn.Dropout(settings.dropout)
            in_channels = channels
        self.conv2 = ConvBlock(in_channels, channels, 1, norm_layer)
        self.dropout2 = nn.Dropout(settings.dropout)
        self.beliefs = nn.Conv2d(channels, settings.out_channels, 1)


class RefinementStage(nn.Module):
    """Refinement stage, which computes better belief maps from those of the stage before it.

    Each stage has its own convolution on the shared features, 5x5-32 in the paper. The result,
    the beliefs and the center map are concatenated; the authors' order is (features, beliefs,
    center map). In the paper, 3 x 11x11-128, 1x1-128 and 1x1-out follow. At stride 8, three 11x11
    convolutions see 31 cells or 248 pixels, most of a person.

    Args:
        in_channels: Number of channels of the shared features.
        settings: See ``StageSettings``.
        center_map: Whether the stage takes the pooled center map.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.
    """

    def __init__(
        self,
        in_channels: int,
        settings: StageSettings,
        *,
        center_map: bool = False,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        self.beliefs_first = settings.beliefs_first
        self.reduce: nn.Module = nn.Identity()
        if settings.reduced_channels is not None:
            self.reduce = ConvBlock(
                in_channels, settings.reduced_channels, settings.reduce_kernel_size, norm_layer
            )
            in_channels = settings.reduced_channels
        channels, kernel_size = settings.channels, settings.refine_kernel_size
        seen = in_channels + settings.out_channels + center_map
        widths = [seen, *[channels] * settings.refine_depth]
        self.refine = nn.Sequential(
            *(ConvBlock(width, channels, kernel_size, norm_layer) for width in widths[:-1]),
            ConvBlock(widths[-1], channels, 1, norm_layer),
        )
        self.beliefs = nn.Conv2d(channels, settings.out_channels, 1)

    def forward(self, features: Tensor, beliefs: Tensor, center: Tensor | None) -> Tensor:
        """Compute the belief maps of this stage.

        Args:
            features: (N, C, h, w), the shared features.
            beliefs: (N, K, h, w), of the stage before; K includes the background.
            center: (N, 1, h, w), the pooled center map, or None.

        Returns:
            (N, K, h, w).
        """
        seen = [self.reduce(features), beliefs]
        if self.beliefs_first:
            seen.reverse()
        if center is not None:
            seen.append(center)
        return self.beliefs(self.refine(torch.cat(seen, dim=1)))


class BeliefStages(nn.Module):
    """All stages of a network, which compute belief maps from features.

    Args:
        in_channels: Numbers of channels of the stage-1 features and of the shared features.
        settings: See ``StageSettings``.
        center_map: Whether later stages take the pooled center map.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.

    Raises:
        ValueError: If ``in_channels`` does not have two numbers.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core import BeliefStages, StageSettings
        >>> settings = StageSettings(num_keypoints=14, num_stages=3, background=True)
        >>> stages = BeliefStages((8, 8), settings)
        >>> features = torch.zeros(1, 8, 8, 6)
        >>> [tuple(beliefs.shape) for beliefs in stages(features, features)]
        [(1, 15, 8, 6), (1, 15, 8, 6), (1, 15, 8, 6)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        settings: StageSettings,
        *,
        center_map: bool = False,
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
        self.num_stages = settings.num_stages
        self.background = settings.background
        self.out_channels = settings.out_channels
        self.center_map = center_map
        self.first = FirstStage(in_channels[0], settings, norm_layer)
        self.later = nn.ModuleList(
            RefinementStage(in_channels[1], settings, center_map=center_map, norm_layer=norm_layer)
            for _ in range(settings.num_stages - 1)
        )
        initialize(self)

    def forward(
        self, stage1_features: Tensor, shared_features: Tensor, center: Tensor | None = None
    ) -> list[Tensor]:
        """Compute the belief maps of all stages.

        Args:
            stage1_features: (N, C, h, w), features for stage 1.
            shared_features: (N, C, h, w), features for the later stages.
            center: (N, 1, h, w), the pooled center map; None for a network without one.

        Returns:
            T tensors (N, num_keypoints + background, h, w), stage 1 first, not rectified.

        Raises:
            ValueError: If the channels of the features are not ``in_channels``, or a center map is
                given or missing against the settings.
        """
        found = (stage1_features.shape[1], shared_features.shape[1])
        known = isinstance(stage1_features, Tensor)  # and no Proxy of torch.fx
        if known and found != self.in_channels:
            raise ValueError(
                f'features with {found} channels, but the stages were built for '
                f'in_channels={self.in_channels}; make the two agree'
            )
        if self.num_stages > 1 and (center is not None) != self.center_map:
            raise ValueError(
                f'center map {"given" if center is not None else "missing"}, but the stages '
                f'were built with center_map={self.center_map}; make the two agree'
            )
        beliefs = [self.first(stage1_features)]
        for stage in self.later:
            beliefs.append(stage(shared_features, beliefs[-1], center))
        # The convolutions may have used another memory format.
        return [belief.contiguous() for belief in beliefs]


def split_features(features: Sequence[Tensor] | Tensor) -> tuple[Tensor, ...]:
    """Return what a backbone gives as stage-1 features, shared features and, if given, center map.

    A single feature map serves all stages.

    Args:
        features: One feature map, or a sequence of one to three.

    Returns:
        Two or three tensors.

    Raises:
        ValueError: If there are none or more than three.
    """
    maps = (features,) if isinstance(features, Tensor) else tuple(features)
    if not 1 <= len(maps) <= 3:
        raise ValueError(
            f'{len(maps)} feature maps; expected one for all stages, or (stage 1, shared) or '
            '(stage 1, shared, center map). Let the backbone give a single out_indices'
        )
    return maps * 2 if len(maps) == 1 else maps
