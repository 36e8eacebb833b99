"""Each fix of compat acts only where something is missing.

What happens before compat can be seen in a fresh interpreter only: one is started for all
tests, with compat.py loaded as a file of its own, and prints what it found as JSON.
"""

import json
import pickle
import subprocess
import sys
import types
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils.dl_utils.misc import mmcv_full_available

from cpm_plugin.core import create_model, load_checkpoint
from cpm_plugin.mmpose import compat

import mmcv.ops
from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer

REPO = Path(__file__).resolve().parents[2]
NEW_NUMPY = tuple(map(int, np.__version__.split('.')[:2])) >= (2, 4)

FRESH_INTERPRETER = """
import importlib.util, json, sys, warnings
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils.dl_utils.misc import mmcv_full_available

checkpoint = sys.argv[1]
facts = {}

def message(action):
    try:
        action()
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    return ''

def load():
    torch.load(checkpoint, weights_only=True)

facts['torchvision_before'] = message(lambda: __import__('torchvision'))
facts['mmcv_ext_before'] = importlib.util.find_spec('mmcv._ext') is not None
facts['full_mmcv_before'] = mmcv_full_available()
facts['load_before'] = message(load)

spec = importlib.util.spec_from_file_location('compat_alone', 'cpm_plugin/mmpose/compat.py')
compat = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compat)
facts['acted'] = compat.apply()
facts['acted_again'] = compat.apply()

facts['torchvision_after'] = message(lambda: __import__('torchvision'))
facts['nms'] = message(
    lambda: torch.ops.torchvision.nms(torch.tensor([[0., 0., 1., 1.]]), torch.ones(1), 0.5))
facts['mmpose_models'] = message(lambda: __import__('mmpose.models'))
facts['mmcv_ext_file'] = getattr(sys.modules['mmcv._ext'], '__file__', None)
facts['full_mmcv_after'] = mmcv_full_available()
facts['load_after'] = message(load)
from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer
facts['draw_circles'] = OpencvBackendVisualizer.draw_circles.__module__
print(json.dumps(facts))
"""


def save_mmengine_like(path):
    history = HistoryBuffer([0.5, 0.25], [1, 2])
    history.update(np.float64(0.125))
    torch.save(
        {
            'state_dict': {'weight': torch.ones(2)},
            'message_hub': {
                'log_scalars': {'loss': history},
                'runtime_info': {
                    'arrays': [
                        np.array([0, 1, 3], dtype=kind)
                        for kind in ('float32', 'float64', 'int64', 'uint8', 'bool')
                    ],
                    'names': np.array(['nose', 'neck']),
                    'scalars': [np.float64(1.5), np.float32(0.5), np.int64(7), np.bool_(True)],
                },
            },
        },
        path,
    )
    return path


@pytest.fixture(scope='module')
def facts(tmp_path_factory):
    checkpoint = save_mmengine_like(tmp_path_factory.mktemp('compat') / 'mmengine.pth')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', FRESH_INTERPRETER, str(checkpoint)],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def without_ops(facts):
    if facts['mmcv_ext_before']:
        pytest.skip('this mmcv has its compiled operators')


# -- apply


def test_apply_acts_exactly_where_something_is_missing(facts):
    expected = {
        'fix_torchvision': bool(facts['torchvision_before']),
        'fix_mmcv_ops': not facts['mmcv_ext_before'],
        'fix_safe_loading': bool(facts['load_before']),
        'fix_drawing': NEW_NUMPY,
        'fix_cpu_training': not torch.cuda.is_available(),
    }
    assert facts['acted'] == [name for name, missing in expected.items() if missing]


def test_second_apply_does_nothing(facts):
    assert facts['acted_again'] == []
    assert compat.apply() == []  # the package's import was the first


def test_stock_models_import_after_apply(facts):
    assert facts['mmpose_models'] == ''


# -- torchvision


def test_torchvision_imports_after_apply(facts):
    assert facts['torchvision_after'] == ''


def test_declared_torchvision_operator_names_itself_and_the_remedy(facts):
    if 'fix_torchvision' not in facts['acted']:
        assert facts['nms'] == ''  # the real one still works
        pytest.skip("this torchvision's operators load")
    assert facts['nms'].startswith('NotImplementedError: torchvision::nms ')
    assert 'install the torchvision build' in facts['nms']


# -- mmcv's operators


def test_stand_in_does_not_pass_for_full_mmcv(facts):
    assert facts['full_mmcv_before'] == facts['mmcv_ext_before']
    assert facts['full_mmcv_after'] == facts['mmcv_ext_before']
    assert mmcv_full_available() == facts['mmcv_ext_before']


def test_compiled_operators_are_not_replaced(facts):
    assert bool(facts['mmcv_ext_file']) == facts['mmcv_ext_before']


@pytest.mark.usefixtures('without_ops')
@pytest.mark.parametrize(
    ('call', 'operator'),
    [
        (lambda: mmcv.ops.soft_nms(torch.rand(2, 4), torch.rand(2)), 'softnms'),
        (
            lambda: mmcv.ops.roi_align(torch.rand(1, 1, 4, 4), torch.zeros(1, 5), 2),
            'roi_align_forward',
        ),
    ],
    ids=['soft_nms', 'roi_align'],
)
def test_calling_a_missing_operator_names_it_and_the_remedy(call, operator):
    with pytest.raises(NotImplementedError, match=rf'mmcv\._ext\.{operator} .*full mmcv'):
        call()


def test_importable_extension_is_neither_replaced_nor_run(tmp_path, monkeypatch):
    (tmp_path / '_ext.py').write_text("raise RuntimeError('looked up, not to be run')")
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    monkeypatch.setattr(mmcv, '__path__', [str(tmp_path), *mmcv.__path__])
    assert not compat.fix_mmcv_ops()
    assert 'mmcv._ext' not in sys.modules


def test_imported_extension_is_not_replaced(monkeypatch):
    extension = types.ModuleType('mmcv._ext')
    monkeypatch.setitem(sys.modules, 'mmcv._ext', extension)
    assert not compat.fix_mmcv_ops()
    assert sys.modules['mmcv._ext'] is extension


@pytest.mark.usefixtures('without_ops')
def test_stand_in_takes_the_place_of_a_missing_extension(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    assert compat.fix_mmcv_ops()
    assert 'compat' in sys.modules['mmcv._ext'].__doc__
    assert not hasattr(sys.modules['mmcv._ext'], '__file__')  # tools that look for it stay calm


# -- safe loading


def test_checkpoint_of_mmengine_loads_only_after_apply(facts):
    assert facts['load_before'].startswith('UnpicklingError')
    assert facts['load_after'] == ''


def test_loaded_history_and_scalars_have_their_values(tmp_path):
    hub = torch.load(save_mmengine_like(tmp_path / 'a.pth'), weights_only=True)['message_hub']
    log, counts = hub['log_scalars']['loss'].data
    np.testing.assert_array_equal(log, [0.5, 0.25, 0.125])
    np.testing.assert_array_equal(counts, [1, 2, 1])
    assert hub['runtime_info']['scalars'] == [1.5, 0.5, 7, True]
    assert hub['runtime_info']['names'].tolist() == ['nose', 'neck']


def test_checkpoint_of_the_other_numpy_loads(tmp_path):
    """numpy 1 pickles under numpy.core, numpy 2 under numpy._core; a run may change numpy."""
    here, other = (b'numpy._core.', b'numpy.core.')[:: 1 if np.__version__ >= '2' else -1]
    with (
        zipfile.ZipFile(save_mmengine_like(tmp_path / 'here.pth')) as source,
        zipfile.ZipFile(tmp_path / 'other.pth', 'w') as target,
    ):
        for entry in source.namelist():
            content = source.read(entry)
            if entry.endswith('data.pkl'):
                assert here in content
                content = content.replace(here, other)
            target.writestr(entry, content)
    hub = torch.load(tmp_path / 'other.pth', weights_only=True)['message_hub']
    assert hub['runtime_info']['scalars'] == [1.5, 0.5, 7, True]
    np.testing.assert_array_equal(hub['log_scalars']['loss'].data[0], [0.5, 0.25, 0.125])


def test_arbitrary_class_is_still_refused(tmp_path):
    torch.save({'value': Fraction(1, 2)}, tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError, match=r'fractions\.Fraction'):
        torch.load(tmp_path / 'a.pth', weights_only=True)


class Getattr:
    """Pickles as getattr(owner, name), as the methods of a HistoryBuffer do."""

    def __init__(self, owner, name):
        self.call = (getattr, (owner, name))

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('name', ['__init__', '__class__', '__reduce__', '_set_default_statistics'])
def test_getattr_in_a_checkpoint_gives_methods_of_statistics_only(tmp_path, name):
    torch.save(Getattr(HistoryBuffer, 'mean'), tmp_path / 'a.pth')
    assert torch.load(tmp_path / 'a.pth', weights_only=True) is HistoryBuffer.mean
    torch.save(Getattr(HistoryBuffer, name), tmp_path / 'b.pth')
    with pytest.raises(pickle.UnpicklingError, match=name):
        torch.load(tmp_path / 'b.pth', weights_only=True)


def test_getattr_of_another_owner_is_refused(tmp_path):
    torch.save(Getattr(np.ndarray, 'mean'), tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError, match='mean'):
        torch.load(tmp_path / 'a.pth', weights_only=True)


# -- drawing


def circle(radius, backend='opencv'):
    visualizer = OpencvBackendVisualizer(backend=backend)
    visualizer.set_image(np.zeros((24, 32, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # int(array) of numpy < 2.4
        visualizer.draw_circles(np.array([12.0, 10.0]), radius, face_colors=(255, 128, 0))
    return visualizer.get_image()


def check_circle(image):
    assert image[10, 12].tolist() == image[10, 15].tolist() == [255, 128, 0]
    assert image[13, 12].tolist() == [255, 128, 0]
    assert not image[10, 16:].any() and not image[14:].any() and not image[:7].any()


@pytest.mark.parametrize('radius', [np.array([3]), np.array([3.0]), 3], ids=repr)
def test_circle_of_one_element_radius_is_drawn(radius):
    check_circle(circle(radius))


def test_drawing_is_touched_only_under_a_numpy_that_needs_it(facts):
    own = 'mmpose.visualization.opencv_backend_visualizer'
    assert (facts['draw_circles'] == own) == (not NEW_NUMPY)
    assert (OpencvBackendVisualizer.draw_circles.__module__ == own) == (not NEW_NUMPY)


@pytest.mark.parametrize('form', ['position', 'keyword'])
def test_replaced_drawing_gives_a_number_and_is_replaced_once(monkeypatch, form):
    """What a new numpy gets, seen under any."""

    drawn = []
    monkeypatch.setattr(
        OpencvBackendVisualizer,
        'draw_circles',
        lambda self, center, radius, **kwargs: drawn.append((radius, kwargs)),
    )
    monkeypatch.setattr(np, '__version__', '2.4.0')
    assert compat.fix_drawing()
    assert not compat.fix_drawing()
    visualizer = OpencvBackendVisualizer(backend='opencv')
    radius = np.array([3.0])
    if form == 'position':
        visualizer.draw_circles(np.zeros(2), radius, face_colors='r', alpha=0.5)
    else:  # as PoseLocalVisualizer does
        visualizer.draw_circles(np.zeros(2), radius=radius, face_colors='r', alpha=0.5)
    assert drawn == [(3, dict(face_colors='r', alpha=0.5))]
    assert np.ndim(drawn[0][0]) == 0


def test_matplotlib_gets_all_its_radii(monkeypatch):
    given = []
    monkeypatch.setattr(
        'mmengine.visualization.Visualizer.draw_circles',
        lambda self, center, radius, **kwargs: given.append(radius),
    )
    visualizer = OpencvBackendVisualizer(backend='matplotlib')
    visualizer.set_image(np.zeros((24, 32, 3), np.uint8))
    visualizer.draw_circles(np.zeros((2, 2)), np.array([3.0, 5.0]), face_colors='r')
    assert given[0].tolist() == [3, 5]


def test_loading_into_the_core_takes_nothing_from_the_allow_list(tmp_path):
    model = create_model('cpm_slim_3s', num_stages=1, channels=2)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'core.pth')
    before = set(torch.serialization.get_safe_globals())
    load_checkpoint(model, tmp_path / 'core.pth')
    assert set(torch.serialization.get_safe_globals()) == before


def test_nms_of_the_stand_in_is_that_of_brute_force():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 2, 2, generator=generator).mul(40).sort(dim=1).values
    boxes = torch.cat([corners[:, 0], corners[:, 1]], dim=1).round()
    scores = torch.rand(40, generator=generator)

    def overlap(a, b, offset):
        width = max(0, float(min(a[2], b[2]) - max(a[0], b[0])) + offset)
        height = max(0, float(min(a[3], b[3]) - max(a[1], b[1])) + offset)
        area = [float((c[2] - c[0] + offset) * (c[3] - c[1] + offset)) for c in (a, b)]
        return width * height / max(sum(area) - width * height, 1e-9)

    for offset in (0, 1):
        kept = []
        for index in scores.argsort(descending=True).tolist():
            if all(overlap(boxes[index], boxes[other], offset) <= 0.3 for other in kept):
                kept.append(index)
        assert compat.nms(boxes, scores, 0.3, offset).tolist() == kept
        assert 5 < len(kept) < 35
    assert compat.nms(boxes[:0], scores[:0], 0.3, 0).shape == (0,)
