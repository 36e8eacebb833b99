"""Comparison of trained models by the same measurements, for ``tools/compare.py``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner
from torch import nn

from ..core.models.inference import optimize_for_inference
from ..core.models.layers import ConvBlock
from ..core.weights.checkpoints import read_checkpoint
from .configs import read_config
from .measure import Timing, operations, peak_megabytes, time_in_turns
from .results import metrics_of
from .tables import table_row

COSTS = ('M parameters', 'G multiply-adds', 'images/s', 'spread', 'peak MB')


def evaluate(
    config: Path,
    checkpoint: Path,
    work_dir: Path,
    *,
    options: Mapping[str, Any],
    device: str,
    batch_size: int,
    runs: int,
) -> dict[str, float]:
    """Test a model with MMPose's runner, then time its network.

    Args:
        config: Path of the config.
        checkpoint: Path of the checkpoint.
        work_dir: Folder for the logs of the test.
        options: Changes of the config, by dotted name.
        device: Device for the timing, such as ``'cpu'`` or ``'cuda'``.
        batch_size: Number of images in a batch, for the timing.
        runs: Number of timed runs.

    Returns:
        The metrics of the config's evaluator, and ``COSTS``: parameters in 1e6; multiply-adds of
            direct convolutions for one image, in 1e9; images a second through the network alone,
            without flip test, in batches, the median of the runs, after
            ``optimize_for_inference`` if the network has a component of ours; the spread of these
            runs, slowest relative to quickest; peak memory in MB (1e6 bytes) of this process in
            test and timing (CPU), or of the allocator in the timing (GPU).

    Raises:
        ValueError: If the checkpoint does not fit the config.
    """
    cfg = read_config(config, options, needs=('model', 'test_dataloader'))
    cfg.work_dir = str(work_dir)
    cfg.load_from = str(checkpoint)
    runner = Runner.from_cfg(cfg)
    try:  # the runner would only warn, and test random weights
        runner.model.load_state_dict(read_checkpoint(checkpoint)[0])
    except RuntimeError as error:
        raise ValueError(f'{checkpoint} does not fit {config}: {error}') from error
    row = metrics_of(runner.test())
    model = runner.model.eval()
    width, height = cfg.model.head.decoder.input_size
    image = torch.rand(1, 3, height, width) - 0.5
    row['M parameters'] = round(sum(p.numel() for p in model.parameters()) / 1e6, 3)
    timing = time_forward(model.to(device), image, batch_size, runs, device)
    row['images/s'] = round(batch_size / timing.median, 2)
    row['spread'] = round(timing.spread, 2)
    row['peak MB'] = round(peak_megabytes(device))  # before the count, which needs memory, too
    row['G multiply-adds'] = round(multiply_adds(model.cpu(), image) / 1e9, 3)
    return row


@torch.no_grad()
def multiply_adds(model: nn.Module, image: torch.Tensor) -> float:
    """Count the multiply-adds of one forward pass, as direct convolutions.

    Args:
        model: A ``TopdownPoseEstimator``.
        image: (1, 3, H, W).

    Returns:
        Number of multiply-adds, half of the operations.
    """
    return operations(model, lambda model: model(image, None, mode='tensor')) / 2


@torch.no_grad()
def time_forward(
    model: nn.Module, image: torch.Tensor, batch_size: int, runs: int, device: str
) -> Timing:
    """Time the forward pass of a network.

    Args:
        model: A ``TopdownPoseEstimator``, on the device.
        image: (1, 3, H, W).
        batch_size: Number of images in a batch.
        runs: Number of timed runs, after one to warm up.
        device: ``'cpu'`` or a CUDA device, whose peak of memory begins anew.

    Returns:
        Times of the batches.
    """
    if any(isinstance(layer, ConvBlock) for layer in model.modules()):
        model = optimize_for_inference(model)
    batch = image.to(device).repeat(batch_size, 1, 1, 1)
    if batch.is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    calls = {'forward': lambda: model(batch, None, mode='tensor')}
    return time_in_turns(calls, range(runs), device)['forward']


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
