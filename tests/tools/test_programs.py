"""The programs over a trained model agree with each other and refuse what they cannot use."""

import csv
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('mmengine')

pytestmark = pytest.mark.slow


def last_row(output):
    return [cell.strip() for cell in output.strip().splitlines()[-1].strip('|').split('|')]


@pytest.mark.parametrize('name', ['config', 'authors'])
def test_last_stage_is_what_the_stock_test_script_prints(folder, name, run_tool):
    image = folder / 'a' / f'{name}.png'
    trained = (folder / f'{name}.py', folder / f'{name}.pth')
    shown = run_tool('analysis/stages.py', *trained, '--out', image)
    assert shown.returncode == 0, shown.stderr[-2000:]
    row = re.compile(r'^\| (stage \d) \|.*?([\d.]+) \| [\d.]+ \| 6 \(0\) \| 84 \|$', re.M)
    rows = row.findall(shown.stdout)
    assert [name for name, _ in rows] == ['stage 1', 'stage 2', 'stage 3']
    assert image.read_bytes().startswith(b'\x89PNG')
    assert ('PCK@0.35' if name == 'authors' else 'PCK@0.2') in shown.stdout
    assert shown.stdout.count('\n| wrong, right |') == shown.stdout.count('\n| stage 3 |') - 1 == 1
    tested = run_tool('test.py', *trained, '--work-dir', folder / f'test_{name}')
    assert tested.returncode == 0, tested.stderr[-2000:]
    figures = json.loads(next((folder / f'test_{name}').glob('*/*.json')).read_text())
    assert float(rows[-1][1]) == pytest.approx(figures['torso/PCK'], abs=0.005)
    fast = ['--cfg-options', 'default_hooks.fast.type=FastInferenceHook']
    tested = run_tool('test.py', *trained, '--work-dir', folder / f'fast_{name}', *fast)
    assert tested.returncode == 0, tested.stderr[-2000:]
    assert 'the model is optimized for inference' in tested.stdout + tested.stderr
    fast_figures = json.loads(next((folder / f'fast_{name}').glob('*/*.json')).read_text())
    assert fast_figures['torso/PCK'] == pytest.approx(figures['torso/PCK'], abs=0.005)


def test_examples_of_what_the_stages_repair_and_break_are_drawn(folder, run_tool):
    out = folder / 'examples' / 's.png'
    trained = (folder / 'config.py', folder / 'config.pth')
    done = run_tool('analysis/stages.py', *trained, '--out', out, '--examples', 2, '--near', 3)
    assert done.returncode == 0, done.stderr[-2000:]
    people = dict(re.findall(r'^Most \w+ (\w+): people (.+)$', done.stdout, re.M))
    expected = {
        f's_{kind}_{number}_person_{person}.png'
        for kind in ('repaired', 'broken', 'separated')
        for number, person in enumerate(re.findall(r'\d+', people[kind]), start=1)
    }
    assert expected and len(expected) <= 6
    assert {path.name for path in out.parent.iterdir()} == {'s.png', *expected}
    assert '| both within 3 |' in done.stdout


def test_mean_pose_prints_its_pck(folder, run_tool):
    done = run_tool('mean_pose.py', folder / 'config.py')
    assert done.returncode == 0, done.stderr[-2000:]
    row = last_row(done.stdout)
    assert row[0] == 'mean pose' and row[-1] == '84'
    assert 0 <= float(row[-4]) < 50


def test_person_out_of_range_is_named_and_nothing_is_drawn(folder, run_tool):
    done = run_tool(
        'analysis/stages.py', folder / 'config.py', folder / 'config.pth', '--person', 6,
        '--out', folder / 'none.png',
    )  # fmt: skip
    assert done.returncode == 2 and '0 to 5' in done.stderr
    assert not (folder / 'none.png').exists()


@pytest.mark.parametrize('name', ['config', 'authors'])
def test_demo_draws_writes_and_goes_on_after_a_broken_image(folder, name, run_tool):
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
    cv2.imwrite(str(images / 'd.png'), image)
    boxes = {'a.png': [[5, 5, 90, 90]], 'c.png': [[0, 0, 50, 90], [40, 10, 90, 90]]}
    (images / 'boxes.json').write_text(json.dumps(boxes))
    done = run_tool(
        'demo.py', images, images / 'a.png', '--config', folder / f'{name}.py',
        '--checkpoint', folder / f'{name}.pth', '--boxes', images / 'boxes.json',
        '--stages', '--json', '--threshold', 0, '--out-dir', out,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-2000:]
    assert 'b.png cannot be read as an image' in done.stderr
    assert 'no box for d.png' in done.stderr  # and nobody is looked for, as without --boxes
    assert {path.name for path in out.iterdir()} == {
        'a.png', 'a_stages.png', 'a.json', 'c.png', 'c_stages_1.png', 'c_stages_2.png', 'c.json',
    }  # fmt: skip
    drawn = cv2.imread(str(out / 'a.png'))
    assert len(drawn) > 96 and (drawn[:96] != image).any()  # the legend is below
    found = [json.loads((out / f'{kind}.json').read_text())['people'] for kind in 'ac']
    assert [len(people) for people in found] == [1, 2]


def test_demo_refuses_before_it_writes(folder, run_tool):
    image = folder / 'figures' / 'val' / '000001.jpg'
    for arguments, message in (
        (['none.png'], 'none.png: no such file'),
        ([folder / 'figures', '--config', folder / 'config.py'], 'go together'),
        ([image, '--model', 'cpm_7s'], "no trained weights of 'cpm_7s'"),
        ([image, 'none.png'], 'none.png: no such file'),
        ([image, '--boxes', '1,2,3'], 'a box is four numbers, x1, y1, x2, y2'),
        ([image, '--boxes', ' -1,2,3'], 'a box is four numbers, x1, y1, x2, y2'),
        ([image, '--out-dir', folder / 'config.py'], 'is a file; give another folder'),
        ([image, '--bottom-up-model', 'cpm_slim_3s'], "'cpm_slim_3s' is for one person"),
        (
            [image, '--bottom-up-model', 'openpose_coco', '--bottom-up', '--boxes', '1,2,3,4'],
            '--bottom-up finds the people, as --det and --boxes do',
        ),
        (
            [image, '--bottom-up-model', 'openpose_coco', '--boxes', '1,2,3,4'],
            '--bottom-up-model finds the people',
        ),
        ([image, '--bottom-up-weights', image], '000001.jpg'),
    ):
        done = run_tool('demo.py', '--out-dir', folder / 'refused', *arguments)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not (folder / 'refused').exists()


@pytest.fixture(scope='module')
def results(folder, run_tool):
    """What the stock test script writes of the model."""
    done = run_tool(
        'test.py', folder / 'config.py', folder / 'config.pth', '--work-dir', folder / 'publish'
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = (folder / 'publish').glob('*/*.json')
    return results


@pytest.fixture(scope='module')
def publish(folder, results):
    return [
        'publish_model.py', folder / 'config.py', folder / 'config.pth', '--name', 'figures',
        '--results', results, '--dataset', 'figures', '--training-data', 'none',
        '--training', 'none', '--license', 'any', '--zoo', folder / 'zoo', '--float32',
    ]  # fmt: skip


@pytest.fixture(scope='module')
def published(publish, run_tool):
    done = run_tool(*publish)
    assert done.returncode == 0, done.stderr[-2000:]
    return Path(done.stdout.splitlines()[-1])


def test_the_model_index_that_changes_is_printed(folder, publish, run_tool):
    index, metafile = folder / 'model-index.yml', folder / 'indexed' / 'm.yml'
    metafile.parent.mkdir()
    index.write_text('Import: []\n')
    try:
        done = run_tool(*publish[:-2], folder / 'indexed', '--metafile', metafile)
        assert done.stdout.splitlines()[-2] == f'{index} lists {metafile}', done.stderr[-2000:]
        assert index.read_text() == 'Import:\n- indexed/m.yml\n'
    finally:
        index.unlink()


@pytest.mark.usefixtures('published')
def test_a_published_name_is_taken(publish, run_tool):
    done = run_tool(*publish)
    assert done.returncode == 2 and "has a 'figures'" in done.stderr


QUICK = ['--runs', 1, '--batch-size', 1]


def compared_rows(folder):
    return [line.split(',') for line in (folder / 'compare.csv').read_text().splitlines()]


@pytest.fixture
def compare(load_tool, run_tool, monkeypatch):
    """The comparison, whose processes of their own are this one, which is quicker.

    Its ``commands`` are those; what matches one of its ``apart`` is run as the tool does.
    """
    commands, apart = [], []

    def run(command, **options):
        assert Path(command[1]).name == 'compare.py'
        commands.append(command)
        if any(word in part for word in apart for part in command):
            return subprocess.run(command, **options)
        return run_tool('compare.py', *command[2:])

    monkeypatch.setattr(load_tool('compare.py'), 'subprocess', SimpleNamespace(run=run))
    call = partial(run_tool, 'compare.py', *QUICK)
    call.commands, call.apart = commands, apart
    return call


def test_published_and_compared(folder, results, published, compare):
    """Each model in a process of its own: for one of them that is done, too."""
    compare.apart.append('one=')
    done = compare(
        '--out-dir', folder / 'compared', '--cfg-options', 'randomness.seed=0', '--',
        f'one={folder}/config.py:{folder}/config.pth', f'two={folder}/config.py:{published}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(compare.commands) == 2
    one, two = compared_rows(folder / 'compared')[1:]
    figures = json.loads(results.read_text())
    assert float(one[1]) == round(figures['torso/PCK'], 2)
    assert one[1:12] == two[1:12]  # accuracy, parameters, multiply-adds
    assert (folder / 'compared' / 'compare.png').read_bytes().startswith(b'\x89PNG')


def test_models_that_cannot_be_compared_are_named(folder, run_tool):
    for model, message in (
        ('cpm_6s', 'LABEL=NAME'),
        ('a=cpm_6s', "no trained weights of 'cpm_6s'"),
        (f'a={folder}/config.py:no.pth', 'no.pth: no such file'),
    ):
        done = run_tool('compare.py', model)
        assert done.returncode == 2 and message in done.stderr, done.stderr


def test_weights_that_do_not_fit_stocks_parts_are_not_compared(folder, run_tool):
    """MMEngine would test them with random weights."""
    from mmengine.config import Config

    stock = Config.fromfile(folder / 'config.py')
    stock.model.backbone = dict(type='ResNet', depth=18)
    decoder = stock.model.head.decoder
    stock.model.head = dict(
        type='HeatmapHead', in_channels=512, out_channels=14, decoder=decoder,
        loss=dict(type='KeypointMSELoss'),
    )  # fmt: skip
    stock.dump(folder / 'stock.py')
    done = run_tool(
        'compare.py', f'a={folder}/stock.py:{folder}/config.pth',
        '--one', folder / 'one.json', '--out-dir', folder / 'stock',
    )  # fmt: skip
    assert done.returncode == 1
    assert f'config.pth does not fit {folder}/stock.py: ' in done.stderr, done.stderr


def test_what_was_measured_before_a_metric_that_there_is_not_is_kept(folder, published, compare):
    wrong = compare(
        '--metric', 'AP', '--out-dir', folder / 'no_metric', '--cfg-options',
        'experiment_name=no_metric', '--', f'one={folder}/config.py:{folder}/config.pth',
        f'two={folder}/config.py:{published}',
    )  # fmt: skip
    assert wrong.returncode == 1 and "one has no 'AP'" in wrong.stderr
    assert [row[0] for row in compared_rows(folder / 'no_metric')] == ['model', 'one']


def test_what_was_measured_before_a_failure_is_kept(folder, compare):
    lost = folder / 'lost.py'
    lost.write_text(
        "_base_ = 'config.py'\n"
        "test_dataloader = dict(dataset=dict(data_prefix=dict(img='nowhere/')))\n"
    )
    wrong = compare(
        '--out-dir', folder / 'half', '--cfg-options', 'experiment_name=half', '--',
        f'one={folder}/config.py:{folder}/config.pth', f'two={lost}:{folder}/config.pth',
    )  # fmt: skip
    assert wrong.returncode == 1
    assert "two, with data_prefix={'img': 'nowhere/'}. Do not compare" in wrong.stderr
    assert 'two could not be tested' in wrong.stderr and 'nowhere' in wrong.stderr
    assert [row[0] for row in compared_rows(folder / 'half')] == ['model', 'one']


def test_data_that_is_missing_is_found_before_anything_is_measured(folder, compare):
    lost = folder / 'no_data.py'
    lost.write_text(
        "_base_ = 'config.py'\ntest_dataloader = dict(dataset=dict(data_root='nowhere'))\n"
    )
    wrong = compare(
        '--out-dir', folder / 'no_data', '--cfg-options', 'experiment_name=no_data', '--',
        f'one={folder}/config.py:{folder}/config.pth', f'two={lost}:{folder}/config.pth',
    )  # fmt: skip
    assert wrong.returncode == 1
    assert f'error: two: {lost}: ' in wrong.stderr and 'nowhere' in wrong.stderr, wrong.stderr
    assert compare.commands == [] and not (folder / 'no_data').exists()


def test_weights_that_do_not_fit_are_refused_before_any_test(folder, compare):
    wrong = compare(
        '--out-dir', folder / 'misfit', '--cfg-options', 'experiment_name=misfit', '--',
        f'one={folder}/config.py:{folder}/config.pth',
        f'two={folder}/authors.py:{folder}/config.pth',
    )  # fmt: skip
    assert wrong.returncode == 1 and 'the checkpoint does not fit' in wrong.stderr
    assert f'error: two, {folder}/config.pth: {folder}/authors.py: the' in wrong.stderr
    assert compare.commands == []


def test_a_path_may_have_a_colon(folder, load_tool):
    (folder / 'a:b.pth').write_bytes(b'')
    config = f'{folder}/config.py'
    assert load_tool('compare.py').split(f'x={config}:{folder}/a:b.pth') == (
        'x', (config, f'{folder}/a:b.pth'),
    )  # fmt: skip


def test_a_fitted_structure_is_used_in_a_test(folder, run_tool):
    options = ['--cfg-options', 'model.test_cfg.stage=1']
    out, figures = folder / 'graph.json', {}
    done = run_tool('fit_structure.py', folder / 'config.py', out, '--kind', 'non-tree')
    assert done.returncode == 0, done.stderr[-2000:]
    assert '14 joints, 0 larger parts, 17 springs, 4 repulsions, fitted to 4 people' in done.stdout
    decoder = {'type': 'StructuredHeatmap', 'structure': out, 'weight': 1.0}
    more = [f'model.head.decoder.{key}={value}' for key, value in decoder.items()]
    for name, arguments in {'plain': options, 'structured': [*options, *more]}.items():
        work = folder / f'stage1_{name}'
        tested = run_tool(
            'test.py', folder / 'config.py', folder / 'config.pth', '--work-dir', work, *arguments
        )
        assert tested.returncode == 0, tested.stderr[-2000:]
        figures[name] = json.loads(next(work.glob('*/*.json')).read_text())['torso/PCK']
    assert figures['plain'] != figures['structured']
    done = run_tool(
        'analysis/stages.py', folder / 'config.py', folder / 'config.pth', '--out',
        folder / 'structured.png', *options, *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = dict(re.findall(r'^\| (stage [^|]+) \|.*?([\d.]+) \| [\d.]+ \| 6', done.stdout, re.M))
    assert list(rows) == ['stage 1', 'stage 2', 'stage 3', 'stage 1, structured']
    assert float(rows['stage 1']) == pytest.approx(figures['plain'], abs=0.005)
    assert float(rows['stage 1, structured']) == pytest.approx(figures['structured'], abs=0.005)


def test_forests_are_trained_and_scored_by_the_config(folder, run_tool):
    pytest.importorskip('sklearn', reason='needs the extra [forest]')
    words = [
        folder / 'config.py', folder / 'forests.csv',
        '--settings', 'trees=3', 'folds=2', 'stages=2', '--thresholds', 0.2, 5, '--rounds', 2,
    ]  # fmt: skip
    done = run_tool('forest_pose_machine.py', *words)
    assert done.returncode == 0, done.stderr[-2000:]
    header, *rows = csv.reader((folder / 'forests.csv').open())
    assert header == [
        'stages', 'PCK@0.2', 'PCK@5', 'AUC', 'ms per person', 'people', 'keypoints',
    ]  # fmt: skip
    assert [row[0] for row in rows] == ['1', '2'] and [row[5] for row in rows] == ['6', '6']
    for _, near, far, auc, milliseconds, *_ in rows:
        assert 0 <= float(auc) <= float(near) < float(far) == 100 and float(milliseconds) > 0
    assert f'| {" | ".join(rows[1])} |' in done.stdout and '8 crops and' in done.stdout
    kept = [row[1:4] for row in rows]
    assert run_tool('forest_pose_machine.py', *words).returncode == 0
    assert [row[1:4] for row in csv.reader((folder / 'forests.csv').open())][1:] == kept


def test_forests_that_cannot_be_trained_are_refused_by_name(folder, run_tool, monkeypatch):
    words = ['forest_pose_machine.py', folder / 'config.py', folder / 'no.csv']
    pytest.importorskip('sklearn', reason='needs the extra [forest]')
    for more, message in (
        (['--settings', 'stages=0'], 'stages 0: must be at least 1'),
        (['--settings', 'tree=9'], "no setting 'tree'; there are: stages, folds, trees"),
        (['--cfg-options', 'model.head.decoder.heatmap_size=(24,24)'], 'config.py: model.head.dec'),
        (['--cfg-options', 'test_evaluator.type=AUC'], 'config.py: no TorsoPCKAccuracy'),
    ):
        done = run_tool(*words, *more)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    done = run_tool(*words, '--settings', 'folds=9')
    assert done.returncode == 1 and 'error: 4 images for 9 folds' in done.stderr, done.stderr
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    monkeypatch.delitem(sys.modules, 'sklearn.ensemble')
    done = run_tool(*words)
    assert done.returncode == 2 and 'pip install scikit-learn' in done.stderr, done.stderr
    assert not (folder / 'no.csv').exists()
