"""Groups of tiles: each output is in one of them, and the steps back are transposes."""

import pytest
import torch

from cpm_plugin.core.conv import tile_grid
from cpm_plugin.core.conv.tile_grid import Grid, Tile, groups, matrices

SHAPE = (5, 2, 20, 17)


def grids(**options):
    """Tiles of 4 x 6 outputs, and a kernel of side 5."""
    return list(groups(torch.zeros(SHAPE), torch.zeros(3, 2, 5, 5), Tile(4, 6), **options))


@pytest.mark.parametrize('kept', [False, True])
@pytest.mark.parametrize('by_rows', [False, True])
@pytest.mark.parametrize('most', [1, 22_000, 10**9])
def test_every_output_is_in_one_group(most, by_rows, kept, monkeypatch):
    other = 'ALLOCATOR_BYTES' if kept else 'CACHE_BYTES'
    monkeypatch.setattr(tile_grid, 'CACHE_BYTES' if kept else 'ALLOCATOR_BYTES', most)
    monkeypatch.setattr(tile_grid, other, 0)  # must not be used
    count = torch.zeros(SHAPE[0], SHAPE[2], dtype=torch.int)
    found = grids(by_rows=by_rows, kept=kept)
    for grid in found:
        assert grid.width == SHAPE[3] and grid.top % 4 == 0
        assert by_rows or grid.height == SHAPE[2]
        count[grid.images, grid.top : grid.top + grid.height] += 1
    assert (count == 1).all()
    assert len(found) == {1: 25 if by_rows else 5, 22_000: 3, 10**9: 1}[most]


def test_numbers_of_a_group():
    """20 x 17 outputs by tiles of 8 x 6, with a kernel of side 5."""
    tile = Tile(8, 6)
    made = matrices(tile, 5, torch.float32, torch.device('cpu'))
    grid = Grid(tile, 5, slice(1, 3), 0, 20, 17, made)
    assert (grid.down, grid.across, grid.number, grid.tiles) == (3, 3, 2, 18)
    assert grid.padded == (3 * 8 + 4, 3 * 6 + 4)


def test_matrices_of_a_tile_are_made_once_and_have_a_block_a_slice():
    arguments = (Tile(4, 6), 5, torch.float64, torch.device('cpu'))
    made = matrices(*arguments)
    assert matrices(*arguments) is made
    ends = [block.stop for block in made.blocks]
    assert [block.start for block in made.blocks] == [0, *ends[:-1]]
    assert ends[-1] == len(made.along_y.data)
    assert made.along_y.data.dtype == torch.float64
    assert {block.stop - block.start for block in made.blocks} == set(made.along_x)


def test_steps_back_are_the_transposes_of_the_steps():
    """<A x, y> = <x, A' y>, for the rows and for the tiles of a block."""
    (grid,) = grids(by_rows=False)
    x = torch.randn(SHAPE).to(memory_format=torch.channels_last)
    bands = grid.bands(x)
    other = torch.randn_like(bands)
    back = torch.zeros(SHAPE[0], *SHAPE[2:], SHAPE[1])
    grid.write_gradient(other, back)
    expected = float((bands * other).sum())
    assert float((x.permute(0, 2, 3, 1) * back).sum()) == pytest.approx(expected, rel=1e-4)
    for block in grid.matrices.blocks:
        tiles = grid.tiles_of(bands, block, SHAPE[1])
        other = torch.randn_like(tiles)
        back = torch.zeros_like(bands)
        grid.add_tiles(other.clone(), back, block, SHAPE[1])
        expected = float((tiles * other).sum())
        assert float((bands * back).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ('whole', 'most', 'expected'), [(10, 10, 10), (10, 9, 5), (10, 4, 4), (10, 3, 3), (1, 7, 1)]
)
def test_parts_are_as_even_as_they_can_be(whole, most, expected):
    assert tile_grid._even_part(whole, most) == expected
