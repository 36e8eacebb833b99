"""The plain core runs where there is torch and numpy and nothing else."""

import ast
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
BLOCKED = {'mmpose', 'mmengine', 'mmcv', 'mmdet', 'torchvision', 'scipy', 'cv2', 'matplotlib'}
SCRIPT = """
import json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in BLOCKED:
            raise ImportError(f'{name} is blocked')

sys.meta_path.insert(0, Blocker())
import numpy, torch
import numpy.typing, torch.nn
before = set(sys.modules)
import cpm_plugin
added = sorted(set(sys.modules) - before)

from cpm_plugin.core import decode_peaks, ideal_belief_maps, stage_losses, torso_pck, LSP
model = cpm_plugin.create_model('cpm_slim_3s', channels=4, first_stage_channels=4)
beliefs = model(torch.zeros(1, 3, 32, 40))
points = numpy.arange(28.0).reshape(1, 14, 2)
maps = ideal_belief_maps(points, numpy.ones((1, 14)), (5, 4))
target = torch.from_numpy(numpy.concatenate([maps, maps[:1]]))[None]
losses = stage_losses(beliefs, target)
losses.sum().backward()
found, scores = decode_peaks(maps)
print(json.dumps({
    'file': cpm_plugin.__file__,
    'added': added,
    'blocked': sorted(n for n in sys.modules if n.partition('.')[0] in BLOCKED),
    'shapes': [list(b.shape) for b in beliefs],
    'losses': losses.tolist(),
    'error': float(abs(found - points[0]).max()),
    'pck': torso_pck(found[None], points, numpy.ones((1, 14)), LSP).mean,
}))
"""


@functools.cache
def bare_run():
    """What the script reports from an interpreter in which the other packages fail."""
    done = subprocess.run(
        [sys.executable, '-c', f'BLOCKED = {BLOCKED!r}\n{SCRIPT}'],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_model_loss_decoding_and_metric_work_without_mmpose():
    report = bare_run()
    assert Path(report['file']) == REPO / 'cpm_plugin' / '__init__.py'
    assert report['blocked'] == []
    assert report['shapes'] == [[1, 15, 4, 5]] * 3
    assert len(report['losses']) == 3
    assert all(loss > 0 for loss in report['losses'])
    assert report['error'] < 1e-4
    assert report['pck'] == 100


def test_import_loads_nothing_but_the_core_and_the_standard_library():
    added = bare_run()['added']
    assert 'cpm_plugin.core.network' in added
    ours = [name for name in added if name.startswith('cpm_plugin.')]
    assert [name for name in ours if not name.startswith('cpm_plugin.core')] == []
    others = {name.partition('.')[0] for name in added} - {'cpm_plugin', 'torch', 'numpy'}
    assert others - sys.stdlib_module_names == set()


def imported(tree):
    """(level, module) of every import in a file, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ''


CORE_FILES = sorted((REPO / 'cpm_plugin' / 'core').rglob('*.py'))


@pytest.mark.parametrize('path', CORE_FILES, ids=lambda path: path.stem)
def test_core_imports_the_standard_library_torch_and_numpy_only(path):
    allowed = sys.stdlib_module_names | {'torch', 'numpy'}
    for level, module in imported(ast.parse(path.read_text(encoding='utf-8'))):
        if level == 0 and not module.startswith('cpm_plugin.core'):
            assert module.partition('.')[0] in allowed, module
        assert level <= 1, f'{"." * level}{module} is outside of the core'


def test_the_scan_found_the_core():
    assert {'network', 'loss', 'belief_maps', 'checkpoints'} <= {path.stem for path in CORE_FILES}


def test_package_itself_imports_the_core_only():
    tree = ast.parse((REPO / 'cpm_plugin' / '__init__.py').read_text(encoding='utf-8'))
    assert set(imported(tree)) == {(1, 'core')}


def test_the_package_is_found_beside_a_folder_of_its_name(tmp_path):
    """As the folder of a clone is, where a script lies beside the clone."""
    (tmp_path / 'cpm_plugin').mkdir()
    hides = ('PYTHONPATH', 'PYTHONSAFEPATH')
    environment = {name: value for name, value in os.environ.items() if name not in hides}
    done = subprocess.run(
        [sys.executable, '-c', 'import cpm_plugin; print(cpm_plugin.create_model.__name__)'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == 'create_model\n', done.stderr
