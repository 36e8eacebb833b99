"""Settings of the stages that compute belief maps and part affinity fields."""

from __future__ import annotations

from dataclasses import dataclass

from .setting_checks import check_counts, check_kernels, check_types


@dataclass(frozen=True, kw_only=True)
class AffinityStageSettings:
    """Settings of stages with belief maps and part affinity fields.

    The defaults are those of Cao et al. (CVPR 2017, arXiv 1611.08050), from the authors'
    ``pose/coco/pose_deploy_linevec.prototxt``. "First stage" means the first one of its kind: the
    first that computes fields, and the first that computes belief maps.

    Attributes:
        num_keypoints: Number of keypoints, K; each has a belief channel.
        num_limbs: Number of limbs, L; each has two field channels, x and y.
        num_stages: Number of stages, T.
        field_stages: None: every stage computes both. A number: that many stages compute fields,
            and the others after them belief maps, as in OpenPose (2019, arXiv 1812.08008).
        background: Add a last belief channel for "no keypoint here", as the authors do.
        channels: Number of channels of the convolutions of a stage.
        first_stage_channels: The same for the first stages.
        hidden_channels: Number of channels of the 1x1 convolution before the output.
        first_stage_hidden_channels: The same for the first stages.
        refine_kernel_size: Kernel size of the convolutions of a stage, odd.
        first_stage_kernel_size: The same for the first stages.
        refine_depth: Number of convolutions, or of dense blocks, of a stage.
        first_stage_depth: The same for the first stages.
        dense: Replace each of these convolutions by three, one after the other, whose outputs are
            concatenated, as in OpenPose (2019).
        prelu: End the hidden layers with PReLU instead of ReLU, as OpenPose's BODY_25 does.
        features_first: Concatenate the inputs of a stage as (features, beliefs, fields), the order
            of BODY_25. If False, the order is (fields, beliefs, features).

    Raises:
        ValueError: If a value is out of range.
    """

    num_keypoints: int
    num_limbs: int
    num_stages: int = 6
    field_stages: int | None = None
    background: bool = True
    channels: int = 128
    first_stage_channels: int = 128
    hidden_channels: int = 128
    first_stage_hidden_channels: int = 512
    refine_kernel_size: int = 7
    first_stage_kernel_size: int = 3
    refine_depth: int = 5
    first_stage_depth: int = 3
    dense: bool = False
    prelu: bool = False
    features_first: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        check_counts(
            self, 'num_keypoints', 'num_limbs', 'num_stages', 'channels', 'first_stage_channels',
            'hidden_channels', 'first_stage_hidden_channels', 'refine_depth', 'first_stage_depth',
        )  # fmt: skip
        check_kernels(self, 'refine_kernel_size', 'first_stage_kernel_size')
        if self.field_stages is not None and not 1 <= self.field_stages < self.num_stages:
            raise ValueError(
                f'field_stages={self.field_stages} of num_stages={self.num_stages}: there must be '
                'at least one stage of fields, and one of belief maps after them'
            )

    @property
    def belief_channels(self) -> int:
        """Number of belief channels: the keypoints, and the background if there is one."""
        return self.num_keypoints + self.background

    @property
    def field_channels(self) -> int:
        """Number of field channels: x and y of each limb."""
        return 2 * self.num_limbs
