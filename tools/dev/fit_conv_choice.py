"""Time convolution layers both ways on this computer, and fit the model that chooses between them.

    python tools/dev/fit_conv_choice.py --out results/conv_layers.csv      # 5 minutes on 2 cores
    python tools/dev/fit_conv_choice.py --out results/conv_layers.csv --only-fit

It writes one row for each layer and tile into the CSV file of --out. The values are milliseconds,
minima of a few runs: a forward pass with kept weights, a forward and a backward pass of training by
tiles, and both directly.

It prints the constants of cpm_plugin/core/conv/choice.py that fit them best, how far the model is
off, and how much slower its choices are than the best tile measured.

Exit codes: 0 when done; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from scipy.optimize import nnls

from cpm_plugin.core.conv.choice import costs
from cpm_plugin.core.conv.tile_grid import Tile
from cpm_plugin.core.conv.tiled import backward, forward, transform_weight

# Layers: images, input channels, output channels, kernel size, height and width. They are those of
# the network at 368x368 and 256x192, with one and with four images, and some narrow ones.
LAYERS = (
    (1, 128, 128, 9, 184, 184), (4, 128, 128, 9, 184, 184), (1, 128, 128, 9, 92, 92),
    (4, 128, 128, 9, 92, 92), (1, 32, 512, 9, 46, 46), (4, 32, 512, 9, 46, 46),
    (1, 48, 128, 11, 46, 46), (4, 48, 128, 11, 46, 46), (1, 128, 128, 11, 46, 46),
    (4, 128, 128, 11, 46, 46), (4, 128, 128, 9, 128, 96), (1, 128, 128, 9, 64, 48),
    (4, 128, 128, 9, 64, 48), (4, 32, 512, 9, 32, 24), (4, 49, 128, 11, 32, 24),
    (1, 128, 128, 11, 32, 24), (4, 128, 128, 11, 32, 24), (4, 128, 128, 7, 46, 46),
    (4, 128, 32, 5, 46, 46), (32, 32, 32, 5, 64, 64), (32, 32, 32, 7, 16, 16),
)  # fmt: skip
SIDES = (6, 8, 12, 16, 18, 24)
SIZES = ('images', 'channels', 'outputs', 'kernel', 'height', 'width')
TIMES = ('kept', 'step_forward', 'step_backward', 'direct', 'direct_backward')


def fastest(call: Callable[[], Any], runs: int) -> float:
    """Return the fastest of some runs in milliseconds, after one that is not counted."""
    call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def measure(layer: tuple[int, ...], runs: int) -> list[dict[str, Any]]:
    """Time one layer with every tile; return one row for each."""
    images, channels, outputs, size, height, width = layer
    x = torch.randn(images, channels, height, width)
    weight = torch.randn(outputs, channels, size, size)
    gradient = torch.randn(images, outputs, height, width)
    border = [size // 2] * 2
    arguments = (weight, None, [1, 1], border, [1, 1], False, [0, 0], 1, [True, True, False])
    direct = fastest(lambda: F.conv2d(x, weight, padding=border), runs)
    direct_backward = fastest(
        lambda: torch.ops.aten.convolution_backward(gradient, x, *arguments), runs
    )
    x, gradient = (v.to(memory_format=torch.channels_last) for v in (x, gradient))
    rows = []
    tiles = {tuple(-(-side // -(-side // m)) for side in (height, width)) for m in SIDES}
    for tile in sorted(Tile(*sides) for sides in tiles if min(sides) >= max(4, size // 2)):
        kept = transform_weight(weight, tile)
        times = (
            fastest(lambda: forward(x, weight, None, tile, kept), runs),  # noqa: B023
            fastest(lambda: forward(x, weight, None, tile), runs),  # noqa: B023
            fastest(lambda: backward(gradient, x, weight, tile, True, True), runs),  # noqa: B023
            direct,
            direct_backward,
        )
        row = dict(zip(SIZES, layer), rows=tile.rows, columns=tile.columns)
        rows.append({**row, **{name: f'{value:.3f}' for name, value in zip(TIMES, times)}})
    return rows


def fit(rows: list[dict[str, str]], name: str, measured: np.ndarray, direct: np.ndarray) -> None:
    """Fit the constants by non-negative least squares of the relative errors, and print them."""
    counts = np.array([costs_of(row) for row in rows], dtype=float) * 1e-9
    pace, _ = nnls(counts / measured[:, None], np.ones(len(rows)))
    modeled = counts @ pace
    products = np.array([np.prod([float(row[key]) for key in (*SIZES, 'kernel')]) for row in rows])
    worse = []
    for _, group in groupby(range(len(rows)), key=lambda i: [rows[i][key] for key in SIZES]):
        members = list(group)
        chosen = members[int(np.argmin(modeled[members]))]
        worse.append(measured[chosen] / measured[members].min())
    print(f'{name} = {tuple(float(f"{value:.3g}") for value in pace)}')
    print(f'  direct: {np.median(direct / products * 1e9):.3g} ms for 1e9 products')
    print(f'  model / measured: {np.percentile(modeled / measured, [0, 10, 50, 90, 100]).round(2)}')
    print(f'  chosen tile / best tile: median {np.median(worse):.2f}, largest {max(worse):.2f}')


def costs_of(row: dict[str, str]) -> tuple[int, ...]:
    """Return the costs of a row's layer and tile, as the choice counts them."""
    images, channels, outputs, size, height, width = (int(row[key]) for key in SIZES)
    tile = Tile(int(row['rows']), int(row['columns']))
    return costs((images, channels, height, width), (outputs, channels, size, size), tile)


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--out', type=Path, required=True, metavar='FILE.csv', help='file to write, or to fit'
    )
    parser.add_argument(
        '--runs', type=int, default=4, help='counted runs, after a first one (default: 4)'
    )
    parser.add_argument('--only-fit', action='store_true', help='read --out and time nothing')
    arguments = parser.parse_args(argv)
    if arguments.runs < 1:
        parser.error('--runs must be at least 1')
    if arguments.only_fit and not arguments.out.is_file():
        parser.error(f'{arguments.out}: no such file; leave out --only-fit to make it')
    if not arguments.only_fit:
        torch.set_grad_enabled(False)
        layers = track(LAYERS, 'layers', console=Console(stderr=True))
        rows = [row for layer in layers for row in measure(layer, arguments.runs)]
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        with arguments.out.open('w', newline='') as file:
            writer = csv.DictWriter(file, [*SIZES, 'rows', 'columns', *TIMES])
            writer.writeheader()
            writer.writerows(rows)
    with arguments.out.open() as file:
        rows = list(csv.DictReader(file))
    if not rows or not {*SIZES, *TIMES, 'rows', 'columns'} <= rows[0].keys():
        parser.error(f'{arguments.out}: no figures of this program; make them without --only-fit')
    kept, step, step_backward, direct, direct_backward = (
        np.array([float(row[name]) for row in rows]) for name in TIMES
    )
    fit(rows, '_KEPT', kept, direct)
    fit(rows, '_STEP', step + step_backward, direct + direct_backward)
    return 0


if __name__ == '__main__':
    sys.exit(main())
