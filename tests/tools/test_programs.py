"""The programs over a trained model agree with each other and refuse what they cannot use."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('mmpose')

REPO = Path(__file__).resolve().parents[2]
(FIGURES,) = REPO.glob('configs/body_2d_keypoint/topdown_heatmap/figures/*.py')

pytestmark = pytest.mark.slow


def run(tool, *arguments):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', str(REPO / 'tools' / tool), *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A few figures, the demo's config on them, and a checkpoint of random weights."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    import cpm_plugin.mmpose  # noqa: F401

    folder = tmp_path_factory.mktemp('programs')
    made = run('make_figures.py', folder / 'figures', '--train', 4, '--val', 6, '--size', 96)
    assert made.returncode == 0, made.stderr
    config = Config.fromfile(FIGURES)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = f'{folder}/figures/'
    config.dump(folder / 'config.py')
    # the same network with the authors' joints, crop and center map
    config.model.data_preprocessor.type = 'CPMDataPreprocessor'
    config.model.backbone.center_map_sigma = 5.0
    config.model.head.update(center_map=True, joints='cpm', output_joints='lsp')
    config.test_dataloader.dataset.pipeline[1:3] = [
        dict(type='GetPersonCenterScale'),
        dict(type='PersonCrop', input_size=(96, 96), center_map_sigma=5.0),
    ]
    config.dump(folder / 'authors.py')
    init_default_scope('mmpose')
    for name in ('config', 'authors'):
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(folder / f'{name}.py').model)
        torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / f'{name}.pth')
    return folder


def last_row(output):
    return [cell.strip() for cell in output.strip().splitlines()[-1].strip('|').split('|')]


@pytest.mark.parametrize('name', ['config', 'authors'])
def test_last_stage_is_what_the_stock_test_script_prints(folder, name):
    picture = folder / 'a' / f'{name}.png'
    trained = (folder / f'{name}.py', folder / f'{name}.pth')
    shown = run('show_stages.py', *trained, '--out', picture)
    assert shown.returncode == 0, shown.stderr[-2000:]
    row = re.compile(r'^\| (stage \d) \|.*?([\d.]+) \| [\d.]+ \| 6 \(0\) \| 84 \|$', re.M)
    rows = row.findall(shown.stdout)
    assert [name for name, _ in rows] == ['stage 1', 'stage 2', 'stage 3']
    assert picture.read_bytes().startswith(b'\x89PNG')
    tested = run('test.py', *trained, '--work-dir', folder / f'test_{name}')
    assert tested.returncode == 0, tested.stderr[-2000:]
    figures = json.loads(next((folder / f'test_{name}').glob('*/*.json')).read_text())
    assert float(rows[-1][1]) == pytest.approx(figures['torso/PCK'], abs=0.005)
    fast = ['--cfg-options', 'default_hooks.fast.type=FastInferenceHook']
    tested = run('test.py', *trained, '--work-dir', folder / f'fast_{name}', *fast)
    assert tested.returncode == 0, tested.stderr[-2000:]
    assert 'the model is optimised for inference' in tested.stdout + tested.stderr
    fast_figures = json.loads(next((folder / f'fast_{name}').glob('*/*.json')).read_text())
    assert fast_figures['torso/PCK'] == pytest.approx(figures['torso/PCK'], abs=0.005)


def test_mean_pose_prints_its_pck(folder):
    done = run('mean_pose.py', folder / 'config.py')
    assert done.returncode == 0, done.stderr[-2000:]
    row = last_row(done.stdout)
    assert row[0] == 'mean pose' and row[-1] == '84'
    assert 0 <= float(row[-4]) < 50


@pytest.mark.parametrize('tool', ['show_stages.py', 'mean_pose.py'])
def test_missing_file_is_named(tool, folder):
    arguments = [folder / 'no.py'] + [folder / 'config.pth'] * (tool == 'show_stages.py')
    done = run(tool, *arguments)
    assert done.returncode == 2 and f'{folder / "no.py"}: no such file' in done.stderr


def test_person_out_of_range_is_named_and_nothing_is_drawn(folder):
    done = run(
        'show_stages.py', folder / 'config.py', folder / 'config.pth', '--person', 6,
        '--out', folder / 'none.png',
    )  # fmt: skip
    assert done.returncode == 2 and '0 to 5' in done.stderr
    assert not (folder / 'none.png').exists()
