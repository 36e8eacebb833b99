"""Gradients per layer over a training, for ``tools/analysis/gradient_flow.py``."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .tables import table_row

STATISTICS = ('mean', 'p5', 'p25', 'p50', 'p75', 'p95')
_BAND = ('p5', 'p95')  # drawn around the chosen statistic


@dataclass(frozen=True)
class GradientFlow:
    """Magnitudes of the gradients of L layers in P parts of a training.

    Attributes:
        layers: L names, in the order in which the model calls them.
        stages: Stage of each layer, or ``''`` before the stages.
        parts: Numbers of the epochs; of the iterations if there is one epoch.
        unit: ``'epoch'`` or ``'iteration'``.
        values: Statistic -> (L, P), geometric means over the records of a part. NaN where a layer
            has no gradient, 0 where one of them was 0.
    """

    layers: tuple[str, ...]
    stages: tuple[str, ...]
    parts: tuple[int, ...]
    unit: str
    values: dict[str, np.ndarray]


def read_flow(path: Path) -> GradientFlow:
    """Read a file of ``GradientFlowHook``.

    Args:
        path: Path of the file.

    Returns:
        Its magnitudes.

    Raises:
        ValueError: If it cannot be read, or has no records. The message names the file.
    """
    needed = ('epoch', 'iter', 'depth', 'layer', 'stage', *STATISTICS)
    try:
        with path.open(newline='') as file:
            reader = csv.DictReader(file)
            missing = [name for name in needed if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f'no column {", ".join(missing)}')
            rows = [row for row in reader if None not in row.values()]  # the last may be cut off
        if not rows:
            raise ValueError('no record yet; the training must reach the interval of the hook')
        epochs = {int(row['epoch']) for row in rows}
        unit = 'epoch' if len(epochs) > 1 else 'iteration'
        key = 'epoch' if len(epochs) > 1 else 'iter'
        parts = tuple(sorted({int(row[key]) for row in rows}))
        named = {int(row['depth']): (row['layer'], row['stage']) for row in rows}
        depths = sorted(named)
        places = {part: number for number, part in enumerate(parts)}
        lines = {depth: number for number, depth in enumerate(depths)}
        logs: dict[str, list[list[list[float]]]] = {
            name: [[[] for _ in parts] for _ in depths] for name in STATISTICS
        }
        for row in rows:
            for name in STATISTICS:
                if row[name]:
                    value = float(row[name])
                    cell = logs[name][lines[int(row['depth'])]][places[int(row[key])]]
                    cell.append(math.log(value) if value else -math.inf)
        if not any(cell for line in logs['mean'] for cell in line):
            raise ValueError('no layer has a gradient')
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise ValueError(f'{path} is no record of GradientFlowHook: {error}') from error
    return GradientFlow(
        tuple(named[depth][0] for depth in depths),
        tuple(named[depth][1] for depth in depths),
        parts,
        unit,
        {
            name: np.array([[np.exp(np.mean(c or [np.nan])) for c in line] for line in table])
            for name, table in logs.items()
        },
    )


def flow_table(flows: dict[str, GradientFlow], statistic: str) -> str:
    """Format the first layer's gradients against the last layer's.

    Layers that never have a gradient are left out.

    Args:
        flows: Magnitudes by the name of the training.
        statistic: One of ``STATISTICS``.

    Returns:
        A Markdown table with a row for the first and the last part of each training.
    """
    rows = [['training', 'part', 'first layer', 'last layer', 'first / last']]
    rows.append(['---'] * 5)
    for name, flow in flows.items():
        values = flow.values[statistic]
        ends = np.flatnonzero(np.isfinite(values).any(axis=1))[[0, -1]]
        for part in dict.fromkeys((0, len(flow.parts) - 1)):
            first, last = values[ends, part]
            with np.errstate(divide='ignore', invalid='ignore'):
                numbers = [f'{first:.2e}', f'{last:.2e}', f'{first / last:.2g}']
            rows.append([name, f'{flow.unit} {flow.parts[part]}', *numbers])
    return '\n'.join(map(table_row, rows))


def draw_flows(flows: dict[str, GradientFlow], statistic: str) -> Any:
    """Draw a column for each training: layers by time, and a profile of the first and last part.

    Args:
        flows: Magnitudes by the name of the training.
        statistic: One of ``STATISTICS``.

    Returns:
        A matplotlib figure. The band of a profile reaches from the 5th to the 95th percentile.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    deepest = max(len(flow.layers) for flow in flows.values())
    figure = Figure(figsize=(5.5 * len(flows) + 1, 4 + 0.13 * deepest), layout='constrained')
    axes = figure.subplots(2, len(flows), squeeze=False, height_ratios=[0.13 * deepest, 3])
    scale, limits = LogNorm(*_range(flows, [statistic])), _range(flows, [statistic, *_BAND])
    for (name, flow), (above, below) in zip(flows.items(), axes.T):
        shown = flow.values[statistic].clip(min=scale.vmin)  # 0 in the darkest color
        image = above.imshow(shown, norm=scale, aspect='auto', interpolation='nearest')
        above.set(title=name, xlabel=flow.unit, facecolor='lightgray')  # no gradient
        ticks = sorted(set(np.linspace(0, len(flow.parts) - 1, 8).round().astype(int)))
        above.set_xticks(ticks, [str(flow.parts[part]) for part in ticks])
        labels = [f'{n} {_short(layer)}' for n, layer in enumerate(flow.layers)]
        above.set_yticks(range(len(labels)), labels, fontsize=5)
        for start in _starts(flow.stages):
            above.axhline(start - 0.5, color='white', linewidth=1)
            below.axvline(start - 0.5, color='gray', linewidth=0.5)
            below.text(start, limits[1], f' stage {flow.stages[start]}', fontsize=6, va='top')
        depths = np.arange(len(flow.layers))
        for part, color in zip(dict.fromkeys((0, len(flow.parts) - 1)), ('tab:blue', 'tab:orange')):
            low, high = (flow.values[end][:, part] for end in _BAND)
            below.fill_between(depths, low, high, color=color, alpha=0.2, linewidth=0)
            label = f'{flow.unit} {flow.parts[part]}'
            below.plot(flow.values[statistic][:, part], '.-', color=color, label=label)
        below.set(yscale='log', ylim=limits, xlabel='layer', ylabel=f'{statistic} |gradient|')
        below.legend(fontsize=7, loc='lower right')
    figure.colorbar(image, ax=axes[0], label=f'{statistic} |gradient|', pad=0.01)
    return figure


def _range(flows: dict[str, GradientFlow], statistics: Sequence[str]) -> tuple[float, float]:
    """Return the smallest value above 0 and the largest of some statistics."""
    every = np.concatenate([f.values[name].ravel() for f in flows.values() for name in statistics])
    every = every[every > 0]
    return float(every.min()), max(float(every.max()), float(every.min()) * 1.01)


def _short(layer: str) -> str:
    """Leave out of a name what all layers of a CPM have in it."""
    for part in ('backbone.', 'trunks.', 'head.', 'stages.'):
        layer = layer.removeprefix(part)
    return layer.removesuffix('.conv')


def _starts(stages: Sequence[str]) -> list[int]:
    """Return the first layer of each stage."""
    before = ('', *stages)
    return [n for n, stage in enumerate(stages) if stage and stage != before[n]]
