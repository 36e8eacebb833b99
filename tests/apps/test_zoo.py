"""Published models by name: what is not there, and the figures of those in the package."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from cpm_plugin import list_models
from cpm_plugin.apps.results import metrics_of
from cpm_plugin.apps.zoo import config_file, in_project, pose2d
from cpm_plugin.core.weights.zoo import read_index


def test_a_config_that_is_not_there():
    with pytest.raises(ValueError, match=r'no config configs/no\.py; looked at .*\.mim'):
        config_file('configs/no.py')


def test_a_config_of_the_project_is_named_from_its_root(repo, tmp_path):
    name = read_index()['cpm_slim_3s'].config
    assert in_project(repo / name) == name and in_project(config_file(name)) == name
    assert in_project(tmp_path / 'configs' / 'own.py') == ''


@pytest.mark.full
@pytest.mark.parametrize('name', list_models(pretrained=True))
def test_the_stock_test_script_reproduces_the_row(name, repo, shared_data, tmp_path):
    """The packaged weights give the figures that their metafile says."""
    found = pose2d(name)
    loader, data = 'test_dataloader', shared_data / ('coco_small' if 'coco' in name else 'lspet')
    annotations = data / 'annotations' / 'person_keypoints_val2017.json'
    done = subprocess.run(
        [
            sys.executable, '-W', 'ignore', str(repo / 'tools' / 'test.py'), found['pose2d'],
            found['pose2d_weights'], '--work-dir', str(tmp_path), '--cfg-options',
            f'{loader}.dataset.data_root={data}/',
            f'{loader}.num_workers=0', f'{loader}.persistent_workers=False',
            *([f'test_evaluator.ann_file={annotations}'] if 'coco' in name else []),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(repo), *sys.path])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(next(tmp_path.glob('*/*.json')).read_text())
    metafile = next((repo / read_index()[name].config).parent.glob('cpm_*.yml'))
    models = yaml.safe_load(metafile.read_text())['Models']
    (expected,) = (m['Results'][0]['Metrics'] for m in models if m['Alias'] == name)
    # other threads and processors round differently: a joint or two, of 1,400 in a group
    close = 0.005 if 'AP' in expected else 0.15  # AP is from 0 to 1, and PCK in percent
    assert metrics_of(results) == pytest.approx(dict(expected), abs=close)
