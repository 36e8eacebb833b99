"""The plain core runs where there is torch and numpy and nothing else."""

import ast
import functools
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cpm_plugin

REPO = Path(__file__).resolve().parents[1]
BLOCKED = {
    'mmpose', 'mmengine', 'mmcv', 'mmdet', 'torchvision', 'timm', 'scipy', 'cv2', 'matplotlib',
}  # fmt: skip
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
first = cpm_plugin.core  # without an import of its own
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
    assert 'cpm_plugin.core.models.network' in added
    ours = [name for name in added if name.startswith('cpm_plugin.')]
    assert [name for name in ours if not name.startswith('cpm_plugin.core')] == []
    others = {name.partition('.')[0] for name in added} - {'cpm_plugin', 'torch', 'numpy'}
    assert others - sys.stdlib_module_names == set()


# The layers of the package, from the ground up: a module imports its own folder and those below.
LAYERS = (
    ('core.maps', 'core.conv', 'core.weights'),
    ('core.models', 'core.evaluation', 'core.structure'),
    ('core.conversion', 'core.prediction'),
    ('core',),  # its __init__, which gathers them
    ('mmpose',),
    ('apps',),
)
PACKAGE = REPO / 'cpm_plugin'
FILES = sorted(PACKAGE.rglob('*.py'))


def folder_of(module):
    """``core.maps.joints`` -> ``core.maps``; '' for the package itself."""
    folders = [folder for layer in LAYERS for folder in layer]
    return max(
        (folder for folder in folders if f'{module}.'.startswith(f'{folder}.')), key=len, default=''
    )


def imported_modules(path):
    """Modules that a file imports, inside functions too; ours from the package on."""
    parts = path.relative_to(PACKAGE).with_suffix('').parts
    package = parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.removeprefix('cpm_plugin.')
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield node.module.removeprefix('cpm_plugin.')
                continue
            above = package[: len(package) - node.level + 1]
            module = '.'.join([*above, *([node.module] if node.module else [])])
            # "from ..maps import joints" may name a module
            yield from (f'{module}.{alias.name}'.lstrip('.') for alias in node.names)


def upward_imports(path):
    own = folder_of(
        '.'.join(path.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__')
    )
    layer = {folder: number for number, folders in enumerate(LAYERS) for folder in folders}
    for module in imported_modules(path):
        folder = folder_of(module)
        if not folder or folder == own or module.split('.')[0] not in ('core', 'mmpose', 'apps'):
            continue
        if own and (layer[folder] >= layer[own]):
            yield module


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_imports_upwards_or_sideways(path):
    assert list(upward_imports(path)) == []


# Imported when it is needed, and named by the error where it is missing.
OPTIONAL = {
    'core/conv/fourier_kernels.py': {'triton'},
    'core/prediction/export.py': {'onnxruntime', 'onnxscript'},
    'core/models/timm_encoder.py': {'safetensors', 'timm'},
    'core/prediction/images.py': {'PIL'},
}
CORE_FILES = [path for path in FILES if path.is_relative_to(PACKAGE / 'core')]


@pytest.mark.parametrize('path', CORE_FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_core_imports_the_standard_library_torch_and_numpy_only(path):
    optional = OPTIONAL.get(path.relative_to(PACKAGE).as_posix(), set())
    allowed = sys.stdlib_module_names | {'torch', 'numpy', 'core'} | optional
    assert {module.partition('.')[0] for module in imported_modules(path)} <= allowed


def test_an_upward_import_is_found(tmp_path, monkeypatch):
    module = sys.modules[__name__]
    monkeypatch.setattr(module, 'PACKAGE', tmp_path)
    for name, text, found in [
        ('core/maps/a.py', 'from ..models.network import X', ['core.models.network.X']),
        ('core/maps/b.py', 'from ..conv import layer', ['core.conv.layer']),
        ('core/models/c.py', 'from ..maps.joints import LSP\nfrom .loss import X', []),
        ('core/models/d.py', 'def f():\n    from ...apps import demo', ['apps.demo']),
        ('core/models/e.py', 'import cpm_plugin.mmpose.head', ['mmpose.head']),
        ('mmpose/f.py', 'from ..apps.zoo import pose2d', ['apps.zoo.pose2d']),
        ('apps/g.py', 'from ..mmpose.head import X\nfrom .zoo import pose2d', []),
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert list(upward_imports(path)) == found, name


def test_package_itself_imports_the_core_only():
    modules = set(imported_modules(PACKAGE / '__init__.py')) - sys.stdlib_module_names
    assert set(map(folder_of, modules)) == {'core'}


def test_the_names_of_the_package_are_those_of_the_core():
    names = set(cpm_plugin.__all__) - {'__version__'}
    assert names and names < set(dir(cpm_plugin))
    for name in names:
        assert getattr(cpm_plugin, name) is getattr(cpm_plugin.core, name)
    with pytest.raises(AttributeError, match="'cpm_plugin' has no attribute 'creat_model'"):
        _ = cpm_plugin.creat_model


def test_every_name_that_a_package_exports_is_there():
    for name in ('core', *(folder for layer in LAYERS[:3] for folder in layer)):
        package = importlib.import_module(f'cpm_plugin.{name}')
        assert package.__doc__ and package.__all__
        assert [one for one in package.__all__ if not hasattr(package, one)] == []


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


STOCK = ('mmpose', 'mmdet')
IMPORTS = (ast.Import, ast.ImportFrom)
APPS_OF_MMPOSE = [
    path.stem
    for path in (PACKAGE / 'apps').glob('*.py')
    if re.search(r'\.\.mmpose|import cpm_plugin\.mmpose', path.read_text())
]
PROGRAMS = [
    path
    for path in (*(PACKAGE / 'apps').glob('*.py'), *(REPO / 'tools').rglob('*.py'))
    if path.name not in ('train.py', 'test.py')  # MMPose's
]


def stock_before_ours(path):
    """Whether a file imports stock modules, which need ``compat``, without ``cpm_plugin.mmpose``.

    Anything of the package that imports stock modules counts, for it is looked at itself.
    """
    ready = {'cpm_plugin.mmpose', 'mmpose'} | {
        f'{prefix}apps.{name}' for prefix in ('', 'cpm_plugin.') for name in APPS_OF_MMPOSE
    }
    for node in sorted(
        (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, IMPORTS)),
        key=lambda node: node.lineno,
    ):
        relative = isinstance(node, ast.ImportFrom) and node.level
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            inside = f'{node.module}.' if node.module else ''
            names = [node.module or '', *(inside + alias.name for alias in node.names)]
        if relative and node.level == 1:
            names = [f'apps.{name}' for name in names]
        for name in names:
            ours = relative or name.startswith('cpm_plugin')
            if ours and any(name == one or name.startswith(f'{one}.') for one in ready):
                return False
            if not ours and name.partition('.')[0] in STOCK:
                return True
    return False


@pytest.mark.parametrize('path', PROGRAMS, ids=lambda path: path.relative_to(REPO).as_posix())
def test_stock_modules_come_after_what_lets_them_be_imported(path):
    """A program that is started, unlike one that the tests run, has imported nothing before."""
    assert not stock_before_ours(path)


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('from mmpose.apis import init_model\nfrom ..mmpose.head import X', True),
        ('from ..mmpose.head import X\nfrom mmpose.apis import init_model', False),
        ('import cpm_plugin.mmpose\nimport mmdet', False),
        ('from cpm_plugin.apps.zoo import pose2d\nimport mmpose', True),
        ('from cpm_plugin.apps import stages\ndef main():\n    import mmpose', False),
        ('def main():\n    import mmdet', True),
        ('import numpy', False),
    ],
)
def test_stock_before_ours_is_found(tmp_path, text, found):
    (tmp_path / 'a.py').write_text(text)
    assert stock_before_ours(tmp_path / 'a.py') == found
