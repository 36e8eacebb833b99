"""The programs over a trained model agree with each other and refuse what they cannot use."""

import importlib.util
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


def refusal(monkeypatch, capsys, tool, *arguments):
    """Exit code and error of a program, in this process, which is quicker."""
    spec = importlib.util.spec_from_file_location('tool', REPO / 'tools' / tool)
    program = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    spec.loader.exec_module(program)
    try:
        code = program.main()
    except SystemExit as error:
        code = error.code
    return code, capsys.readouterr().err


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A few figures, the demo's config on them, and a checkpoint of random weights."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import cpm_plugin.mmpose  # noqa: F401

    from mmpose.registry import MODELS

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
    config.test_evaluator.thr = 0.35
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
    image = folder / 'a' / f'{name}.png'
    trained = (folder / f'{name}.py', folder / f'{name}.pth')
    shown = run('show_stages.py', *trained, '--out', image)
    assert shown.returncode == 0, shown.stderr[-2000:]
    row = re.compile(r'^\| (stage \d) \|.*?([\d.]+) \| [\d.]+ \| 6 \(0\) \| 84 \|$', re.M)
    rows = row.findall(shown.stdout)
    assert [name for name, _ in rows] == ['stage 1', 'stage 2', 'stage 3']
    assert image.read_bytes().startswith(b'\x89PNG')
    assert ('PCK@0.35' if name == 'authors' else 'PCK@0.2') in shown.stdout
    tested = run('test.py', *trained, '--work-dir', folder / f'test_{name}')
    assert tested.returncode == 0, tested.stderr[-2000:]
    figures = json.loads(next((folder / f'test_{name}').glob('*/*.json')).read_text())
    assert float(rows[-1][1]) == pytest.approx(figures['torso/PCK'], abs=0.005)
    fast = ['--cfg-options', 'default_hooks.fast.type=FastInferenceHook']
    tested = run('test.py', *trained, '--work-dir', folder / f'fast_{name}', *fast)
    assert tested.returncode == 0, tested.stderr[-2000:]
    assert 'the model is optimized for inference' in tested.stdout + tested.stderr
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


@pytest.mark.parametrize('name', ['config', 'authors'])
def test_demo_draws_writes_and_goes_on_after_a_broken_image(folder, name):
    import cv2

    images, out = folder / f'images_{name}', folder / f'poses_{name}'
    images.mkdir()
    source = next((folder / 'figures').rglob('*.jpg'), None) or next(
        (folder / 'figures').rglob('*.png')
    )
    image = cv2.imread(str(source))
    cv2.imwrite(str(images / 'a.png'), image)
    cv2.imwrite(str(images / 'c.png'), image)
    (images / 'b.png').write_bytes(b'no image')
    (images / 'boxes.json').write_text('{"c.png": [[0, 0, 50, 90], [40, 10, 90, 90]]}')
    done = run(
        'demo.py', images, '--config', folder / f'{name}.py', '--weights', folder / f'{name}.pth',
        '--boxes', images / 'boxes.json', '--stages', '--json', '--threshold', -1,
        '--out-dir', out,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-2000:]
    assert 'b.png cannot be read as an image' in done.stderr
    assert {path.name for path in out.iterdir()} == {
        'a.png', 'a_stages.png', 'a.json', 'c.png', 'c_stages_1.png', 'c_stages_2.png', 'c.json',
    }  # fmt: skip
    assert (cv2.imread(str(out / 'a.png')) != image).any()
    assert [len(json.loads((out / f'{kind}.json').read_text())) for kind in 'ac'] == [1, 2]


def test_demo_refuses_before_it_writes(folder, monkeypatch, capsys):
    for arguments, message in (
        (['none.png'], 'none.png: no such file'),
        ([folder / 'figures', '--config', folder / 'config.py'], 'go together'),
        ([REPO / 'docs' / 'stages.png', '--model', 'cpm_7s'], "no trained weights of 'cpm_7s'"),
        ([REPO / 'docs' / 'stages.png', '--boxes', '1,2,3'], 'a box is x1,y1,x2,y2'),
        ([REPO / 'docs' / 'stages.png', '--boxes', ' -1,2,3'], 'a box is x1,y1,x2,y2'),
        ([REPO / 'docs' / 'stages.png', '--out-dir', folder / 'config.py'], 'File exists'),
    ):
        code, error = refusal(
            monkeypatch, capsys, 'demo.py', '--out-dir', folder / 'refused', *arguments
        )
        assert code == 2 and message in error, error
    assert not (folder / 'refused').exists()


def test_published_and_compared(folder, monkeypatch, capsys):
    from mmengine.config import Config

    tested = run(
        'test.py', folder / 'config.py', folder / 'config.pth', '--work-dir', folder / 'publish'
    )
    assert tested.returncode == 0, tested.stderr[-2000:]
    (results,) = (folder / 'publish').glob('*/*.json')
    publish = [
        'publish_model.py', folder / 'config.py', folder / 'config.pth', '--name', 'figures',
        '--results', results, '--dataset', 'figures', '--training-data', 'none',
        '--training', 'none', '--license', 'any', '--zoo', folder / 'zoo', '--float32',
    ]  # fmt: skip
    done = run(*publish)
    assert done.returncode == 0, done.stderr[-2000:]
    path = Path(done.stdout.splitlines()[-1])
    code, error = refusal(monkeypatch, capsys, *publish)
    assert code == 2 and "has a 'figures'" in error

    compared = run(
        'compare.py', '--runs', 1, '--batch-size', 1, '--out-dir', folder / 'compared',
        '--cfg-options', 'randomness.seed=0', '--',
        f'one={folder}/config.py:{folder}/config.pth', f'two={folder}/config.py:{path}',
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr[-2000:]
    one, two = (
        line.split(',') for line in (folder / 'compared/compare.csv').read_text().splitlines()[1:]
    )
    figures = json.loads(results.read_text())
    assert float(one[1]) == round(figures['torso/PCK'], 2)
    assert one[1:12] == two[1:12]  # accuracy, parameters, multiply-adds
    assert (folder / 'compared' / 'compare.png').read_bytes().startswith(b'\x89PNG')

    for model, message in (
        ('cpm_6s', 'LABEL=NAME'),
        ('a=cpm_6s', "no trained weights of 'cpm_6s'"),
        (f'a={folder}/config.py:no.pth', 'no.pth: no such file'),
    ):
        code, error = refusal(monkeypatch, capsys, 'compare.py', model)
        assert code == 2 and message in error, error
    # stock's parts, too, which MMEngine would test with random weights
    stock = Config.fromfile(folder / 'config.py')
    stock.model.backbone = dict(type='ResNet', depth=18)
    decoder = stock.model.head.decoder
    stock.model.head = dict(
        type='HeatmapHead', in_channels=512, out_channels=14, decoder=decoder,
        loss=dict(type='KeypointMSELoss'),
    )  # fmt: skip
    stock.dump(folder / 'stock.py')
    code, error = refusal(
        monkeypatch, capsys, 'compare.py', f'a={folder}/stock.py:{folder}/config.pth',
        '--one', folder / 'one.json', '--out-dir', folder / 'compared',
    )  # fmt: skip
    assert code == 1 and f'config.pth does not fit {folder}/stock.py: ' in error, error
    # a metric that there is not is refused after the first model, whose figures are kept
    out = folder / 'no_metric'
    wrong = run(
        'compare.py', f'one={folder}/config.py:{folder}/config.pth',
        f'two={folder}/config.py:{path}', '--runs', 1, '--batch-size', 1, '--metric', 'AP',
        '--out-dir', out,
    )  # fmt: skip
    assert wrong.returncode == 1 and "one has no 'AP'" in wrong.stderr
    assert [line[:4] for line in (out / 'compare.csv').read_text().splitlines()] == ['mode', 'one,']
    # what was measured before the failure is kept
    out = folder / 'half'
    wrong = run(
        'compare.py', f'one={folder}/config.py:{folder}/config.pth',
        f'two={folder}/authors.py:{folder}/config.pth', '--runs', 1, '--batch-size', 1,
        '--out-dir', out,
    )  # fmt: skip
    assert wrong.returncode == 1
    assert 'two could not be tested: the checkpoint does not fit' in wrong.stderr
    assert [line[:4] for line in (out / 'compare.csv').read_text().splitlines()] == ['mode', 'one,']
