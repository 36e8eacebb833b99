"""Names of the keypoints of several datasets, which one model has to learn and be tested on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .check_report import Finding


def other_names(keypoints: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Finding]]:
    """Find datasets whose keypoints are not those of the first one, in its order.

    Args:
        keypoints: Name of a dataset for the reader -> names of its keypoints.

    Yields:
        Name of a dataset that differs, and the finding with both lists.

    Examples:
        >>> from cpm_plugin.apps.check_names import other_names
        >>> ((name, finding),) = other_names({'train: a.json': ['eye'], 'val: b.json': ['ear']})
        >>> name, finding.value
        ('val: b.json', 'ear; those of train are eye')
    """
    (first, expected), *others = keypoints.items()
    for name, names in others:
        if list(names) != list(expected):
            value = f'{", ".join(names)}; those of {first.partition(":")[0]} are '
            yield name, Finding('keypoint_names', '', None, value + ', '.join(expected))
