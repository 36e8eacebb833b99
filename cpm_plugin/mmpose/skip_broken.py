"""``SkipBroken``: a training goes on without the few samples that are broken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log

from .labels import LabelError, name_of

from mmpose.registry import TRANSFORMS

# In a row, all of them broken: then it is not a few.
_MOST_IN_A_ROW = 100
_EXAMPLES = 5


@TRANSFORMS.register_module()
class SkipBroken:
    """Leave broken samples out of a training, and stop if there are too many.

    It goes around all the transforms of a training pipeline. A sample is broken if a transform
    raises an error, as for an image that cannot be read, or if its labels are wrong, as
    ``cpm_plugin.mmpose.labels`` says. Labels are checked when the dataset is loaded. Each broken
    sample is logged once, with image, annotation and error, and the number so far.

    MMEngine trains on another sample in its place, at random. With ``ReproducibleHook`` that is
    the same one in every run, as the seed of the first sample holds.

    The rate is that of different broken samples to the samples of the dataset. All workers of a
    process count together. In a distributed training, every process counts for itself.

    Args:
        transforms: Transforms of the pipeline, or their configs.
        max_rate: Largest rate of broken samples, at least 0 and below 1. One more stops.

    Raises:
        ValueError: If ``max_rate`` is out of range, or the dataset is for validation or test,
            which must not leave anything out. During the training: if more samples are broken. The
            message names the rate, the limit and the first of them.

    Examples:
        In a config that inherits from another:

        >>> train_pipeline = [dict(type='LoadImage'), dict(type='PackPoseInputs')]  # of the base
        >>> skip_broken = dict(type='SkipBroken', transforms=train_pipeline, max_rate=0.01)
        >>> train_dataloader = dict(dataset=dict(pipeline=[skip_broken]))
    """

    def __init__(self, transforms: Sequence[dict | Callable], max_rate: float = 0.01) -> None:
        if not 0 <= max_rate < 1:
            raise ValueError(f'max_rate={max_rate} must be at least 0 and below 1')
        self.pipeline = Compose(transforms)
        self.max_rate = max_rate
        self._faults: list[str] = []
        self._examples: list[str] = []
        self._in_a_row = 0
        # One per sample, 1 if it is broken: in memory that all workers share.
        self._broken = torch.zeros(0, dtype=torch.uint8)

    def take_faults(self, dataset: Any, size: int, faults: Sequence[str]) -> None:
        """Take over the people with wrong labels, when the dataset is loaded.

        Args:
            dataset: The dataset.
            size: Number of samples without them.
            faults: A sentence for each of them.

        Raises:
            ValueError: If there are too many, or the dataset is not for training.
        """
        if dataset.test_mode:
            raise ValueError(
                'SkipBroken is for training: a validation or test that leaves samples out has '
                'figures of other data. Take it out of this pipeline'
            )
        self._broken = torch.zeros(size, dtype=torch.uint8).share_memory_()
        self._faults = list(faults)
        self._examples = []
        for count, fault in enumerate(faults, start=1):
            self._log(fault, count, size + len(faults))
        self._stop_above(len(faults), size + len(faults))

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Apply the transforms, or return None for a broken sample."""
        dataset, index = results.get('dataset'), results.get('sample_idx')
        name = name_of(results)
        try:
            results = self.pipeline(results)
        except MemoryError:
            raise
        except Exception as error:  # a broken file raises nearly anything
            if dataset is None or index is None or dataset.test_mode:
                raise
            self._skip(f'{name}: {type(error).__name__}: {error}', int(index), len(dataset))
            return None
        self._in_a_row = 0
        return results

    def _skip(self, fault: str, index: int, size: int) -> None:
        """Count a broken sample."""
        if len(self._broken) < size:  # a dataset that does not check its labels
            self._broken = torch.zeros(size, dtype=torch.uint8).share_memory_()
        is_new = not self._broken[index]
        self._broken[index] = 1
        count, total = self.num_broken, size + len(self._faults)
        if is_new:
            self._log(fault, count, total)
        self._in_a_row += 1
        self._stop_above(count, total)

    @property
    def num_broken(self) -> int:
        """Number of different broken samples so far, of all workers of this process."""
        return len(self._faults) + int(self._broken.sum())

    def _log(self, fault: str, count: int, total: int) -> None:
        self._examples = [*self._examples, fault][:_EXAMPLES]
        print_log(
            f'SkipBroken left out {count} of {total} samples so far: {fault}',
            logger='current',
            level=logging.WARNING,
        )

    def _stop_above(self, count: int, total: int) -> None:
        if count <= self.max_rate * total and self._in_a_row < _MOST_IN_A_ROW:
            return
        row = f' and {self._in_a_row} in a row' if self._in_a_row >= _MOST_IN_A_ROW else ''
        raise LabelError(
            f'SkipBroken: {count} of {total} samples are broken{row}: a rate of '
            f'{count / total:.3g}, with max_rate={self.max_rate}. The first: '
            f'{"; ".join(self._examples)}. Repair or remove them, look at data_root and '
            'data_prefix, or give a larger max_rate'
        )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.pipeline}, max_rate={self.max_rate})'
