"""The choice between the two ways: what was measured to be far apart must come out right."""

import pytest

from cpm_plugin.core.conv.bilinear import columns, rows
from cpm_plugin.core.conv.choice import _tiled_ms, choose, costs, fits_fourier
from cpm_plugin.core.conv.fourier_matrices import Row
from cpm_plugin.core.conv.tile_grid import Tile


@pytest.mark.parametrize('tile', [Tile(4, 5), Tile(12, 12), Tile(17, 16)])
@pytest.mark.parametrize('size', [3, 9, 11])
def test_what_is_counted_are_the_sizes_of_the_matrices(tile, size):
    along_y, blocks = rows(tile.rows, size)
    along_x = [columns(tile.columns, size, block) for block in blocks]
    products = sum(len(made.data) for made in along_x)
    # one tile of one channel in and out
    found = costs((1, 1, *tile), (1, 1, size, size), tile)
    transforms = (
        along_y.data.numel() * (tile.columns + size - 1)
        + sum(made.data.numel() + made.products.numel() for made in along_x)
        + along_y.products.numel() * tile.columns
    )
    moved = len(along_y.data) * (2 * tile.columns + size - 1) + 2 * products
    assert found == (products, transforms, products, moved, len(blocks))


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize(
    ('input_shape', 'weight_shape'),
    [
        ((1, 128, 184, 184), (128, 128, 9, 9)),
        ((1, 128, 92, 92), (128, 128, 9, 9)),
        ((4, 128, 46, 46), (128, 128, 11, 11)),
    ],
)
def test_large_layers_go_by_tiles(input_shape, weight_shape, training):
    choice = choose(input_shape, weight_shape, training=training)
    assert choice.tile is not None
    assert choice.tiled_ms < choice.direct_ms


@pytest.mark.parametrize(
    ('input_shape', 'weight_shape'),
    [
        ((32, 32, 16, 16), (32, 32, 7, 7)),
        ((4, 128, 46, 46), (32, 128, 5, 5)),
        ((8, 64, 64, 64), (64, 64, 3, 3)),
        ((1, 128, 46, 46), (128, 128, 1, 1)),
        ((0, 128, 46, 46), (128, 128, 11, 11)),
    ],
)
def test_small_layers_go_directly(input_shape, weight_shape):
    assert choose(input_shape, weight_shape, training=False).tile is None


def test_other_devices_go_directly_unless_told():
    sizes = (1, 128, 184, 184), (128, 128, 9, 9)
    assert choose(*sizes, training=False, device='cuda').tile is None
    assert choose(*sizes, training=False, device='cuda', method='tiled').tile is not None


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match='there are auto, direct, tiled'):
        choose((1, 1, 8, 8), (1, 1, 9, 9), training=False, method='winograd')


@pytest.mark.parametrize('training', [False, True])
def test_the_tile_is_the_cheapest_or_nearly_and_smaller(training):
    sizes = (4, 128, 46, 46), (128, 128, 11, 11)
    sides = [-(-46 // number) for number in range(2, 13)]
    tiles = [Tile(rows, columns) for rows in sides for columns in sides if min(rows, columns) >= 5]
    times = {tile: _tiled_ms(*sizes, tile, training) for tile in tiles}
    best = min(times, key=times.get)
    choice = choose(*sizes, training=training)
    assert choice.tiled_ms == times[choice.tile]
    if training:
        assert choice.tile == best
    else:
        assert choice.tile != best and times[choice.tile] <= 1.05 * times[best]
        assert costs(*sizes, choice.tile)[2] < 0.9 * costs(*sizes, best)[2]


def test_row_fourier_is_taken_only_where_it_is_asked_for():
    sizes = (32, 128, 46, 46), (128, 128, 11, 11)
    assert choose(*sizes, training=True, device='cuda').row is None
    choice = choose(*sizes, training=True, device='cuda', method='fourier')
    assert choice.row == Row(outputs=46, points=56, pieces=1) and choice.tile is None
    assert str(choice) == 'row-Fourier by 46 (no estimate of the time)'


@pytest.mark.parametrize(
    ('weight_shape', 'fits'),
    [
        ((16, 16, 5, 5), True),
        ((16, 16, 3, 3), False),
        ((15, 16, 9, 9), False),
        ((128, 3, 9, 9), False),
    ],
)
def test_row_fourier_is_for_large_kernels_and_many_channels(weight_shape, fits):
    choice = choose((1, weight_shape[1], 20, 20), weight_shape, training=False, method='fourier')
    assert (choice.row is not None) == fits == fits_fourier(weight_shape)
