"""The network for the poses of several people: trunks, and stages with part affinity fields.

Cao, Simon, Wei and Sheikh, "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields"
(CVPR 2017, arXiv 1611.08050), and OpenPose (2019, arXiv 1812.08008).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..conv.layer import set_conv_method
from ..maps.joint_sets import joint_set, joint_set_of
from ..maps.joints import JointSet
from .affinity_settings import AffinityStageSettings
from .affinity_stages import AffinityStages, PartMaps
from .layers import NormLayer
from .network import build_trunks
from .settings import TrunkSettings, split_settings
from .stages import split_features
from .trunks import Trunks

# Channels of the fourth group of the authors' trunk, conv4_1 to conv4_4_CPM, in both networks.
VGG_TAIL = (512, 512, 256, 128)

# Why ``predict`` and ``export_network`` refuse such a network, and what to do instead.
REFUSAL = (
    'it gives part affinity fields of several people, not the belief maps of one. Give the whole '
    'image and the network to cpm_plugin.core.prediction.propose_people'
)


class AffinityPoseMachine(nn.Module):
    """A pose machine that computes belief maps and part affinity fields from a whole image.

    ``build_affinity_network`` and ``create_model`` make such networks.

    Args:
        trunks: Module that computes features from an image, without a center map.
        stages: Module that computes the maps from features, for the ``out_channels`` of ``trunks``.
        joints: Names of the belief channels, and the limbs; None if they are unknown.
        input_size: Height of the images that the network is made for, in pixels; None if it is
            unknown. Other sizes can be computed, too.

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
        stages: AffinityStages,
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
        if trunks.center_map_sigma is not None:
            raise ValueError(
                f'center_map_sigma={trunks.center_map_sigma}: a network for several people has no '
                'center map; leave it out'
            )
        self.trunks = trunks
        self.stages = stages
        self.joints = joint_set_of(joints, stages.num_keypoints)
        if self.joints is not None and len(self.joints.limbs) != stages.num_limbs:
            raise ValueError(
                f'{len(self.joints.limbs)} limbs of the joints, but num_limbs={stages.num_limbs}; '
                'make the two agree'
            )
        self.input_size = input_size

    def forward(self, image: Tensor) -> list[PartMaps]:
        """Compute the maps of all stages.

        Args:
            image: (N, 3, H, W), with values of about [-0.5, 0.5]. The authors' images are BGR, with
                values v / 256 - 0.5.

        Returns:
            T ``PartMaps``, stage 1 first, see ``AffinityStages``. ``last_maps`` gives those to
                group into people.

        Raises:
            ValueError: If the image has another shape, or a side that the pools do not allow.
        """
        maps: list[PartMaps] = self.stages(*split_features(self.trunks(image)))
        return maps


def build_affinity_network(
    *,
    joints: JointSet | str | None = None,
    norm_layer: NormLayer | None = None,
    conv_method: str = 'auto',
    input_size: int | None = None,
    **settings: Any,
) -> AffinityPoseMachine:
    """Build a network from settings; the defaults are those of the paper of 2017.

    The trunk is that of the authors, the first layers of VGG-19, unless the settings have another:
    ``encoder``, or ``vgg_tail=None`` for the two trunks of Convolutional Pose Machines.

    Args:
        joints: Names of the belief channels, and the limbs, as a ``JointSet`` or as the name of one
            (see ``joint_set``). It gives ``num_keypoints`` and ``num_limbs``. None if they are
            unknown; the two must then be given.
        norm_layer: Makes the normalization after each convolution, such as ``nn.BatchNorm2d``.
            None: no normalization, as in the paper.
        conv_method: See ``build_network``.
        input_size: Height of the images that the network is made for, in pixels.
        **settings: Settings of ``TrunkSettings`` and ``AffinityStageSettings`` by name.
            ``channels`` goes to both, ``trunk_channels`` to the trunks only. The kernel size of the
            trunks is ``trunk_kernel_size``.

    Returns:
        The network, with initialized weights, in training mode.

    Raises:
        ValueError: If a setting is unknown or has a wrong value, or a number is missing.

    Examples:
        A slim network with two stages on the trunks of Convolutional Pose Machines:

        >>> import torch
        >>> from cpm_plugin.core import build_affinity_network
        >>> network = build_affinity_network(
        ...     joints='coco', vgg_tail=None, num_stages=2, channels=8, trunk_kernel_size=3
        ... )
        >>> maps = network(torch.zeros(1, 3, 64, 48))
        >>> [(tuple(m.beliefs.shape), tuple(m.fields.shape)) for m in maps]
        [((1, 18, 8, 6), (1, 34, 8, 6)), ((1, 18, 8, 6), (1, 34, 8, 6))]
    """
    known = joint_set(joints) if isinstance(joints, str) else joints
    if known is not None:
        if not known.limbs:
            raise ValueError('these joints have no limbs; give a joint set with limbs')
        counts = {'num_keypoints': len(known.names), 'num_limbs': len(known.limbs)}
        settings = {**counts, **settings}
    missing = [name for name in ('num_keypoints', 'num_limbs') if name not in settings]
    if missing:
        raise ValueError(f'{" and ".join(missing)} missing; give joints, or these numbers')
    if 'encoder' not in settings:
        settings = {'vgg_tail': VGG_TAIL, **settings}
    of_trunks, of_stages = split_settings(
        settings,
        others=('joints', 'norm_layer', 'conv_method', 'input_size'),
        kind=AffinityStageSettings,
    )
    stage_settings = AffinityStageSettings(**of_stages)
    paper = of_trunks.get('vgg_tail') is None and of_trunks.get('encoder') is None
    if paper and stage_settings.num_stages == 1:
        of_trunks['shared_trunk'] = False  # only later stages use it
    trunks = build_trunks(TrunkSettings(**of_trunks), norm_layer)
    stages = AffinityStages(trunks.out_channels, stage_settings, norm_layer=norm_layer)
    network = AffinityPoseMachine(trunks, stages, joints=known, input_size=input_size)
    set_conv_method(network, conv_method)
    return network
