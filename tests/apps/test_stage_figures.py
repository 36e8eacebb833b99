"""Figures of the belief maps and skeletons of each stage."""

from types import SimpleNamespace

import numpy as np
import torch
from cpm_testing.heads import slim_head

from cpm_plugin.apps import stage_figures
from cpm_plugin.apps.stage_figures import draw_stages, person_figure
from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.core.structure import packaged_structure, structured_maps
from cpm_plugin.mmpose import CPMHeatmap


def test_a_person_is_drawn_without_the_structure_then_with_it(tmp_path, monkeypatch):
    sizes = dict(input_size=(128, 128), heatmap_size=(16, 16))
    path = tmp_path / 'tree.json'
    path.write_text(packaged_structure('tree').structure.to_json())
    decoder = dict(type='StructuredHeatmap', structure=str(path), weight=0.5, **sizes)
    head = slim_head(num_keypoints=14, joints='lsp', decoder=decoder)
    model = SimpleNamespace(head=head, test_cfg=dict(stage=1))
    maps = torch.rand(2, 1, 14, 16, 16, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(stage_figures, 'stage_beliefs', lambda *_: (list(maps), None))
    drawn = []
    monkeypatch.setattr(stage_figures, 'draw_stages', lambda *words: drawn.append(words))
    person_figure(model, {'inputs': [torch.zeros(3, 128, 128)]}, {})
    ((crop, rows, joints, colors),) = drawn
    assert crop.shape == (128, 128, 3) and joints == LSP and len(colors) == len(LSP.links)
    marginals = structured_maps(
        maps[0].numpy(), packaged_structure('tree').structure, weight=0.5
    ).maps
    expected = {'stage 1': maps[0], 'stage 2': maps[1], 'stage 1, structured': marginals}
    assert list(rows) == list(expected)
    for name, beliefs in expected.items():
        np.testing.assert_allclose(rows[name][0], beliefs[0], rtol=1e-6)
        (points,), _ = CPMHeatmap(**sizes).batch_decode(beliefs)
        np.testing.assert_allclose(rows[name][1], points[0], atol=1e-4)
    assert np.abs(rows['stage 1'][1] - rows['stage 1, structured'][1]).max() > 8


def test_image_has_a_row_a_prediction_and_marks_the_decoded_joints():
    generator = np.random.default_rng(0)
    crop = generator.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    maps = [generator.random((14, 4, 6)) for _ in range(2)]
    keypoints = [generator.uniform(0, 32, (14, 2)) for _ in range(2)]
    colors = np.full((len(LSP.links), 3), 255)
    rows = {'stage 1': (maps[0], keypoints[0]), 'stage 1, structured': (maps[1], keypoints[1])}
    figure = draw_stages(crop, rows, LSP, colors)
    assert len(figure.axes) == 2 * (2 + 6) + 1  # and the scale
    titles = [axis.get_title() for axis in figure.axes[:8]]
    assert titles[:4] == ['skeleton', 'all joints', 'right wrist', 'left wrist']
    every, wrist = figure.axes[8 + 1], figure.axes[8 + 2]  # of the second row
    np.testing.assert_array_equal(every.images[1].get_array(), maps[1].max(axis=0))
    (cross,) = wrist.lines
    np.testing.assert_array_equal(cross.get_xydata()[0], keypoints[1][LSP.index('right_wrist')])
    np.testing.assert_array_equal(wrist.images[1].get_array(), maps[1][LSP.index('right_wrist')])
    labels = [axis.get_ylabel() for axis in figure.axes[:16:8]]
    assert labels == ['stage 1', 'stage 1\nstructured']
    assert figure.axes[-1].get_ylabel() == 'belief' and figure.axes[-1].get_ylim() == (0, 1)
    bones = figure.axes[0].lines
    assert len(bones) == len(LSP.links)
    first = [LSP.index(name) for name in LSP.links[0]]
    np.testing.assert_array_equal(bones[0].get_xydata(), keypoints[0][first])
