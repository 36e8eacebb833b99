"""The table, CSV and drawing of models side by side."""

import csv
import io

import pytest

from cpm_plugin.apps import compare_report as report

ROWS = {
    'ours': {
        'PCK@0.2': 60.0, 'M parameters': 2.0, 'images/s': 30.0, 'spread': 1.25, 'peak MB': 700.0,
    },
    'stock': {'PCK@0.2': 50.5, 'M parameters': 1.5, 'images/s': 10.0},
}  # fmt: skip


def test_tables():
    assert report.as_markdown(ROWS).splitlines() == [
        '| model | PCK@0.2 | M parameters | G multiply-adds | images/s | spread | peak MB |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| ours | **60** | 2 |  | **30** | 1.25 | **700** |',
        '| stock | 50.5 | **1.5** |  | 10 |  |  |',
    ]
    table = list(csv.DictReader(io.StringIO(report.as_csv(ROWS))))
    assert [row['model'] for row in table] == ['ours', 'stock']
    assert (table[0]['PCK@0.2'], table[1]['peak MB']) == ('60.0', '')


def test_the_drawing_has_a_point_a_model():
    (axes,) = report.draw(ROWS, 'PCK@0.2', 'a CPU').axes
    points = [tuple(collection.get_offsets()[0]) for collection in axes.collections]
    assert points == [(30.0, 60.0), (10.0, 50.5)]
    with pytest.raises(ValueError, match="ours has no 'AP'; there are: PCK@0"):
        report.draw(ROWS, 'AP', 'a CPU')
