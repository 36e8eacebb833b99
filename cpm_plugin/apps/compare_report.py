"""Table, CSV and drawing of a comparison of models, for ``tools/compare.py``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .tables import table_row

COSTS = ('M parameters', 'G multiply-adds', 'images/s', 'spread', 'peak MB')


def columns_of(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the metrics of all rows, in the order of their first appearance, then ``COSTS``."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [*(name for name in names if name not in COSTS), *COSTS]


def as_csv(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Write the results as CSV.

    Args:
        rows: Label of each model -> values by column.

    Returns:
        Text with a header and one line for each model, its label first.
    """
    columns = columns_of(rows.values())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['model', *columns])
    for label, row in rows.items():
        writer.writerow([label, *(row.get(column, '') for column in columns)])
    return text.getvalue()


def as_markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Write the results as a Markdown table, with the best value of each column in bold.

    Args:
        rows: Label of each model -> values by column.

    Returns:
        Text with one row for each model, its label first.
    """
    columns = columns_of(rows.values())
    best = {column: _best(column, [row.get(column) for row in rows.values()]) for column in columns}
    lines = [table_row(['model', *columns]), '|' + ' --- |' * (len(columns) + 1)]
    for label, row in rows.items():
        cells = []
        for column in columns:
            value = row.get(column)
            cell = '' if value is None else f'{value:g}'
            bold = len(rows) > 1 and value is not None and value == best[column]
            cells.append(f'**{cell}**' if bold else cell)
        lines.append(table_row([label, *cells]))
    return '\n'.join(lines) + '\n'


def _best(column: str, values: Sequence[float | None]) -> float | None:
    """Return the best value of a column, the smallest for costs and errors; no spread is best."""
    if column == 'spread':
        return None
    found = [value for value in values if value is not None]
    less_is_better = (column in COSTS and column != 'images/s') or column in ('EPE', 'NME')
    return (min if less_is_better else max)(found, default=None)


def draw(rows: Mapping[str, Mapping[str, float]], metric: str, device: str) -> Any:
    """Draw accuracy against speed, with one point for each model.

    The size of a point grows with the number of parameters.

    Args:
        rows: Label of each model -> values by column.
        metric: Column for the accuracy.
        device: Name of the device, for the label of the axis.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If a model does not have the metric. The message names the model.
    """
    from matplotlib.figure import Figure

    for label, row in rows.items():
        if metric not in row:
            raise ValueError(f'{label} has no {metric!r}; there are: {", ".join(row)}')
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.subplots()
    for label, row in rows.items():
        size = 40 + 60 * row['M parameters'] ** 0.5
        axes.scatter(row['images/s'], row[metric], s=size, alpha=0.6)
        axes.annotate(
            label,
            (row['images/s'], row[metric]),
            xytext=(0, 8 + size**0.5 / 2),
            textcoords='offset points',
            ha='center',
            fontsize=9,
        )
    axes.set(xscale='log', xlabel=f'images/s on {device}', ylabel=metric)
    axes.margins(0.2)
    axes.grid(alpha=0.3)
    return figure
