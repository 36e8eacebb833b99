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


class FirstStage(nn.Sequential):
    """Image features -> beliefs, from local evidence: 5x5-32, 9x9-512, 1x1-512, 1x1-out.

    Args:
        reduced_channels, kernel_size: None leaves out the convolution; the authors' VGG
            networks have neither.
        dropout: after the 9x9 and the 1x1 convolution; 0.5 in the authors' genProto.py.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        reduced_channels: int | None = 32,
        channels: int = 512,
        reduce_kernel_size: int = 5,
        kernel_size: int | None = 9,
        dropout: float = 0.0,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        if reduced_channels is not None:
            self.reduce = ConvBlock(in_channels, reduced_channels, reduce_kernel_size, norm_layer)
            in_channels = reduced_channels
        if kernel_size is not None:
            self.conv1 = ConvBlock(in_channels, channels, kernel_size, norm_layer)
            self.dropout1 = nn.Dropout(dropout)
            in_channels = channels
        self.conv2 = ConvBlock(in_channels, channels, 1, norm_layer)
        self.dropout2 = nn.Dropout(dropout)
        self.beliefs = nn.Conv2d(channels, out_channels, 1)


class RefinementStage(nn.Module):
    """Shared features, previous beliefs and center map -> better beliefs.

    The features go through a 5x5-32 convolution of this stage's own. The rest sees, in
    the authors' order, (features, beliefs, center map): 3 x 11x11-128, 1x1-128, 1x1-out.
    At stride 8 three 11x11 convolutions see 31 cells = 248 pixels, most of a person.

    Args:
        reduced_channels: None leaves the 5x5 convolution out, as in the authors' VGG
            networks.
        depth: of the large convolutions; 5 (of 7x7) in the authors' VGG networks.
        beliefs_first: the order (beliefs, features, center map) of the authors' VGG
            networks and of MMPose.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        center_channels: int = 0,
        reduced_channels: int | None = 32,
        channels: int = 128,
        reduce_kernel_size: int = 5,
        kernel_size: int = 11,
        depth: int = 3,
        beliefs_first: bool = False,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        self.beliefs_first = beliefs_first
        self.reduce: nn.Module = nn.Identity()
        if reduced_channels is not None:
            self.reduce = ConvBlock(in_channels, reduced_channels, reduce_kernel_size, norm_layer)
            in_channels = reduced_channels
        widths = [in_channels + out_channels + center_channels, *[channels] * depth]
        self.refine = nn.Sequential(
            *(ConvBlock(seen, channels, kernel_size, norm_layer) for seen in widths[:-1]),
            ConvBlock(widths[-1], channels, 1, norm_layer),
        )
        self.beliefs = nn.Conv2d(channels, out_channels, 1)

    def forward(self, features: Tensor, beliefs: Tensor, center: Tensor | None) -> Tensor:
        seen = [self.reduce(features), beliefs]
        if self.beliefs_first:
            seen.reverse()
        if center is not None:
            seen.append(center)
        return self.beliefs(self.refine(torch.cat(seen, dim=1)))


class BeliefStages(nn.Module):
    """Image features -> the beliefs of every stage.

    Args:
        in_channels: of (stage-1 features, shared features).
        num_keypoints: joints.
        num_stages: T >= 1.
        background: adds a last channel for "no joint here".
        center_map: later stages also see the pooled center map.
        channels: width of the refinement stages.
        reduced_channels: width of each stage's 5x5 convolution on the image features;
            None: the stages see the features as they are.
        first_stage_channels: width of stage 1.
        reduce_kernel_size, first_stage_kernel_size, refine_kernel_size: 5, 9 and 11 in
            the paper. first_stage_kernel_size None leaves stage 1 only its 1x1
            convolutions.
        refine_depth: number of large convolutions of a refinement stage.
        beliefs_first: the order in which refinement stages see their inputs.
        dropout: in stage 1.
        norm_layer: called with a number of channels after each convolution, or None.
    """

    def __init__(
        self,
        *,
        in_channels: Sequence[int] = (128, 128),
        num_keypoints: int,
        num_stages: int = 6,
        background: bool = False,
        center_map: bool = False,
        channels: int = 128,
        reduced_channels: int | None = 32,
        first_stage_channels: int = 512,
        reduce_kernel_size: int = 5,
        first_stage_kernel_size: int | None = 9,
        refine_kernel_size: int = 11,
        refine_depth: int = 3,
        beliefs_first: bool = False,
        dropout: float = 0.0,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        counts = (num_stages, num_keypoints)
        if not all(isinstance(count, int) and count >= 1 for count in counts):
            raise ValueError(
                f'num_stages={num_stages!r} and num_keypoints={num_keypoints!r} must be whole '
                'numbers of at least 1'
            )
        if len(in_channels) != 2:
            raise ValueError(
                f'in_channels={tuple(in_channels)}: expected two numbers, the channels of the '
                'stage-1 and of the shared features'
            )
        self.in_channels = tuple(in_channels)
        self.num_keypoints = num_keypoints
        self.num_stages = num_stages
        self.background = background
        self.center_map = center_map
        self.out_channels = num_keypoints + background
        self.first = FirstStage(
            in_channels=in_channels[0],
            out_channels=self.out_channels,
            reduced_channels=reduced_channels,
            channels=first_stage_channels,
            reduce_kernel_size=reduce_kernel_size,
            kernel_size=first_stage_kernel_size,
            dropout=dropout,
            norm_layer=norm_layer,
        )
        self.later = nn.ModuleList(
            RefinementStage(
                in_channels=in_channels[1],
                out_channels=self.out_channels,
                center_channels=int(center_map),
                reduced_channels=reduced_channels,
                channels=channels,
                reduce_kernel_size=reduce_kernel_size,
                kernel_size=refine_kernel_size,
                depth=refine_depth,
                beliefs_first=beliefs_first,
                norm_layer=norm_layer,
            )
            for _ in range(num_stages - 1)
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
