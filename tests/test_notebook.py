"""The notebook runs, with its own figure and with an image of the reader; its outputs are small."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('PIL', reason='the notebook needs the extra [notebook]')
pytest.importorskip('matplotlib', reason='the notebook needs the extra [notebook]')
from PIL import Image

LARGEST = 300_000  # bytes, with its outputs


@pytest.fixture(scope='module')
def path(repo):
    return repo / 'docs' / 'notebook.ipynb'


@pytest.fixture(scope='module')
def cells(path):
    return [cell for cell in json.loads(path.read_text())['cells'] if cell['cell_type'] == 'code']


def printed(cells):
    """What the outputs in the file say."""
    outputs = [output for cell in cells for output in cell['outputs']]
    return ''.join(text for output in outputs for text in output.get('text', ()))


def run(cells):
    """The cells in one namespace, as Jupyter runs them; what they print, and their figures."""
    import matplotlib

    matplotlib.use('Agg', force=True)
    from matplotlib import pyplot

    pyplot.close('all')
    seen, out = {'__name__': '__main__'}, io.StringIO()
    with matplotlib.rc_context(), contextlib.redirect_stdout(out):
        for number, cell in enumerate(cells):
            exec(compile(''.join(cell['source']), f'cell {number}', 'exec'), seen)
    figures = len(pyplot.get_fignums())
    pyplot.close('all')
    return seen, out.getvalue(), figures


def test_the_drawn_figure_is_understood(cells, monkeypatch):
    monkeypatch.delenv('CPM_IMAGE', raising=False)
    seen, out, figures = run(cells)
    assert figures == 5
    truth = np.array([seen['DRAWN'][name] for name in seen['poses'].joints.names])
    for poses in seen['found'].values():  # of both models, in pixels; a torso has 82
        assert np.linalg.norm(poses.keypoints[0] - truth, axis=1).max() < 17
    assert out.count('joints within 0.2 torsos') == 1 + 3 + 2
    # The outputs in the file are those of this code; times, versions and the last digits aside.
    for line in ('image: ', '3 stages with', 'stage 1: ', 'stage 3: '):
        (now,) = (one for one in out.splitlines() if one.startswith(line))
        assert now in printed(cells)


def save_noise(path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return noise


def test_an_image_of_the_reader_is_taken_whole(cells, tmp_path, monkeypatch):
    noise = save_noise(tmp_path / 'own.png')
    monkeypatch.setenv('CPM_IMAGE', str(tmp_path / 'own.png'))
    seen, out, figures = run(cells[:7])  # up to the export, which takes seconds
    assert figures == 4 and f'image: {tmp_path}/own.png (60, 40, 3)' in out
    np.testing.assert_array_equal(seen['image'], noise[..., ::-1])
    np.testing.assert_array_equal(seen['poses'].boxes, [[0, 0, 40, 60]])
    assert 'no truth to compare with' in out and 'within' not in out


def test_a_missing_image_is_named(cells, monkeypatch):
    monkeypatch.setenv('CPM_IMAGE', 'none.png')
    with pytest.raises(ValueError, match=r'none\.png'):
        run(cells[:3])


def test_the_outputs_are_small_whole_and_of_the_drawn_figure(path, cells):
    assert path.stat().st_size < LARGEST
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output['output_type'] for cell in cells for output in cell['outputs']]
    assert kinds.count('display_data') == 5 and 'error' not in kinds
    assert 'image: the figure that this notebook draws' in printed(cells)


@pytest.mark.full
@pytest.mark.parametrize('own', [False, True], ids=['drawn', 'own'])
def test_jupyter_runs_it(own, path, tmp_path):
    nbformat = pytest.importorskip('nbformat', reason='needs the extra [notebook]')
    pytest.importorskip('nbclient', reason='needs the extra [notebook]')
    pytest.importorskip('ipykernel', reason='needs the extra [notebook]')
    (tmp_path / 'docs').mkdir()
    shutil.copy(path, tmp_path / 'docs' / path.name)
    save_noise(tmp_path / 'own.png')
    # as in docs/getting-started.md: this is what jupyter execute runs
    execute = 'from nbclient.cli import main; main()'
    command = [sys.executable, '-c', execute, '--output=mine', f'docs/{path.name}']
    environment = {**os.environ, 'CPM_IMAGE': str(tmp_path / 'own.png') if own else ''}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    book = nbformat.read(tmp_path / 'docs' / 'mine.ipynb', as_version=4)
    nbformat.validate(book)
    outputs = [output for cell in book.cells for output in cell.get('outputs', ())]
    assert sum('image/png' in output.get('data', ()) for output in outputs) == 5
