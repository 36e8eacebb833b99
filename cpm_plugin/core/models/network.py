"""The network of "Convolutional Pose Machines" (Wei et al., CVPR 2016, arXiv 1602.00134).

``ConvolutionalPoseMachine`` is its trunks (image -> features) and its stages (features -> belief
maps of every stage).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..conv.layer import set_conv_method
from ..maps.joints import JointSet, joint_set_of
from .efficientnet import LiteTrunk
from .layers import NormLayer
from .settings import StageSettings, TrunkSettings, split_settings
from .stages import BeliefStages, split_features
from .trunks import FeatureTrunks, Trunks, VggTrunk

# The paper's network for LSP, figure 2, where it is not the settings' defaults.
PAPER = {'num_keypoints': 14, 'background': True, 'center_map_sigma': 21.0}


class ConvolutionalPoseMachine(nn.Module):
    """The whole network: image -> belief maps of every stage.

    Args:
        trunks: Image (and center map) -> features.
        stages: Features -> belief maps; built for the trunks' ``out_channels``.
        joints: What the belief channels are; None: unknown.

    Raises:
        ValueError: If the two do not fit together.
    """

    def __init__(
        self, trunks: Trunks, stages: BeliefStages, *, joints: JointSet | None = None
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

    def forward(self, image: Tensor, center_map: Tensor | None = None) -> list[Tensor]:
        """(N, 3, H, W) -> T tensors (N, num_keypoints + background, h, w), not rectified.

        h and w follow ``pooled_size``: 368 -> 46.

        Args:
            image: Roughly in [-0.5, 0.5]; the authors' is BGR, (v - 128) / 256.
            center_map: (N, 1, H, W), by default a Gaussian in the middle of the image.
        """
        return self.stages(*split_features(self.trunks(image, center_map)))


def build_trunks(settings: TrunkSettings, norm_layer: NormLayer | None = None) -> Trunks:
    """Trunks of the kind that the settings ask for.

    Args:
        settings: See ``TrunkSettings``.
        norm_layer: Called with a number of channels after each convolution, or None.
    """
    if settings.encoder is not None:
        return LiteTrunk(settings, norm_layer)
    if settings.vgg_tail is not None:
        return VggTrunk(settings, norm_layer)
    return FeatureTrunks(settings, norm_layer)


def build_network(
    *,
    joints: JointSet | str | None = None,
    norm_layer: NormLayer | None = None,
    conv_method: str = 'auto',
    **settings: Any,
) -> ConvolutionalPoseMachine:
    """A network by its settings; without any the paper's for LSP, of 14 joints.

    Args:
        joints: What the belief channels are, a ``JointSet`` or the name of one; None: unknown.
        norm_layer: E.g. ``nn.BatchNorm2d``; None, as in the paper: no normalization.
        conv_method: ``auto``: the faster of two exact ways of convolution; ``direct``: plain
            conv2d, bit for bit; see ``LargeKernelConv2d``.
        settings: Of ``TrunkSettings`` and ``StageSettings``. A name that both have, such as
            channels, goes to both; ``trunk_channels`` to the trunks alone. The trunks' kernel
            size is ``trunk_kernel_size``.

    Raises:
        ValueError: For an unknown or wrong setting.

    Examples:
        A slim network of three stages:

        >>> network = build_network(num_stages=3, channels=32, first_stage_channels=128)
        >>> beliefs = network(torch.zeros(1, 3, 64, 48))
        >>> [tuple(stage.shape) for stage in beliefs]
        [(1, 15, 8, 6), (1, 15, 8, 6), (1, 15, 8, 6)]
    """
    of_trunks, of_stages = split_settings(
        {**PAPER, **settings}, others=('joints', 'norm_layer', 'conv_method')
    )
    stage_settings = StageSettings(**of_stages)
    if stage_settings.num_stages == 1:  # there is nobody to take them
        of_trunks |= {'shared_trunk': False, 'center_map_sigma': None}
    trunks = build_trunks(TrunkSettings(**of_trunks), norm_layer)
    stages = BeliefStages(
        trunks.out_channels,
        stage_settings,
        center_map=trunks.center_map_sigma is not None,
        norm_layer=norm_layer,
    )
    network = ConvolutionalPoseMachine(
        trunks, stages, joints=joint_set_of(joints, stage_settings.num_keypoints)
    )
    set_conv_method(network, conv_method)
    return network
