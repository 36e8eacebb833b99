"""Keypoints of one's own: what docs/tutorials/own-data.md says to do, on 30 small images."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mmpose')

from cpm_testing.data import FIVE, make_five
from mmengine.config import Config

from cpm_plugin.apps.zoo import pose2d

from mmpose.apis import inference_topdown, init_model

REPO = Path(__file__).resolve().parents[1]
CONFIGS = dict(
    re.findall(
        r'`mine/(five\w*)\.py`.*?```python\n(.*?)```',
        (REPO / 'docs/tutorials/own-data.md').read_text(),
        re.DOTALL,
    )
)


@pytest.fixture(scope='module')
def here(tmp_path_factory):
    """A folder to work in as in the clone, with data and the configs of the tutorial."""
    folder = tmp_path_factory.mktemp('own')
    make_five(folder, 30)
    (folder / 'configs').symlink_to(REPO / 'configs')
    (folder / 'mine').mkdir()
    for name, text in CONFIGS.items():
        (folder / 'mine' / f'{name}.py').write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope='module')
def trained(here, start_tool):
    """Two epochs, of 30 images in batches of 16, with the workers of the config."""
    done = start_tool('train.py', 'mine/five.py', '--cfg-options', 'train_cfg.max_epochs=2')
    assert done.returncode == 0, done.stderr[-3000:]
    (best,) = Path('work_dirs/five').glob('best_PCK_epoch_*.pth')
    return best


def test_the_configs_of_the_tutorial_are_short():
    assert {'five', 'five_tuned'} <= set(CONFIGS)
    assert max(len(text.splitlines()) for text in CONFIGS.values()) <= 15


def scalars(folder):
    newest = max(Path(folder).glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in newest.read_text().splitlines()]


def test_it_trains_by_its_schedule_and_validates(trained):
    log = scalars('work_dirs/five')
    assert [line['step'] for line in log if 'PCK' in line] == [1, 2]
    assert all(0 <= line['PCK'] <= 1 for line in log if 'PCK' in line)
    # the second iteration and the fourth of four: warm-up from 0.01 to 1, times the cosine
    warm_up, cosine = (0.34, 1), (1 + np.cos(np.pi * np.array([1, 3]) / 4)) / 2
    rates = [line['lr'] for line in log if 'lr' in line]
    np.testing.assert_allclose(rates, 5e-3 * cosine * warm_up, rtol=1e-6)
    (text,) = (path.read_text() for path in Path('work_dirs/five').glob('*/*.log'))
    assert 'left_wrist - right_wrist, left_ankle - right_ankle' in text
    assert 'the warm-up (LinearLR, lr) ends after 4 iterations, and the training after 4' in text


def test_the_schedule_follows_the_epochs(here):
    """At the end of any length the rate is 0, without a warm-up that goes on."""
    from mmengine.runner import Runner

    config = Config.fromfile('mine/five.py')
    config.train_dataloader.update(num_workers=0, persistent_workers=False)
    config.train_cfg.max_epochs = 5
    config.update(work_dir='work_dirs/schedule', log_level='ERROR', experiment_name='schedule')
    runner = Runner.from_cfg(config)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    warm_up, decay = runner.build_param_scheduler(runner.param_schedulers)
    assert (warm_up.begin, warm_up.end, warm_up.by_epoch) == (0, 2 * 2, False)
    assert (decay.begin, decay.end, decay.T_max) == (0, 5 * 2, 5 * 2)


def test_it_is_tested_and_shown_stage_by_stage(trained, run_tool, start_tool):
    done = start_tool('test.py', 'mine/five.py', trained, '--work-dir', 'work_dirs/test')
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = Path('work_dirs/test').glob('*/*.json')
    best = max(line['PCK'] for line in scalars('work_dirs/five') if 'PCK' in line)
    assert json.loads(result.read_text())['PCK'] == pytest.approx(best)

    own = ['--config', 'mine/five.py', '--checkpoint', trained]
    image = 'data/five/val/000003.jpg'
    done = run_tool('demo.py', image, '--boxes', '0,0,48,48', '--stages', '--json', *own)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'of 5 joints' in done.stdout
    assert Path('demo_output/poses/000003_stages.png').is_file()

    done = run_tool('analysis/stages.py', 'mine/five.py', trained, '--person', 1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'no PCK of the stages: PCK relative to the torso needs left_shoulder' in done.stdout
    assert 'person 1' in done.stdout and Path('stages.png').is_file()


def test_a_published_model_knows_its_keypoints(trained, run_tool):
    (result,) = Path('work_dirs/test').glob('*/*.json')
    done = run_tool(
        'publish_model.py', 'mine/five.py', trained, '--name', 'five', '--results', result,
        '--dataset', 'five', '--training-data', 'five', '--training', 'short', '--license', 'none',
        '--zoo', 'my_zoo', '--metafile', 'my_zoo/my_zoo.yml',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = pose2d('five', 'my_zoo')
    model = init_model(found['pose2d'], found['pose2d_weights'], 'cpu')
    assert model.dataset_meta['keypoint_id2name'] == dict(enumerate(FIVE))
    (person,) = inference_topdown(model, 'data/five/val/000001.jpg')
    assert person.pred_instances.keypoints.shape == (1, 5, 2)


def test_the_programs_before_and_beside_a_training(here, run_tool):
    done = run_tool('check_dataset.py', 'mine/five.py')
    assert done.returncode == 0 and 'nothing wrong' in done.stdout, done.stdout + done.stderr
    done = run_tool('mean_pose.py', 'mine/five.py')
    assert done.returncode == 2
    assert 'needs left_shoulder, right_shoulder, left_hip, right_hip' in done.stderr


def test_a_wrong_number_of_keypoints_ends_with_the_right_one(here, run_tool):
    done = run_tool(
        'train.py', 'mine/five.py', '--work-dir', 'work_dirs/wrong', '--cfg-options',
        'model.head.num_keypoints=4', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
    )  # fmt: skip
    assert done.returncode != 0
    assert 'has 5 joints, the head num_keypoints=4' in done.stderr
    assert 'head=dict(num_keypoints=5)' in done.stderr


@pytest.mark.full
def test_it_is_fine_tuned_from_the_weights_of_the_package(here, start_tool):
    done = start_tool('train.py', 'mine/five_tuned.py', '--cfg-options', 'train_cfg.max_epochs=1')
    assert done.returncode == 0, done.stderr[-3000:]
    (text,) = (path.read_text() for path in Path('work_dirs/five_tuned').glob('*/*.log'))
    assert 'CPMStageHead: the checkpoint fits in part; 76 of 84 weights' in text
    assert 'CPMBackbone' not in text.partition('fits in part')[2].partition('Load checkpoint')[0]
    assert list(Path('work_dirs/five_tuned').glob('best_PCK_epoch_1.pth'))
