"""Image features -> beliefs: stage 1, the refinement stages, and all of them together.

All tensors are (N, C, H, W). Layer sizes are those of figure 2 of the paper (arXiv
1602.00134) and of the authors' MPII and LSP deploy files; arguments make those of their
VGG networks and of MMPose's ``CPM``. All convolutions have stride 1 and keep the size;
ReLU follows all but the belief outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .layers import ConvBlock, NormLayer, initialize
from .settings import StageSettings


class FirstStage(nn.Sequential):
    """Image features -> belief maps, from local evidence: 5x5-32, 9x9-512, 1x1-512, 1x1-out.

    Args:
        in_channels: Of the features.
        settings: Widths and kernels; see ``StageSettings``.
        norm_layer: Called with a number of channels after each convolution, or None.
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
    """Shared features, previous belief maps and center map -> better belief maps.

    The features go through a 5x5-32 convolution of this stage's own. The rest sees, in
    the authors' order, (features, beliefs, center map): 3 x 11x11-128, 1x1-128, 1x1-out.
    At stride 8 three 11x11 convolutions see 31 cells = 248 pixels, most of a person.

    Args:
        in_channels: Of the shared features.
        settings: Widths, kernels, order of the inputs; see ``StageSettings``.
        center_map: Whether the stage sees the pooled center map.
        norm_layer: Called with a number of channels after each convolution, or None.
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
        """(N, C, h, w), (N, K, h, w) and (N, 1, h, w) or None -> (N, K, h, w)."""
        seen = [self.reduce(features), beliefs]
        if self.beliefs_first:
            seen.reverse()
        if center is not None:
            seen.append(center)
        return self.beliefs(self.refine(torch.cat(seen, dim=1)))


class BeliefStages(nn.Module):
    """Image features -> the belief maps of every stage.

    Args:
        in_channels: Of (stage-1 features, shared features).
        settings: Number of stages and of keypoints, widths, kernels; see ``StageSettings``.
        center_map: Later stages also see the pooled center map.
        norm_layer: Called with a number of channels after each convolution, or None.

    Raises:
        ValueError: For other than two numbers of in_channels.
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
        """Features (N, C, h, w) and the pooled center map (N, 1, h, w) -> T beliefs.

        Returns:
            T tensors (N, num_keypoints + background, h, w), stage 1 first, not rectified.
        """
        found = (stage1_features.shape[1], shared_features.shape[1])
        if found != self.in_channels:
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
        # whatever order the convolutions worked in
        return [belief.contiguous() for belief in beliefs]


def split_features(features: Sequence[Tensor] | Tensor) -> tuple[Tensor, ...]:
    """What a trunk or any other backbone gives, as (stage 1, shared[, center map]).

    One feature map serves stage 1 and the later stages alike.
    """
    maps = (features,) if isinstance(features, Tensor) else tuple(features)
    if not 1 <= len(maps) <= 3:
        raise ValueError(
            f'{len(maps)} feature maps; expected one for all stages, or (stage 1, shared) or '
            '(stage 1, shared, center map). Let the backbone give a single out_indices'
        )
    return maps * 2 if len(maps) == 1 else maps
