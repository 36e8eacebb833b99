"""Models side by side: what is counted, and the tables."""

import csv
import io

import pytest
import torch

from cpm_plugin.apps import compare as comparison
from cpm_plugin.apps import measure

from mmpose.registry import MODELS

ROWS = {
    'ours': {
        'PCK@0.2': 60.0, 'M parameters': 2.0, 'images/s': 30.0, 'spread': 1.25, 'peak MB': 700.0,
    },
    'stock': {'PCK@0.2': 50.5, 'M parameters': 1.5, 'images/s': 10.0},
}  # fmt: skip


def test_multiply_adds_are_those_of_direct_convolutions():
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='CPMBackbone', channels=4, kernel_size=3, shared_trunk=False),
            head=dict(
                type='CPMStageHead',
                in_channels=4,
                num_keypoints=3,
                num_stages=1,
                reduced_channels=None,
                first_stage_channels=8,
                first_stage_kernel_size=9,
            ),
        )
    )
    found = comparison.multiply_adds(model, torch.rand(1, 3, 32, 32))
    trunk = 32 * 32 * 3 * 4 * 9 + 16 * 16 * 4 * 4 * 9 + 8 * 8 * 4 * 4 * 9
    assert found == trunk + 4 * 4 * (4 * 8 * 81 + 8 * 8 + 8 * 3)
    assert model.head.stages.first.conv1.conv.method == 'auto'  # as before


def test_times_are_of_whole_batches_after_a_warm_up(monkeypatch):
    class Counts(torch.nn.Module):
        shapes = ()

        def forward(self, inputs, data_samples, mode):
            self.shapes = (*self.shapes, tuple(inputs.shape))

    # starts and ends of runs of 1, 2 and 6 seconds, after one that is not counted
    clock = iter([10, 11, 20, 22, 30, 36])
    monkeypatch.setattr(measure.time, 'perf_counter', lambda: next(clock))
    model = Counts()
    timing = comparison.time_forward(model, torch.rand(1, 3, 8, 8), 4, 3, 'cpu')
    assert (timing.median, timing.spread) == (2, 6)
    assert model.shapes == ((4, 3, 8, 8),) * 4


def test_tables():
    assert comparison.as_markdown(ROWS).splitlines() == [
        '| model | PCK@0.2 | M parameters | G multiply-adds | images/s | spread | peak MB |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| ours | **60** | 2 |  | **30** | 1.25 | **700** |',
        '| stock | 50.5 | **1.5** |  | 10 |  |  |',
    ]
    table = list(csv.DictReader(io.StringIO(comparison.as_csv(ROWS))))
    assert [row['model'] for row in table] == ['ours', 'stock']
    assert (table[0]['PCK@0.2'], table[1]['peak MB']) == ('60.0', '')


def test_the_drawing_has_a_point_a_model():
    (axes,) = comparison.draw(ROWS, 'PCK@0.2', 'a CPU').axes
    points = [tuple(collection.get_offsets()[0]) for collection in axes.collections]
    assert points == [(30.0, 60.0), (10.0, 50.5)]
    with pytest.raises(ValueError, match="ours has no 'AP'; there are: PCK@0"):
        comparison.draw(ROWS, 'AP', 'a CPU')
