"""Tables of what stages repair and break, and put at the same place, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.evaluation.double_counting import Doubled
from ..core.maps.joints import JointSet
from .stages import Changes
from .tables import table_row


def changes_table(changes: Changes, joints: JointSet) -> str:
    """Format how many joints were repaired and broken, of each part of the body.

    Args:
        changes: Joints that have changed.
        joints: Joint set of the keypoints.

    Returns:
        A table with a row each.
    """
    groups = joints.groups()
    rows = [['stage 1, last stage', *groups, 'all'], ['---'] * (len(groups) + 2)]
    for name, changed in (('wrong, right', changes.repaired), ('right, wrong', changes.broken)):
        counts = [int(changed[:, list(channels)].sum()) for channels in groups.values()]
        rows.append([name, *map(str, counts), str(changed.sum())])
    return '\n'.join(map(table_row, rows))


def doubled_table(doubled: Mapping[str, Mapping[str, Doubled]], near: float) -> str:
    """Format how many pairs were put at the same place.

    Args:
        doubled: Counts of each pair, by the names of the predictions; all have the same pairs.
        near: Largest distance of one place, as a fraction of the torso, for the header.

    Returns:
        A table with a row for each prediction.
    """
    parts = list(next(iter(doubled.values())))
    rows = [[f'both within {near:g}', *parts], ['---'] * (len(parts) + 1)]
    for name, counts in doubled.items():
        cells = [
            f'{counts[part].percent:.1f} % ({counts[part].doubled} of {counts[part].counted})'
            for part in parts
        ]
        rows.append([name, *cells])
    return '\n'.join(map(table_row, rows))
