"""The authors' test over several scales, which ``ScaleSearchHook`` turns on for a config.

``PersonCrop`` makes the crops, and ``collate_crops`` makes a batch of them. ``CPMStageHead`` takes
the peaks from all of them by ``scale_peaks.search_scales``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..core.evaluation.scale_search import BENCHMARK_SCALES, octave_scales
from .crops import GetImageCenterScale, GetPersonCenterScale, PersonCrop
from .head import CPMStageHead
from .pipelines import pipelines_of
from .transforms import Transform

from mmpose.datasets.transforms import GetBBoxCenterScale, PackPoseInputs, TopdownAffine
from mmpose.registry import HOOKS, TRANSFORMS


@TRANSFORMS.register_module()
class GetOctaveCenterScale(Transform):
    """Set the crop of the authors' demo (``applyModel.m``), for a box whose size is not certain.

    The largest crop, that of scale 1, has sides of 1.2 x end_scale x the height of the box, around
    its middle. The ``scales`` go from there to end_scale / start_scale. The box is first cut off
    at the borders of the image.

    Required keys: ``bbox``, ``img_shape``.

    Added keys: ``bbox_center`` (1, 2) and ``bbox_scale`` (1, 2) in image pixels.

    Args:
        start_scale: Smallest factor on the height, ``param`` in the authors' ``config.m``.
        end_scale: Largest factor on the height, from the same source.
        octave: Number of scales for each doubling, from the same source.

    Raises:
        ValueError: If a box has no height inside the image.

    Examples:
        In a config, by ``ScaleSearchHook``:

        >>> default_hooks = dict(
        ...     scale_search=dict(
        ...         type='ScaleSearchHook', center_scale=dict(type='GetOctaveCenterScale')
        ...     )
        ... )
    """

    def __init__(self, start_scale: float = 0.8, end_scale: float = 1.2, octave: int = 6) -> None:
        self.scales = octave_scales(start_scale, end_scale, octave)
        self.end_scale = end_scale

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        height, width = results['img_shape'][:2]
        edges = np.array([width - 1, height - 1] * 2)
        box = np.asarray(results['bbox'], dtype=np.float32).clip(0, edges)
        side = 1.2 * self.end_scale * (box[:, 3] - box[:, 1])
        if not (side > 0).all():
            raise ValueError(
                f'box {np.ravel(results["bbox"]).tolist()} has no height inside the image of '
                f'{height} x {width} pixels; correct or remove this box'
            )
        results['bbox_center'] = (box[:, :2] + box[:, 2:]) / 2
        results['bbox_scale'] = np.stack([side, side], axis=1)
        return results


# Transforms that center_scale can replace.
CENTER_SCALES = (
    GetBBoxCenterScale,
    GetOctaveCenterScale,
    GetPersonCenterScale,
    GetImageCenterScale,
)


def collate_crops(samples: Sequence[dict]) -> dict:
    """Make a batch of N samples with S crops each.

    Args:
        samples: N samples of a dataset, with ``inputs`` (S, C, H, W).

    Returns:
        A batch of N x S images (C, H, W) and N data samples.

    Raises:
        ValueError: If a sample has a single crop.
    """
    batch = pseudo_collate(samples)
    if any(crops.ndim != 4 for crops in batch['inputs']):
        raise ValueError(
            'a dataset in the test gives one crop a person; scale search needs PersonCrop or '
            'TopdownAffine in the pipeline of each dataset'
        )
    return {**batch, 'inputs': [crop for crops in batch['inputs'] for crop in crops]}


@HOOKS.register_module()
class ScaleSearchHook(Hook):
    """Test over several scales, whatever the pipeline of the config is.

    Before a test it changes the pipelines of the test data. ``TopdownAffine`` or ``PersonCrop``
    becomes a ``PersonCrop`` with these scales that is otherwise the same. With ``center_scale``,
    the transform that sets the center and scale of the person is replaced too. A batch has about
    as many crops as it had people. Validation is not changed.

    Args:
        scales: Factors on the size of the person. None: those of the ``center_scale`` transform,
            if it has some, otherwise the authors' 0.7, 0.8, ... 1.3.
        center_scale: Config of a transform that sets ``bbox_center`` and ``bbox_scale``, instead
            of that in the pipeline. None: no change.

    Raises:
        ValueError: If scales are not positive. Before the test: if the head is not a
            ``CPMStageHead``, a dataset does not have one of these transforms, or
            ``TopdownAffine`` has ``use_udp=True``.

    Examples:
        The authors' protocol for MPII and FLIC:

        ```bash
        python tools/test.py CONFIG CHECKPOINT \\
            --cfg-options default_hooks.scale_search.type=ScaleSearchHook
        ```

        That for LSP has one option more, and that of their demo has ``GetOctaveCenterScale``
        instead:

        ```bash
        python tools/test.py CONFIG CHECKPOINT \\
            --cfg-options default_hooks.scale_search.type=ScaleSearchHook \\
            default_hooks.scale_search.center_scale.type=GetImageCenterScale
        ```

        In a config:

        >>> default_hooks = dict(scale_search=dict(type='ScaleSearchHook', scales=[0.9, 1.0, 1.1]))
    """

    def __init__(
        self,
        scales: float | Sequence[float] | None = None,
        center_scale: dict | None = None,
    ) -> None:
        self.center_scale = None if center_scale is None else TRANSFORMS.build(center_scale)
        if not isinstance(self.center_scale, (*CENTER_SCALES, type(None))):
            raise ValueError(
                f'center_scale {center_scale!r} sets no center and scale; give one of '
                f'{", ".join(kind.__name__ for kind in CENTER_SCALES)}'
            )
        if scales is None:
            scales = getattr(self.center_scale, 'scales', BENCHMARK_SCALES)
        self.scales = tuple(np.atleast_1d(scales).tolist())
        if not self.scales or not all(
            isinstance(scale, (int, float)) and 0 < scale < np.inf for scale in self.scales
        ):
            raise ValueError(f'scales {scales!r} must be positive numbers')

    def before_test(self, runner: Runner) -> None:
        """Change the pipelines and the batches of the test data.

        Raises:
            ValueError: See the class.
        """
        loader = runner.test_dataloader
        if loader.collate_fn is collate_crops:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        head = getattr(model, 'head', None)
        if not isinstance(head, CPMStageHead):
            raise ValueError(
                f'scale search needs a model with a CPMStageHead, not {type(head).__name__}; '
                'leave ScaleSearchHook out'
            )
        pipelines = list(pipelines_of(loader.dataset))
        for pipeline in pipelines:
            pipeline[:] = self._rewritten(pipeline)
        if not any(isinstance(step, PersonCrop) for steps in pipelines for step in steps):
            raise ValueError(
                'scale search found neither TopdownAffine nor PersonCrop in the pipeline of the '
                'test data; it is for top-down configs'
            )
        loader.collate_fn = collate_crops
        if hasattr(loader.batch_sampler, 'batch_size'):
            people = loader.batch_sampler.batch_size // len(self.scales)
            loader.batch_sampler.batch_size = max(1, people)

    def _rewritten(self, steps: Sequence[Any]) -> list[Any]:
        """Return the transforms of a pipeline, some of them replaced."""
        new = [self._in_place_of(step) for step in steps]
        cropped = any(isinstance(step, PersonCrop) for step in new)
        if cropped and self.center_scale is not None and self.center_scale not in new:
            raise ValueError(
                f'no step for {type(self.center_scale).__name__} to replace in the pipeline of the '
                f'test data; expected one of {", ".join(kind.__name__ for kind in CENTER_SCALES)}'
            )
        return new

    def _in_place_of(self, step: Any) -> Any:
        """Return the transform that replaces another, or that one itself."""
        if isinstance(step, CENTER_SCALES):
            return self.center_scale or step
        if isinstance(step, TopdownAffine):
            if step.use_udp:
                raise ValueError(
                    'scale search does not support the crops of TopdownAffine(use_udp=True); use '
                    'a model that was trained with use_udp=False, and test it so'
                )
            # border and interpolation as in TopdownAffine
            return PersonCrop(step.input_size, border=0, interpolation='linear', scales=self.scales)
        if isinstance(step, PersonCrop):
            step = copy.copy(step)
            step.scales = self.scales
        elif isinstance(step, PackPoseInputs):
            step = copy.copy(step)
            step.meta_keys = (*step.meta_keys, 'crop_scales')
        return step
