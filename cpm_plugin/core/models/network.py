"""The network of "Convolutional Pose Machines" (Wei et al., CVPR 2016, arXiv 1602.00134).

``ConvolutionalPoseMachine`` consists of trunks and stages. The trunks compute features from an
image, and the stages compute belief maps from features.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..conv.layer import set_conv_method
from ..maps.joint_sets import joint_set_of
from ..maps.joints import JointSet
from .encoder_trunk import EncoderTrunk
from .layers import NormLayer
from .settings import StageSettings, TrunkSettings, split_settings
from .stages import BeliefStages, split_features
from .trunks import FeatureTrunks, Trunks, VggTrunk

# The paper's network for LSP (figure 2), where it differs from the defaults of the settings.
PAPER = {'num_keypoints': 14, 'background': True, 'center_map_sigma': 21.0}


class ConvolutionalPoseMachine(nn.Module):
    """A convolutional pose machine, which computes the belief maps of all stages from an image.

    ``build_network`` and ``create_model`` make such networks.

    Args:
        trunks: Module that computes features from an image and a center map.
        stages: Module that computes belief maps from features, for the ``out_channels`` of
            ``trunks``.
        joints: Names of the belief channels; None if they are unknown.
        input_size: Side of the square crops that the network is made for, in pixels; None if it
            is unknown. ``predict`` makes such crops. Other sizes can be computed, too.

    Attributes:
        trunks: As the argument.
        stages: As the argument.
        joints: As the argument.
        input_size: As the argument.

    Raises:
        ValueError: If the trunks, the stages and the joints do not fit together.
    """

    def __init__(
        self,
        trunks: Trunks,
        stages: BeliefStages,
        *,
        joints: JointSet | None = None,
        input_size: int | None = None,
    ) -> None:
        super().__init__()
        if trunks.out_channels != stages.in_channels:
            raise ValueError(
                f'the trunks give features with {trunks.out_channels} channels, the stages take '
                f'{stages.in_channels}; make the two agree'
            )
        self.trunks = trunks
        self.stages = stages
        self.joints = joint_set_of(joints, stages.num_keypoints)
        self.input_size = input_size

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> list[Tensor]:
        """Compute the belief maps of all stages.

        Args:
            image: (N, 3, H, W), with values of about [-0.5, 0.5]. The authors' images are BGR, with
                values (v - 128) / 256.
            center_map: (N, 1, H, W); by default a Gaussian in the middle of the image.

        Returns:
            T tensors (N, num_keypoints + background, h, w), stage 1 first, not rectified. For the
                trunks of the paper, ``pooled_size`` gives h and w: 368 becomes 46.

        Raises:
            ValueError: If the image or the center map has another shape, or a side that the pools
                do not allow.
        """
        return self.stages(*split_features(self.trunks(image, center_map)))


def build_trunks(settings: TrunkSettings, norm_layer: NormLayer | None = None) -> Trunks:
    """Build trunks of the kind that the settings ask for.

    Args:
        settings: See ``TrunkSettings``.
        norm_layer: Makes the normalization after each convolution, see ``ConvBlock``.

    Returns:
        ``EncoderTrunk`` for settings with an encoder, ``VggTrunk`` for settings with ``vgg_tail``,
            else ``FeatureTrunks``.
    """
    if settings.encoder is not None:
        return EncoderTrunk(settings, norm_layer)
    if settings.vgg_tail is not None:
        return VggTrunk(settings, norm_layer)
    return FeatureTrunks(settings, norm_layer)


def build_network(
    *,
    joints: JointSet | str | None = None,
    norm_layer: NormLayer | None = None,
    conv_method: str = 'auto',
    input_size: int | None = None,
    **settings: Any,
) -> ConvolutionalPoseMachine:
    """Build a network from settings; the defaults are the paper's for LSP, with 14 keypoints.

    Args:
        joints: Names of the belief channels, as a ``JointSet`` or as the name of one (see
            ``joint_set``). None if they are unknown.
        norm_layer: Makes the normalization after each convolution, such as ``nn.BatchNorm2d``.
            None: no normalization, as in the paper.
        conv_method: ``'auto'`` for the faster of two exact methods of convolution, ``'direct'``
            for plain ``conv2d``, bit for bit, ``'tiled'`` or ``'fourier'``. See
            ``LargeKernelConv2d``.
        input_size: Side of the crops that ``predict`` makes for the network, in pixels.
        **settings: Settings of ``TrunkSettings`` and ``StageSettings`` by name. ``channels`` goes
            to both, ``trunk_channels`` to the trunks only. The kernel size of the trunks is
            ``trunk_kernel_size``.

    Returns:
        The network, with initialized weights, in training mode.

    Raises:
        ValueError: If a setting is unknown or has a wrong value.

    Examples:
        A slim network with three stages:

        >>> import torch
        >>> from cpm_plugin.core import build_network
        >>> network = build_network(num_stages=3, channels=32, first_stage_channels=128)
        >>> beliefs = network(torch.zeros(1, 3, 64, 48))
        >>> [tuple(stage.shape) for stage in beliefs]
        [(1, 15, 8, 6), (1, 15, 8, 6), (1, 15, 8, 6)]
    """
    of_trunks, of_stages = split_settings(
        {**PAPER, **settings}, others=('joints', 'norm_layer', 'conv_method', 'input_size')
    )
    stage_settings = StageSettings(**of_stages)
    if stage_settings.num_stages == 1:  # only later stages use these
        of_trunks['center_map_sigma'] = None
        if not {'encoder', 'vgg_tail'} & of_trunks.keys():
            of_trunks['shared_trunk'] = False
    trunks = build_trunks(TrunkSettings(**of_trunks), norm_layer)
    stages = BeliefStages(
        trunks.out_channels,
        stage_settings,
        center_map=trunks.center_map_sigma is not None,
        norm_layer=norm_layer,
    )
    network = ConvolutionalPoseMachine(
        trunks,
        stages,
        joints=joint_set_of(joints, stage_settings.num_keypoints),
        input_size=input_size,
    )
    set_conv_method(network, conv_method)
    return network
