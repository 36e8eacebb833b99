"""The network of "Convolutional Pose Machines" (Wei et al., CVPR 2016, arXiv 1602.00134).

:class:`ConvolutionalPoseMachine` is its trunks (:mod:`.trunks`: image -> features) and its
:class:`~cpm_plugin.core.stages.BeliefStages` (features -> beliefs of every stage).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .efficientnet import LiteTrunk
from .joints import JointSet, joint_set_of
from .large_conv import set_conv_method
from .layers import NormLayer
from .stages import BeliefStages, split_features
from .trunks import FeatureTrunks, Trunks, VggTrunk

ENCODERS = ('efficientnet_lite0',)


def build_trunks(
    *,
    in_channels: int,
    channels: int,
    kernel_size: int,
    shared_trunk: bool,
    center_map_sigma: float | None,
    pool_padding: int,
    vgg_tail: Sequence[int] | None,
    encoder: str | None,
    norm_layer: NormLayer | None,
    frozen_groups: int = 0,
) -> Trunks:
    """The trunks that the arguments of :class:`ConvolutionalPoseMachine` ask for.

    Args:
        frozen_groups: of the encoder, :class:`~cpm_plugin.core.efficientnet.EfficientNetLite0`.

    Raises:
        ValueError: for an unknown encoder, or arguments that do not go together.
    """
    if encoder is not None:
        if encoder not in ENCODERS:
            raise ValueError(f'no encoder {encoder!r}; there are: {", ".join(ENCODERS)}')
        if vgg_tail is not None or in_channels != 3:
            raise ValueError(
                f'encoder={encoder!r} takes pictures of 3 channels and has no VGG tail; leave '
                f'vgg_tail={vgg_tail} and in_channels={in_channels} out'
            )
        return LiteTrunk(
            channels=channels,
            frozen_groups=frozen_groups,
            center_map_sigma=center_map_sigma,
            norm_layer=norm_layer,
        )
    if frozen_groups:
        raise ValueError(f'frozen_groups={frozen_groups} is for an encoder, and none is given')
    if vgg_tail is not None:
        return VggTrunk(
            tail=vgg_tail,
            in_channels=in_channels,
            center_map_sigma=center_map_sigma,
            norm_layer=norm_layer,
        )
    return FeatureTrunks(
        in_channels=in_channels,
        channels=channels,
        kernel_size=kernel_size,
        shared_trunk=shared_trunk,
        center_map_sigma=center_map_sigma,
        pool_padding=pool_padding,
        norm_layer=norm_layer,
    )


class ConvolutionalPoseMachine(nn.Module):
    """The whole machine: image -> beliefs of every stage.

    The defaults are the paper's LSP / MPII network but for the number of joints. A slim
    one is a line::

        ConvolutionalPoseMachine(num_keypoints=14, num_stages=3, channels=32,
                                 first_stage_channels=128)

    Args:
        num_keypoints: joints.
        num_stages: T; 6 in the paper.
        background: a last channel for "no joint here"; the authors have it.
        center_map_sigma: of the center map in input pixels (authors: 21), None without.
        joints: what the belief channels are, a :class:`~cpm_plugin.core.joints.JointSet`
            or the name of one; None: unknown.
        in_channels: channels of the image.
        channels: width of trunks and refinement stages.
        trunk_kernel_size: of the trunks' convolutions.
        pool_padding: of the trunks' pools; 1 is MMPose's.
        vgg_tail: takes :class:`~cpm_plugin.core.trunks.VggTrunk` with these channels in
            place of the paper's two trunks.
        encoder: ``efficientnet_lite0`` takes :class:`~cpm_plugin.core.efficientnet.LiteTrunk`
            in place of them.
        norm_layer: e.g. ``nn.BatchNorm2d``; None, as in the paper, for no normalisation.
        conv_method: ``auto``: the faster of two exact ways; ``direct``: plain conv2d, bit for
            bit; see :class:`~cpm_plugin.core.large_conv.LargeKernelConv2d`.
        reduced_channels, first_stage_channels, reduce_kernel_size,
        first_stage_kernel_size, refine_kernel_size, refine_depth, beliefs_first,
        dropout: see :class:`~cpm_plugin.core.stages.BeliefStages`.
    """

    def __init__(
        self,
        *,
        num_keypoints: int = 14,
        num_stages: int = 6,
        background: bool = True,
        center_map_sigma: float | None = 21.0,
        joints: JointSet | str | None = None,
        in_channels: int = 3,
        channels: int = 128,
        reduced_channels: int | None = 32,
        first_stage_channels: int = 512,
        trunk_kernel_size: int = 9,
        pool_padding: int = 0,
        vgg_tail: Sequence[int] | None = None,
        encoder: str | None = None,
        reduce_kernel_size: int = 5,
        first_stage_kernel_size: int | None = 9,
        refine_kernel_size: int = 11,
        refine_depth: int = 3,
        beliefs_first: bool = False,
        dropout: float = 0.0,
        norm_layer: NormLayer | None = None,
        conv_method: str = 'auto',
    ) -> None:
        super().__init__()
        self.joints = joint_set_of(joints, num_keypoints)
        self.trunks = build_trunks(
            in_channels=in_channels,
            channels=channels,
            kernel_size=trunk_kernel_size,
            shared_trunk=num_stages != 1,
            center_map_sigma=center_map_sigma if num_stages != 1 else None,
            pool_padding=pool_padding,
            vgg_tail=vgg_tail,
            encoder=encoder,
            norm_layer=norm_layer,
        )
        features = channels if vgg_tail is None else vgg_tail[-1]
        self.stages = BeliefStages(
            in_channels=(features, features),
            num_keypoints=num_keypoints,
            num_stages=num_stages,
            background=background,
            center_map=center_map_sigma is not None,
            channels=channels,
            reduced_channels=reduced_channels,
            first_stage_channels=first_stage_channels,
            reduce_kernel_size=reduce_kernel_size,
            first_stage_kernel_size=first_stage_kernel_size,
            refine_kernel_size=refine_kernel_size,
            refine_depth=refine_depth,
            beliefs_first=beliefs_first,
            dropout=dropout,
            norm_layer=norm_layer,
        )
        set_conv_method(self, conv_method)

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> list[Tensor]:
        """(N, 3, H, W) -> T tensors (N, num_keypoints + background, h, w), not rectified.

        h and w follow :func:`cpm_plugin.core.geometry.pooled_size`: 368 -> 46.
        The image is expected roughly in [-0.5, 0.5]: the authors' is BGR, (v - 128) / 256.

        Args:
            center_map: (N, 1, H, W), by default a Gaussian in the middle of the image.
        """
        return self.stages(*split_features(self.trunks(image, center_map)))
