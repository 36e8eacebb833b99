"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def table_row(cells: Iterable[str]) -> str:
    """Return a row of a Markdown table; characters that would break it are escaped."""
    escaped = (' '.join(cell.split()).replace('|', r'\|') for cell in cells)
    return '| ' + ' | '.join(escaped) + ' |'
