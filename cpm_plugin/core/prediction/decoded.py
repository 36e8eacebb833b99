"""Keypoints in place of belief maps, by operations that exported files can hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..maps.belief_maps import LEAST_BEND, SMALLEST_BELIEF, decode_peaks
from ..maps.geometry import cell_to_pixel, pixel_to_cell

# Cells by which float32 may put a vertex beyond the border of two cells.
_SLACK = 1e-3


class DecodedPeaks(nn.Module):
    """A network that gives keypoints and scores, as ``decode_peaks`` finds them.

    It computes in float32, whatever the type of the belief maps: float16 has steps of 0.125 pixels
    between 128 and 256.

    Args:
        network: Module that gives belief maps (N, C, h, w), C >= num_keypoints.
        num_keypoints: Number of channels that are joints, K. They come first.
        stride: Input pixels per cell.
    """

    def __init__(self, network: nn.Module, num_keypoints: int, stride: int) -> None:
        super().__init__()
        self.network = network
        self.num_keypoints = num_keypoints
        self.first_cell = float(cell_to_pixel(0, stride))
        self.cell = float(cell_to_pixel(1, stride)) - self.first_cell

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Find the keypoints.

        Args:
            image: (N, 3, H, W).

        Returns:
            Keypoints (N, K, 2), x and y in input pixels, and scores (N, K), the beliefs at the
                peaks. Both are float32.
        """
        maps = self.network(image)[:, : self.num_keypoints].float()
        height, width = int(maps.shape[2]), int(maps.shape[3])
        flat = maps.flatten(2)
        peak = flat.argmax(2)
        scores = flat.gather(2, peak[..., None])[..., 0]
        row, column = peak // width, peak % width
        x = column + _offset(flat, row * width, column, 1, width)
        y = row + _offset(flat, column, row, width, height)
        return torch.stack([x, y], dim=2) * self.cell + self.first_cell, scores


def _neighbors(flat: Tensor, line: Tensor, peak: Tensor, step: int, length: int) -> list[Tensor]:
    """Return the beliefs at three cells in a line: a peak and its neighbors, or those at its end.

    Args:
        flat: (N, K, h * w), belief maps.
        line: (N, K), where in ``flat`` the row or column of each peak begins.
        peak: (N, K), place of the peak in its line.
        step: Distance in ``flat`` of two cells of a line.
        length: Number of cells in a line, at least 3.

    Returns:
        Places of the middle cell in the line, and the beliefs on its left, at it, and on its right,
            of at least ``SMALLEST_BELIEF``. Each is (N, K).
    """
    middle = peak.clamp(1, length - 2)
    places = torch.stack([line + (middle + side) * step for side in (-1, 0, 1)], dim=2)
    return [middle, *flat.gather(2, places).clamp(min=SMALLEST_BELIEF).unbind(2)]


def _offset(flat: Tensor, line: Tensor, peak: Tensor, step: int, length: int) -> Tensor:
    """Find the vertex of the parabola through the logarithms at a peak and its neighbors.

    The arguments are those of ``_neighbors``. The result (N, K) is the offset from ``peak`` in
    cells, as ``decode_peaks`` computes it.
    """
    if length < 3:
        return torch.zeros_like(flat[..., 0])
    middle, left, here, right = _neighbors(flat, line, peak, step, length)
    # Logarithms of ratios: those of beliefs would lose digits when they are subtracted.
    to_left, to_right = (left / here).log(), (right / here).log()
    bend = to_left + to_right
    bent = bend < -LEAST_BEND
    vertex = (to_left - to_right) / (2 * torch.where(bent, bend, -torch.ones_like(bend)))
    offset = torch.where(bent, middle + vertex - peak, torch.zeros_like(vertex))
    return offset.clamp(-0.5, 0.5)


def peaks_apart(found: tuple[Tensor, Tensor], beliefs: Tensor, stride: int) -> float:
    """Measure by how much keypoints and scores of a file miss the belief maps of the network.

    Both come from belief maps that differ by rounding. Rounding moves the vertex of a flat peak
    far, and decides which of two equal peaks is found. Neither is a mistake. So all is measured in
    beliefs: a distance as the change of beliefs that causes it, another cell as what its belief
    lacks to that of the peak.

    Args:
        found: Keypoints (N, K, 2) in input pixels, and scores (N, K).
        beliefs: (N, C, h, w), C >= K, the joints first.
        stride: Input pixels per cell.

    Returns:
        Largest difference, relative to the largest belief. Infinite for other shapes, for
            positions outside the maps, and for NaN.
    """
    points, scores = (part.detach().cpu().double() for part in found)
    maps = beliefs[:, : scores.shape[-1]].detach().cpu().double()
    if scores.shape != maps.shape[:2] or points.shape != (*scores.shape, 2):
        return float('inf')
    height, width = maps.shape[2:]
    cells = torch.from_numpy(pixel_to_cell(points.numpy(), stride))
    right = torch.from_numpy(pixel_to_cell(decode_peaks(maps, stride=stride)[0], stride))
    flat = maps.flatten(2)
    best, peak = flat.max(2)
    row, column = peak // width, peak % width
    at = torch.stack([column, row], dim=2)
    last = torch.tensor([width - 1, height - 1])
    if not ((cells >= -0.5 - _SLACK) & (cells <= last + 0.5 + _SLACK)).all():  # NaN neither
        return float('inf')
    nearest = torch.minimum(cells.round().clamp(min=0), last).long()
    there = flat.gather(2, (nearest[..., 1] * width + nearest[..., 0])[..., None])[..., 0]
    moves = []
    for axis, (line, place, step, length) in enumerate(
        ((row * width, column, 1, width), (column, row, width, height))
    ):
        move = (cells - right)[..., axis].abs()
        if length >= 3:
            _, *three = _neighbors(flat, line, place, step, length)
            bend = (three[0] * three[2] / three[1] ** 2).log()
            # d vertex = d(belief) / belief / (2 bend), where the smallest belief moves it most
            move = move * 2 * bend.abs() * torch.stack(three).amin(0)
        moves.append(move)
    same = ((cells - at).abs() <= 0.5 + _SLACK).all(2)
    errors = torch.where(same, torch.maximum(*moves), best - there)
    errors = torch.maximum(errors, (scores - best).abs())
    error = float(errors.max() / beliefs.abs().max())
    return error if error == error else float('inf')
