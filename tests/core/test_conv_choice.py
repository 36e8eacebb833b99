"""The choice between the two ways: what was measured to be far apart must come out right."""

import pytest

from cpm_plugin.core.bilinear import transforms
from cpm_plugin.core.conv_choice import _points, choose


def test_points_are_the_rows_of_the_matrices():
    for outputs in range(2, 30):
        for taps in (3, 5, 9, 11):
            assert _points(outputs, taps) == len(transforms(outputs, taps).data)


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
