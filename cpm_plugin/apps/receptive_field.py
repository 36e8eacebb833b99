"""Rows of a table of receptive fields: what ``tools/analysis/receptive_field.py`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..core.models.network import ConvolutionalPoseMachine
from ..core.models.receptive_field import effective_field, receptive_field
from ..core.models.registry import create_model
from ..core.prediction.crops import person_crop
from ..core.prediction.images import read_image


def field_rows(name: str, images: Sequence[Path] = ()) -> list[tuple[str, ...]]:
    """Return the receptive fields of a named network.

    Args:
        name: Name of a network for one person.
        images: Images to measure the effective field with; the network then has weights.

    Returns:
        For each stage its network, number, pixels, cells, and effective pixels or ``''``.

    Raises:
        ValueError: If there is no such network, or an image cannot be read.
    """
    model = create_model(name, pretrained=bool(images)).eval()
    if not isinstance(model, ConvolutionalPoseMachine):
        raise ValueError(f'{name!r} is for several people; give a network for one person')
    effective = [''] * model.stages.num_stages
    if images:
        batch = torch.cat([_input_of(path, model.input_size or 368) for path in images])
        effective = [f'{size:.0f}' for size in effective_field(model, batch)]
    return [
        (name, str(stage), str(field.pixels), str(field.cells), size)
        for stage, (field, size) in enumerate(zip(receptive_field(model), effective), start=1)
    ]


def _input_of(path: Path, size: int) -> torch.Tensor:
    """Return a whole image as an input (1, 3, size, size) of the network."""
    image = read_image(path)
    height, width = image.shape[:2]
    crop, _, _ = person_crop(image, (0, 0, width, height), size, padding=1.0)
    pixels = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32)
    return (torch.from_numpy(pixels) - 128) / 256
