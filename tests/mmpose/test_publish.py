"""From a training's checkpoint to a model by name, and its facts in metafile and table."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from cpm_plugin import create_model, list_models
from cpm_plugin.core.zoo import file_sha256, read_index
from cpm_plugin.mmpose.publish import Publication, publish
from cpm_plugin.mmpose.zoo import (
    TABLE_BEGIN,
    config_file,
    metrics_of,
    pose2d,
    read_metafile,
    render_table,
    replace_table,
    write_metafile,
)

REPO = Path(__file__).resolve().parents[2]
FOLDER = 'configs/body_2d_keypoint/topdown_heatmap/lspet'
SLIM = next((REPO / FOLDER).glob('td-hm_cpm-slim-3s_*-12e_*'))
IMAGE = (1, 3, 64, 64)


@pytest.fixture
def training(tmp_path):
    """What a training leaves: weights, an average, the optimiser, MMEngine's meta."""
    torch.manual_seed(3)
    from mmpose.apis import init_model

    last = init_model(str(SLIM), None, 'cpu').state_dict()
    average = {
        key: value * 0.5 if value.is_floating_point() else value for key, value in last.items()
    }
    checkpoint = {
        'state_dict': average,
        'ema_state_dict': {'steps': torch.tensor(1), **{f'module.{k}': v for k, v in last.items()}},
        'optimizer': {'state': {0: {'exp_avg': torch.zeros(1000, 1000)}}},
        'meta': {'epoch': 3, 'dataset_meta': {'dataset_name': 'lsp'}, 'cfg': 'work_dir = "/home"'},
    }
    torch.save(checkpoint, tmp_path / 'epoch_3.pth')
    results = {'torso/PCK': 46.3275, 'torso/PCK_ankle': 42.0, 'torso/num_joints': 9.0, 'time': 1.0}
    (tmp_path / 'results.json').write_text(json.dumps(results))
    return Publication(
        name='cpm_slim_3s',
        config=SLIM,
        checkpoint=tmp_path / 'epoch_3.pth',
        results=tmp_path / 'results.json',
        dataset='LSP Extended 8001-9000',
        training_data='LSP Extended 1-7500',
        training='seed 3',
        licence='academic use only',
    ), last


def beliefs(model):
    torch.manual_seed(5)
    with torch.no_grad():
        return model.eval()(torch.rand(IMAGE) - 0.5)[-1]


def test_publish_delete_load_by_name_gives_the_same_to_the_bit(training, tmp_path):
    what, last = training
    zoo, metafile = tmp_path / 'zoo', tmp_path / 'cpm_lspet.yml'
    path = publish(what, zoo, metafile=metafile)
    assert path.name.startswith(f'{SLIM.stem}-{file_sha256(path)[:8]}_20')
    before = beliefs(create_model('cpm_slim_3s', checkpoint=path))
    what.checkpoint.unlink()
    assert torch.equal(beliefs(create_model('cpm_slim_3s', pretrained=zoo)), before)
    assert list_models(pretrained=zoo) == ['cpm_slim_3s']

    saved = torch.load(path, weights_only=True)  # no optimiser, no path of the machine
    assert set(saved) == {'state_dict', 'meta'}
    assert 'home' not in str(saved['meta'])
    assert saved['meta']['config'] == f'{FOLDER}/{SLIM.name}'
    for key, value in last.items():
        published = saved['state_dict'][key]
        if not value.is_floating_point():
            continue
        half = value.ndim > 1
        assert published.dtype == (torch.float16 if half else torch.float32), key
        assert torch.equal(published, (value * 0.5).half() if half else value * 0.5)

    arguments = pose2d('cpm_slim_3s', zoo)
    assert arguments == dict(pose2d=str(SLIM), pose2d_weights=str(path))
    (entry,) = read_metafile(metafile)['Models']
    assert entry['Results'][0]['Metrics'] == {'PCK@0.2': 46.33, 'ankle': 42.0}
    assert entry['Metadata']['SHA256'] == file_sha256(path)
    row = metafile.with_suffix('.md').read_text().splitlines()[-2]
    for fact in ('`cpm_slim_3s`', '46.33', '42.00', 'seed 3', 'academic use only', '128x128'):
        assert f'| {fact}' in row, fact


def test_the_last_weights_in_float32(training, tmp_path):
    what, last = training
    path = publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml', half=False, averaged=False)
    saved = torch.load(path, weights_only=True)['state_dict']
    assert all(torch.equal(value, last[key]) for key, value in saved.items())
    assert len(saved) == len(last)


def test_nothing_is_overwritten(training, tmp_path):
    what, _ = training
    zoo, metafile = tmp_path / 'zoo', tmp_path / 'm.yml'
    publish(what, zoo, metafile=metafile)
    before = {path: path.read_bytes() for path in (*zoo.iterdir(), metafile)}
    with pytest.raises(ValueError, match="has a 'cpm_slim_3s'"):
        publish(what, zoo, metafile=metafile)
    with pytest.raises(ValueError, match=rf"m\.yml has a '{SLIM.stem}'"):
        publish(what, tmp_path / 'other', metafile=metafile)
    assert {path: path.read_bytes() for path in (*zoo.iterdir(), metafile)} == before
    assert not (tmp_path / 'other').exists()


@pytest.mark.parametrize(
    ('field', 'content', 'message'),
    [
        ('results', '{"time": 1}', 'no metric in it'),
        ('results', 'x', 'no results of a test'),
        ('checkpoint', 'x', 'is no PyTorch checkpoint'),
        ('config', None, 'no such file'),
    ],
)
def test_bad_input_leaves_nothing(training, tmp_path, field, content, message):
    what, _ = training
    path = tmp_path / 'bad'
    if content is not None:
        path.write_text(content)
    what = Publication(**{**what.__dict__, field: path})
    with pytest.raises(ValueError, match=message):
        publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert not (tmp_path / 'zoo').exists() and not (tmp_path / 'm.yml').exists()


def test_weights_of_another_model_leave_nothing(training, tmp_path):
    what, _ = training
    torch.save({'state_dict': {'backbone.x': torch.rand(1)}}, what.checkpoint)
    with pytest.raises(ValueError, match='does not fit CPMBackbone'):
        publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert list((tmp_path / 'zoo').iterdir()) == []


def test_a_metafile_is_entered_in_the_model_index(tmp_path):
    (tmp_path / 'model-index.yml').write_text('Import: [b.yml]')
    write_metafile(tmp_path / 'a' / 'c.yml', {'Models': []})
    assert yaml.safe_load((tmp_path / 'model-index.yml').read_text()) == {
        'Import': ['a/c.yml', 'b.yml']
    }


def test_the_table_is_replaced_and_what_is_around_it_kept():
    text = replace_table('# Title\n\nWords.\n', 'one')
    assert text.endswith(f'Words.\n\n{TABLE_BEGIN}\none\n<!-- end -->\n')
    assert replace_table(text + 'more\n', 'two') == text.replace('one', 'two') + 'more\n'


def test_metrics_of_other_evaluators():
    assert metrics_of({'coco/AP': 0.627, 'coco/AP .5': 1, 'data_time': 3}) == {
        'AP': 0.63,
        'AP .5': 1.0,
    }


def test_a_config_that_is_not_there():
    with pytest.raises(ValueError, match=r'no config configs/no\.py; looked at .*\.mim'):
        config_file('configs/no.py')


# The project's own zoo: metafiles, tables and the package's index agree.

METAFILES = [
    REPO / name for name in yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
]


def test_every_metafile_is_in_the_model_index():
    assert sorted(METAFILES) == sorted((REPO / 'configs').rglob('*.yml'))


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.stem)
def test_tables_have_the_facts_of_the_metafile(path):
    models = read_metafile(path)['Models']
    text = path.with_suffix('.md').read_text()
    assert replace_table(text, render_table(models)) == text
    assert models and all((REPO / model['Config']).is_file() for model in models)
    assert [model['Name'] for model in models] == [Path(m['Config']).stem for m in models]


def test_metafiles_have_the_facts_of_the_index():
    models = {m['Alias']: m for path in METAFILES for m in read_metafile(path)['Models']}
    index = read_index()
    assert set(models) == set(index)
    for name, entry in index.items():
        model, about = models[name], models[name]['Metadata']
        assert (model['Config'], model['Weights']) == (entry.config, entry.url or entry.file)
        assert (about['SHA256'], about['Licence']) == (entry.sha256, entry.licence)
        assert about['Parameters'] == sum(p.numel() for p in create_model(name).parameters())
