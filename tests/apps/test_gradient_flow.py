"""Records of gradients: read, set against each other, and drawn."""

import math

import numpy as np
import pytest

from cpm_plugin.apps.gradient_flow import draw_flows, flow_table, read_flow
from cpm_plugin.mmpose.gradient_flow_hook import COLUMNS


def write(path, *rows):
    """Rows (epoch, iteration, depth, mean); other statistics are multiples of the mean."""
    lines = [','.join(COLUMNS)]
    for epoch, iteration, depth, mean in rows:
        sizes = [''] * 6 if mean == '' else [mean, *(mean * k for k in (0.1, 0.5, 1, 2, 10))]
        row = [epoch, iteration, depth, f'layer{depth}', depth or '', 9, *sizes, 0, 0]
        lines.append(','.join(map(str, row)))
    path.write_text('\n'.join(lines) + '\n')
    return path


@pytest.fixture
def flow(tmp_path):
    rows = [
        (1, 5, 0, 1.0), (1, 5, 1, 4.0), (1, 5, 2, ''),
        (1, 10, 0, 4.0), (1, 10, 1, 4.0), (1, 10, 2, ''),
        (2, 15, 0, 0.0), (2, 15, 1, 8.0), (2, 15, 2, ''),
    ]  # fmt: skip
    return read_flow(write(tmp_path / 'a.csv', *rows))


def test_records_of_an_epoch_become_their_geometric_mean(flow):
    assert (flow.layers, flow.stages) == (('layer0', 'layer1', 'layer2'), ('', '1', '2'))
    assert (flow.parts, flow.unit) == ((1, 2), 'epoch')
    np.testing.assert_allclose(flow.values['mean'], [[2, 0], [4, 8], [math.nan] * 2])
    np.testing.assert_allclose(flow.values['p95'], [[20, 0], [40, 80], [math.nan] * 2])


def test_one_epoch_is_shown_by_iteration(tmp_path):
    flow = read_flow(write(tmp_path / 'a.csv', (1, 5, 0, 1.0), (1, 10, 0, 4.0)))
    assert (flow.parts, flow.unit) == ((5, 10), 'iteration')
    assert flow.values['mean'].tolist() == [[1, 4]]


def test_the_table_sets_the_first_layer_against_the_last_with_a_gradient(flow):
    assert flow_table({'run': flow}, 'mean').splitlines()[2:] == [
        '| run | epoch 1 | 2.00e+00 | 4.00e+00 | 0.5 |',
        '| run | epoch 2 | 0.00e+00 | 8.00e+00 | 0 |',
    ]


def test_a_column_for_each_training(flow):
    figure = draw_flows({'with': flow, 'without': flow}, 'p50')
    above, below = figure.axes[:2], figure.axes[2:4]
    assert [axis.get_title() for axis in above] == ['with', 'without']
    shown = above[0].images[0].get_array()
    # 0 has the color of the smallest of all others, and a layer without a gradient has none
    np.testing.assert_allclose(shown.filled(-1), [[2, 2], [4, 8], [-1, -1]])
    assert above[0].get_yticklabels()[0].get_text() == '0 layer0'
    first, last = below[0].lines[-2:]
    np.testing.assert_allclose(first.get_ydata(), [2, 4, math.nan])
    np.testing.assert_allclose(last.get_ydata(), [0, 8, math.nan])
    assert [text.get_text().strip() for text in below[0].texts] == ['stage 1', 'stage 2']


def test_a_row_that_is_cut_off_is_left_out(tmp_path):
    path = write(tmp_path / 'a.csv', (1, 5, 0, 1.0), (2, 9, 0, 3.0))
    path.write_text(path.read_text()[:-20])
    assert read_flow(path).parts == (5,)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'no column epoch, iter'),
        (b'a,b\n1,2\n', 'no column epoch, iter'),
        (','.join(COLUMNS).encode(), 'no record yet'),
        (f'{",".join(COLUMNS)}\n1,x,0,a,,1,1,1,1,1,1,1,0,0\n'.encode(), "'x'"),
        (f'{",".join(COLUMNS)}\n1,1,0,a,,1,,,,,,,,\n'.encode(), 'no layer has a gradient'),
        (b'\xff\xfe', 'a.csv'),
    ],
)
def test_files_that_are_no_record_are_named(tmp_path, content, message):
    (tmp_path / 'a.csv').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.csv is no record of GradientFlowHook') as error:
        read_flow(tmp_path / 'a.csv')
    assert message in str(error.value)
