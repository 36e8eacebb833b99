"""Receptive fields: of sizes alone, of gradients on an image, of configs, and against PCK."""

import numpy as np
import pytest
from PIL import Image

from cpm_plugin.apps.receptive_field import (
    FieldResult,
    config_rows,
    draw_results,
    field_rows,
    read_results,
)


def test_a_row_for_each_stage():
    assert field_rows('cpm_slim_3s') == [
        ('cpm_slim_3s', '1', '75', '5', '', '545901'),
        ('cpm_slim_3s', '2', '219', '19', '', '545901'),
        ('cpm_slim_3s', '3', '363', '19', '', '545901'),
    ]


def test_with_images_the_effective_field_is_measured(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / 'a.png')
    sizes = [int(row[4]) for row in field_rows('cpm_slim_3s', [tmp_path / 'a.png'])]
    assert 8 < sizes[0] <= 76 and sizes[0] < sizes[2] <= 2 * 128


def test_networks_for_several_people_are_refused():
    with pytest.raises(ValueError, match="'openpose_coco' is for several people"):
        field_rows('openpose_coco')


FAMILY = {1: (232, 75), 3: (85, 123), 5: (48, 171), 7: (32, 219), 9: (23, 267)}


@pytest.mark.parametrize(('kernel', 'channels', 'pixels'), [(k, *v) for k, v in FAMILY.items()])
def test_a_family_of_equal_parameters_as_its_config_says(repo, kernel, channels, pixels):
    (path,) = repo.glob('configs/*/*/lspet/td-hm_cpm-slim-2s_1xb32-6e_lspet-96x96.py')
    options = {'model.head.refine_kernel_size': kernel, 'model.head.channels': channels}
    first, second = config_rows(path, options)
    assert first[:4] == (path.stem, '1', '75', '5')
    # three convolutions of stride 8 after what stage 1 sees
    assert second[:4] == (path.stem, '2', str(pixels), str(1 + 3 * (kernel - 1)))
    assert pixels == 75 + 8 * 3 * (kernel - 1)
    assert abs(int(second[5]) / 359_230 - 1) < 0.005
    comment = path.read_text().split('_base_')[0]
    for row, value in zip(('kernel size', 'channels', 'field'), (kernel, channels, pixels)):
        line = next(line for line in comment.splitlines() if line.startswith(f'#   {row}'))
        assert line.split()[-5:][list(FAMILY).index(kernel)] == str(value)


def test_networks_of_others_in_configs_are_refused(repo):
    (path,) = repo.glob('configs/*/*/lspet/td-hm_res50_1xb32-6e_lspet-96x96.py')
    with pytest.raises(ValueError, match='it has ResNet and HeatmapHead, not CPMBackbone'):
        config_rows(path, {'model.backbone.init_cfg': None})


CSV = """name,receptive_field,parameters,PCK
k1,75,359798,20.5
k5,171,358062,30
k5,171,358062,32
"""


def test_results_are_drawn_with_a_line_through_the_means(tmp_path):
    (tmp_path / 'a.csv').write_text(CSV)
    results = read_results(tmp_path / 'a.csv')
    assert results[:2] == [('k1', 75, 359798, 20.5), FieldResult('k5', 171, 358062, 30)]
    (axes,) = draw_results(results).axes
    line, points = (line.get_xydata().tolist() for line in axes.lines)
    assert line == [[75, 20.5], [171, 31]]
    assert points == [[75, 20.5], [171, 30], [171, 32]]
    assert [text.get_text() for text in axes.texts] == ['k1\n0.36 M', 'k5\n0.358 M']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'no column name, receptive_field, parameters, PCK'),
        ('name,parameters,PCK\n', 'no column receptive_field'),
        (CSV.splitlines()[0], 'it has no rows'),
        (CSV + 'k7,219,x,30\n', "'x'"),
        (CSV + 'k7\n', 'a.csv'),
    ],
)
def test_results_that_cannot_be_read_are_named(tmp_path, text, message):
    (tmp_path / 'a.csv').write_text(text)
    with pytest.raises(ValueError, match=r'a\.csv: ') as error:
        read_results(tmp_path / 'a.csv')
    assert message in str(error.value)
