"""The pipelines of a dataset, as hooks change them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def pipelines_of(dataset: Any) -> Iterator[list[Any]]:
    """Find the pipelines of a dataset and of the datasets inside it.

    Args:
        dataset: A dataset of MMEngine, or a wrapper of one (``dataset``) or more (``datasets``).

    Yields:
        The list of transforms of each, to be changed in place.
    """
    if hasattr(dataset, 'pipeline'):
        yield dataset.pipeline.transforms
    for inner in getattr(dataset, 'datasets', [getattr(dataset, 'dataset', None)]):
        if inner is not None:
            yield from pipelines_of(inner)
