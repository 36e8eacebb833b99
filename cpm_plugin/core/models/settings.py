"""What can be set of trunks and stages: stated once for the core, MMPose's components and configs.

A new setting is a field here; ``CPMBackbone`` and ``CPMStageHead``, ``create_model`` and the named
models then take it by that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

ENCODERS = ('efficientnet_lite0',)

_Settings = TypeVar('_Settings', 'TrunkSettings', 'StageSettings')


@dataclass(frozen=True, kw_only=True)
class TrunkSettings:
    """Image -> image features.

    Attributes:
        in_channels: Channels of the image.
        channels: Width of the trunks, and of the features. Paper: 128.
        kernel_size: Of the trunks' convolutions. Paper: 9.
        pool_padding: Of the trunks' 3x3 pools. 0 for Caffe's, sizes by the ceil rule; 1 for those
            of MMPose's ``CPM``, whose windows begin a pixel earlier.
        shared_trunk: A second trunk for stages 2 and later; False for a network of one stage.
        center_map_sigma: Adds the pooled center map to the features. Of its Gaussian, in pixels of
            the network input; the authors' is 21 (``caffe.proto``). None: no center map.
        vgg_tail: Takes the trunk of the authors' VGG networks in place of the paper's two: these
            are the channels of its convolutions after the third pool.
        encoder: Takes this ImageNet network and a feature pyramid in place of the paper's two
            trunks; one of ``ENCODERS``.
        frozen_groups: So many groups of the encoder's blocks stay as they were loaded.

    Raises:
        ValueError: For a value out of range, or settings that do not go together.
    """

    in_channels: int = 3
    channels: int = 128
    kernel_size: int = 9
    pool_padding: int = 0
    shared_trunk: bool = True
    center_map_sigma: float | None = None
    vgg_tail: tuple[int, ...] | None = None
    encoder: str | None = None
    frozen_groups: int = 0

    def __post_init__(self) -> None:
        _check_counts(self, 'in_channels', 'channels')
        _check_kernels(self, 'kernel_size')
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
        if self.encoder is None:
            if self.frozen_groups:
                raise ValueError(
                    f'frozen_groups={self.frozen_groups} is for an encoder, and none is given'
                )
            separate = self.vgg_tail is None
            if separate and self.center_map_sigma is not None and not self.shared_trunk:
                raise ValueError(
                    f'center_map_sigma={self.center_map_sigma} needs the shared trunk: the center '
                    'map enters stages 2 and later only; set center_map_sigma=None'
                )
            return
        if self.encoder not in ENCODERS:
            raise ValueError(f'no encoder {self.encoder!r}; there are: {", ".join(ENCODERS)}')
        if self.vgg_tail is not None or self.in_channels != 3:
            raise ValueError(
                f'encoder={self.encoder!r} takes images of 3 channels and has no VGG tail; leave '
                f'vgg_tail={self.vgg_tail} and in_channels={self.in_channels} out'
            )


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """Image features -> belief maps of every stage.

    Attributes:
        num_keypoints: Keypoints, a belief channel each.
        num_stages: T. Paper: 6.
        background: A last channel for "no keypoint here"; the authors have it.
        channels: Width of the refinement stages. Paper: 128.
        reduced_channels: Width of the convolution on the image features that every stage begins
            with. Paper: 32. None leaves it out, as in the authors' VGG networks.
        first_stage_channels: Width of stage 1. Paper: 512.
        reduce_kernel_size: Of the convolution on the image features. Paper: 5.
        first_stage_kernel_size: Of stage 1's large convolution. Paper: 9. None leaves it out, and
            stage 1 has 1x1 convolutions alone, as in the authors' VGG networks.
        refine_kernel_size: Of the refinement stages' large convolutions. Paper: 11.
        refine_depth: How many of them there are in a stage. Paper: 3; the VGG networks have 5.
        beliefs_first: Refinement stages see (beliefs, features, center map), the order of the
            authors' VGG networks and of MMPose, and not (features, beliefs, center map).
        dropout: In stage 1, after the large convolution and the 1x1 convolution that follows. 0.5
            in the authors' ``genProto.py``.

    Raises:
        ValueError: For a value out of range.
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
        counts = ('num_keypoints', 'num_stages', 'channels', 'first_stage_channels', 'refine_depth')
        _check_counts(self, *counts)
        if self.reduced_channels is not None:
            _check_counts(self, 'reduced_channels')
        _check_kernels(self, 'reduce_kernel_size', 'refine_kernel_size')
        if self.first_stage_kernel_size is not None:
            _check_kernels(self, 'first_stage_kernel_size')
        if not 0 <= self.dropout <= 1:
            raise ValueError(f'dropout={self.dropout} is a probability: it must be 0 to 1')

    @property
    def out_channels(self) -> int:
        """Belief channels of a stage: the keypoints, and the background if there is one."""
        return self.num_keypoints + self.background


def _check_counts(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f'{name}={value!r} must be a whole number of at least 1')


def _check_kernels(settings: object, *names: str) -> None:
    _check_counts(settings, *names)
    for name in names:
        value = getattr(settings, name)
        if value % 2 == 0:
            raise ValueError(f'{name}={value} must be odd, so that the size is kept')


def names_of(kind: type[_Settings]) -> tuple[str, ...]:
    """Names of the settings of a kind, in their order."""
    return tuple(field.name for field in fields(kind))


def settings_from(kind: type[_Settings], given: Mapping[str, Any], owner: str) -> _Settings:
    """Settings of a kind by name.

    Args:
        kind: ``TrunkSettings`` or ``StageSettings``.
        given: Names and values.
        owner: Whose settings they are, for the error.

    Raises:
        ValueError: Naming what is unknown, with what there is; or for a wrong value.
    """
    refuse_unknown(given, names_of(kind), owner)
    return kind(**given)


def refuse_unknown(given: Mapping[str, Any], known: tuple[str, ...], owner: str) -> None:
    """Raise ValueError, naming what is unknown and what there is, if there is any."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(
            f'{owner}: unknown setting {", ".join(unknown)}; there are: {", ".join(known)}'
        )


def split_settings(
    given: Mapping[str, Any], *, others: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of a whole network -> those of its trunks and those of its stages.

    A name goes to each half that has it (``channels`` to both). ``trunk_`` before it means the
    trunks alone (``trunk_channels``, ``trunk_kernel_size``).

    Args:
        given: Names and values.
        others: Names that the caller takes besides, for the error.

    Raises:
        ValueError: Naming what neither half has.
    """
    trunks, stages = names_of(TrunkSettings), names_of(StageSettings)
    alone = {f'trunk_{name}': name for name in trunks}
    both = (*stages, *(name for name in trunks if name not in (*stages, 'kernel_size')))
    refuse_unknown(given, (*both, *alone, *others), 'network')
    of_trunks = {name: value for name, value in given.items() if name in trunks}
    of_trunks |= {alone[name]: value for name, value in given.items() if name in alone}
    return of_trunks, {name: value for name, value in given.items() if name in stages}
