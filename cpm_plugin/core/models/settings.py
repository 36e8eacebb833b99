"""Settings of trunks and stages, stated once for the core, the MMPose components and the configs.

A new setting is a field here. ``CPMBackbone``, ``CPMStageHead``, ``create_model`` and the named
models then accept it by that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from .setting_checks import check_counts, check_kernels, check_types

ENCODERS = ('movenet_lightning', 'movenet_thunder')  # those of ``encoders.LAYOUTS``
TIMM = 'timm/'  # before the name of a network of timm, which is an encoder, too

_Settings = TypeVar('_Settings', bound=Any)


@dataclass(frozen=True, kw_only=True)
class TrunkSettings:
    """Settings of the trunks, which compute image features from an image.

    Attributes:
        in_channels: Number of channels of the image.
        channels: Number of channels of the trunks and of their features. Paper: 128.
        kernel_size: Kernel size of the convolutions, odd. Paper: 9.
        pool_padding: Padding of the 3x3 pools. 0 is Caffe's, with sizes rounded up. 1 is that of
            MMPose's ``CPM``, whose windows begin a pixel earlier.
        shared_trunk: Add a second trunk for stages 2 and later. False is for a network of one
            stage.
        center_map_sigma: Add the pooled center map to the features. This is the standard deviation
            of its Gaussian in input pixels; the authors' is 21 (``caffe.proto``). None: no center
            map.
        vgg_tail: Use the trunk of the authors' VGG networks instead of the two of the paper. These
            are the channels of its convolutions after the third pool.
        vgg_prelu: Number of the last convolutions of a VGG trunk with PReLU instead of ReLU.
            OpenPose's BODY_25 has 3.
        encoder: Use this network, with a feature pyramid, instead of the two trunks of the
            paper. One of ``ENCODERS``; or ``timm/`` and timm's name of a network, see
            ``TimmEncoder``. Its weights, such as ImageNet's, are loaded separately.
        frozen_groups: Number of groups of the encoder's blocks that are not trained. Unless it
            is 0, the first convolution is not trained either. Their batch statistics stay fixed.
            The first two groups, up to stride 4, take half of the time of a training step. Of
            timm's networks, EfficientNet, MobileNetV3 and their kin have such groups. With others
            it must be 0.
        joint_first_layers: Compute the first layers of the two trunks as one, with twice the
            channels. Weights and results stay, see ``joint_features``. It is meant for GPUs, where
            it has not been timed yet; on a CPU it gains nothing.

    Raises:
        ValueError: If a value is out of range, or settings do not go together.
    """

    in_channels: int = 3
    channels: int = 128
    kernel_size: int = 9
    pool_padding: int = 0
    shared_trunk: bool = True
    center_map_sigma: float | None = None
    vgg_tail: tuple[int, ...] | None = None
    vgg_prelu: int = 0
    encoder: str | None = None
    frozen_groups: int = 0
    joint_first_layers: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        check_counts(self, 'in_channels', 'channels')
        check_kernels(self, 'kernel_size')
        if self.pool_padding not in (0, 1):
            raise ValueError(
                f"pool_padding={self.pool_padding!r} must be 0 (Caffe's) or 1 (MMPose's)"
            )
        if self.center_map_sigma is not None and self.center_map_sigma <= 0:
            raise ValueError(
                f'center_map_sigma={self.center_map_sigma} must be positive, or None for no center '
                'map'
            )
        if self.vgg_tail is not None:
            object.__setattr__(self, 'vgg_tail', tuple(self.vgg_tail))  # configs have lists
            if not self.vgg_tail:
                raise ValueError('vgg_tail is empty: give the channels of at least one convolution')
        if self.encoder is not None:
            if not self.encoder.startswith(TIMM) and self.encoder not in ENCODERS:
                raise ValueError(
                    f'no encoder {self.encoder!r}; there are: {", ".join(ENCODERS)}, and '
                    f'{TIMM}NAME for the networks of timm'
                )
            self._refuse_others(
                'encoder', 'in_channels', 'kernel_size', 'pool_padding', 'shared_trunk', 'vgg_tail',
                'vgg_prelu', 'joint_first_layers',
            )  # fmt: skip
            return
        if self.frozen_groups:
            raise ValueError(
                f'frozen_groups={self.frozen_groups} is for an encoder, and none is given'
            )
        most = 0 if self.vgg_tail is None else 8 + len(self.vgg_tail)  # VGG-19 has 8 before it
        if not 0 <= self.vgg_prelu <= most:
            raise ValueError(
                f'vgg_prelu={self.vgg_prelu}: must be 0 to {most}, the number of convolutions of '
                f'the VGG trunk, with vgg_tail={self.vgg_tail}'
            )
        if self.vgg_tail is not None:
            self._refuse_others(
                'vgg_tail', 'kernel_size', 'pool_padding', 'shared_trunk', 'joint_first_layers'
            )
        elif self.joint_first_layers and not self.shared_trunk:
            raise ValueError(
                'joint_first_layers=True needs a second trunk, and networks of one stage or with '
                'shared_trunk=False have none; leave it out'
            )
        elif self.center_map_sigma is not None and not self.shared_trunk:
            raise ValueError(
                f'center_map_sigma={self.center_map_sigma} needs the shared trunk: the center '
                'map enters stages 2 and later only; set center_map_sigma=None'
            )

    def _refuse_others(self, chosen: str, *names: str) -> None:
        """Raise ValueError if a named setting, without effect here, is not its default."""
        defaults = {field.name: field.default for field in fields(self)}
        for name in names:
            if getattr(self, name) != defaults[name]:
                raise ValueError(
                    f'{name}={getattr(self, name)!r} has no effect with '
                    f'{chosen}={getattr(self, chosen)!r}; leave one of them out'
                )


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """Settings of the stages, which compute belief maps from image features.

    Attributes:
        num_keypoints: Number of keypoints; each has a belief channel.
        num_stages: Number of stages, T. Paper: 6.
        background: Add a last channel for "no keypoint here", as the authors do.
        channels: Number of channels of the refinement stages. Paper: 128.
        reduced_channels: Channels of the convolution on the image features that each stage begins
            with. Paper: 32. None leaves it out, as in the authors' VGG networks.
        first_stage_channels: Number of channels of stage 1. Paper: 512.
        reduce_kernel_size: Kernel size of the convolution on the image features, odd. Paper: 5.
        first_stage_kernel_size: Kernel size of the large convolution of stage 1, odd. Paper: 9.
            None leaves it out. Stage 1 then has 1x1 convolutions only, as in the authors' VGG
            networks.
        refine_kernel_size: Kernel size of the large convolutions of a refinement stage, odd. Paper:
            11.
        refine_depth: Number of large convolutions of a refinement stage. Paper: 3; the authors' VGG
            networks have 5.
        beliefs_first: Concatenate the inputs of a refinement stage as (beliefs, features, center
            map), the order of the authors' VGG networks and of MMPose. If False, the order is
            (features, beliefs, center map).
        dropout: Probability of dropout in stage 1, from 0 to 1, after the large convolution and
            after the 1x1 convolution that follows. The authors' ``genProto.py`` has 0.5.

    Raises:
        ValueError: If a value is out of range.
    """

    num_keypoints: int
    num_stages: int = 6
    background: bool = False
    channels: int = 128
    reduced_channels: int | None = 32
    first_stage_channels: int = 512
    reduce_kernel_size: int = 5
    first_stage_kernel_size: int | None = 9
    refine_kernel_size: int = 11
    refine_depth: int = 3
    beliefs_first: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        counts = ('num_keypoints', 'num_stages', 'channels', 'first_stage_channels', 'refine_depth')
        check_counts(self, *counts)
        if self.reduced_channels is not None:
            check_counts(self, 'reduced_channels')
        check_kernels(self, 'reduce_kernel_size', 'refine_kernel_size')
        if self.first_stage_kernel_size is not None:
            check_kernels(self, 'first_stage_kernel_size')
        if not 0 <= self.dropout <= 1:
            raise ValueError(f'dropout={self.dropout} is a probability: it must be 0 to 1')

    @property
    def out_channels(self) -> int:
        """Number of belief channels: the keypoints, and the background if there is one."""
        return self.num_keypoints + self.background


def names_of(kind: type[_Settings]) -> tuple[str, ...]:
    """Return the names of the settings of a class, in their order.

    Args:
        kind: ``TrunkSettings`` or a class of settings of stages.

    Returns:
        The names.

    Examples:
        >>> from cpm_plugin.core.models.settings import TrunkSettings, names_of
        >>> names_of(TrunkSettings)[:3]
        ('in_channels', 'channels', 'kernel_size')
    """
    return tuple(field.name for field in fields(kind))


def settings_from(kind: type[_Settings], given: Mapping[str, Any], owner: type) -> _Settings:
    """Make settings from names and values.

    Args:
        kind: ``TrunkSettings`` or ``StageSettings``.
        given: Names and values.
        owner: Class of the component that is given the settings. The error message has its name,
            and those of the further arguments of its constructor.

    Returns:
        The settings.

    Raises:
        ValueError: If a name is unknown, or a value is wrong. The message lists the known names.
    """
    own: Mapping[str, inspect.Parameter] = inspect.signature(owner).parameters
    known = [
        *names_of(kind),
        *(name for name in own if own[name].kind is not own[name].VAR_KEYWORD),
    ]
    refuse_unknown(given, tuple(dict.fromkeys(known)), owner.__name__)
    return kind(**given)


def refuse_unknown(given: Mapping[str, Any], known: tuple[str, ...], owner: str) -> None:
    """Check that all names are known.

    Args:
        given: Names and values.
        known: Known names.
        owner: Name of the component that is given the settings, for the error message.

    Raises:
        ValueError: If a name is unknown; the message lists the known names.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(
            f'{owner}: unknown setting {", ".join(unknown)}; there are: {", ".join(known)}'
        )


def split_settings(
    given: Mapping[str, Any], *, others: tuple[str, ...] = (), kind: type[Any] = StageSettings
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide the settings of a network into those of its trunks and those of its stages.

    A name that both have goes to both: ``channels``. ``trunk_channels`` goes to the trunks only. So
    does ``trunk_kernel_size``, since each stage has kernel sizes of its own.

    Args:
        given: Names and values.
        others: Further names that the caller accepts, for the error message.
        kind: Class of the settings of the stages.

    Returns:
        Settings of the trunks, and settings of the stages.

    Raises:
        ValueError: If neither has a name; the message lists the known names.

    Examples:
        >>> from cpm_plugin.core.models.settings import split_settings
        >>> split_settings({'num_stages': 3, 'channels': 32, 'trunk_kernel_size': 5})
        ({'channels': 32, 'kernel_size': 5}, {'num_stages': 3, 'channels': 32})
    """
    trunks, stages = names_of(TrunkSettings), names_of(kind)
    alone = {'trunk_channels': 'channels', 'trunk_kernel_size': 'kernel_size'}
    both = (*stages, *(name for name in trunks if name not in (*stages, *alone.values())))
    refuse_unknown(given, (*both, *alone, *others), 'network')
    of_trunks = {name: value for name, value in given.items() if name in trunks}
    of_trunks |= {alone[name]: value for name, value in given.items() if name in alone}
    return of_trunks, {name: value for name, value in given.items() if name in stages}
