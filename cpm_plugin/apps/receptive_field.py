"""Receptive fields in a table and against PCK, for ``tools/analysis/receptive_field.py``."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.models.network import ConvolutionalPoseMachine
from ..core.models.receptive_field import effective_field, receptive_field
from ..core.models.registry import create_model
from ..core.prediction.crops import person_crop
from ..core.prediction.images import read_image

RESULT_COLUMNS = ('name', 'receptive_field', 'parameters', 'PCK')


def field_rows(name: str, images: Sequence[Path] = ()) -> list[tuple[str, ...]]:
    """Return the receptive fields of a named network.

    Args:
        name: Name of a network for one person.
        images: Images to measure the effective field with; the network then has weights.

    Returns:
        For each stage its network, number, pixels, cells, effective pixels or ``''``, and the
            parameters of the network.

    Raises:
        ValueError: If there is no such network, or an image cannot be read.
    """
    model = create_model(name, pretrained=bool(images)).eval()
    if not isinstance(model, ConvolutionalPoseMachine):
        raise ValueError(f'{name!r} is for several people; give a network for one person')
    effective = None
    if images:
        batch = torch.cat([_input_of(path, model.input_size or 368) for path in images])
        effective = [f'{size:.0f}' for size in effective_field(model, batch)]
    return _rows(name, model, effective)


def config_rows(
    path: str | Path, options: Mapping[str, Any] | None = None
) -> list[tuple[str, ...]]:
    """Return the receptive fields of the network of a config. It needs MMPose.

    Args:
        path: Path of a config with a ``CPMBackbone`` and a ``CPMStageHead``.
        options: Changes of it, by dotted name.

    Returns:
        Rows as of ``field_rows``, under the name of the file.

    Raises:
        ValueError: If the config cannot be read, or has another network.
    """
    from mmengine.registry import init_default_scope

    from ..mmpose.backbone import CPMBackbone
    from ..mmpose.head import CPMStageHead
    from .configs import named, read_config

    from mmpose.registry import MODELS

    config = read_config(path, options, needs=['model'])
    init_default_scope(config.default_scope)
    with named(path):
        model = MODELS.build(config.model)
        backbone, head = model.backbone, getattr(model, 'head', None)
        if not isinstance(backbone, CPMBackbone) or not isinstance(head, CPMStageHead):
            raise ValueError(
                f'it has {type(backbone).__name__} and {type(head).__name__}, not CPMBackbone and '
                'CPMStageHead; receptive fields of others are not known'
            )
        return _rows(Path(path).stem, ConvolutionalPoseMachine(backbone.trunks, head.stages))


def _rows(
    name: str, model: ConvolutionalPoseMachine, effective: Sequence[str] | None = None
) -> list[tuple[str, ...]]:
    """Return the rows of a network; see ``field_rows``."""
    parameters = str(sum(parameter.numel() for parameter in model.parameters()))
    fields = receptive_field(model)
    sizes = effective or [''] * len(fields)
    return [
        (name, str(stage), str(field.pixels), str(field.cells), size, parameters)
        for stage, (field, size) in enumerate(zip(fields, sizes), start=1)
    ]


def _input_of(path: Path, size: int) -> torch.Tensor:
    """Return a whole image as an input (1, 3, size, size) of the network."""
    image = read_image(path)
    height, width = image.shape[:2]
    crop, _, _ = person_crop(image, (0, 0, width, height), size, padding=1.0)
    pixels = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32)
    return (torch.from_numpy(pixels) - 128) / 256


class FieldResult(NamedTuple):
    """Accuracy of a network that was trained.

    Attributes:
        name: Name of the network.
        receptive_field: Of its last stage, in pixels.
        parameters: Number of its parameters.
        pck: PCK in percent.
    """

    name: str
    receptive_field: float
    parameters: int
    pck: float


def read_results(path: Path) -> list[FieldResult]:
    """Read a CSV file with the columns ``RESULT_COLUMNS``.

    Args:
        path: Path of the file.

    Returns:
        Its rows.

    Raises:
        ValueError: If it cannot be read, or has no such rows. The message names the file.
    """
    try:
        with path.open(newline='') as file:
            reader = csv.DictReader(file)
            if missing := [c for c in RESULT_COLUMNS if c not in (reader.fieldnames or ())]:
                raise ValueError(
                    f'no column {", ".join(missing)}; its columns are {", ".join(RESULT_COLUMNS)}'
                )
            rows = []
            for row in reader:
                name, field, parameters, pck = (row[column] for column in RESULT_COLUMNS)
                rows.append(FieldResult(name, float(field), int(parameters), float(pck)))
        if not rows:
            raise ValueError('it has no rows')
    except (OSError, TypeError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise ValueError(f'{path}: {error}') from error
    return rows


def draw_results(results: Sequence[FieldResult]) -> Any:
    """Draw PCK against receptive field.

    Args:
        results: Networks; of equal fields, such as of several seeds, the line has the mean.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    by_field: dict[float, list[float]] = {}
    for result in results:
        by_field.setdefault(result.receptive_field, []).append(result.pck)
    fields = sorted(by_field)
    axes.plot(fields, [np.mean(by_field[field]) for field in fields], color='tab:blue')
    axes.plot([r.receptive_field for r in results], [r.pck for r in results], 'o')
    for result in {r.receptive_field: r for r in results}.values():
        axes.annotate(
            f'{result.name}\n{result.parameters / 1e6:.3g} M',
            (result.receptive_field, max(by_field[result.receptive_field])),
            xytext=(0, 7), textcoords='offset points', ha='center', fontsize=8,
        )  # fmt: skip
    axes.set(xlabel='receptive field of the last stage in pixels', ylabel='PCK')
    axes.margins(0.15, 0.25)
    axes.grid(alpha=0.3)
    return figure
