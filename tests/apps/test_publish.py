"""From a training's checkpoint to a model by name, and its facts in metafile and table."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from mmengine.config import Config

from cpm_plugin import create_model, list_models
from cpm_plugin.apps import publish as module
from cpm_plugin.apps.metafile import (
    TABLE_END,
    read_metafile,
)
from cpm_plugin.apps.outputs import write_text
from cpm_plugin.apps.publish import Publication, _agree, publish
from cpm_plugin.apps.zoo import pose2d
from cpm_plugin.core.weights.zoo import file_sha256, read_index

REPO = Path(__file__).resolve().parents[2]
FOLDER = 'configs/body_2d_keypoint/topdown_heatmap/lspet'
SLIM = next((REPO / FOLDER).glob('td-hm_cpm-slim-3s_*-12e_*'))
IMAGE = (1, 3, 64, 64)


@pytest.fixture
def training(tmp_path):
    """What a training leaves: weights, an average, the optimizer, MMEngine's meta."""
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
    results = {
        'torso/PCK': 46.3275,
        'torso/PCK_ankle': 42.0,
        'torso/num_joints': 9.0,
        'torso/thr': 0.2,
    }
    (tmp_path / 'results.json').write_text(json.dumps(results))
    return Publication(
        name='cpm_slim_3s',
        config=SLIM,
        checkpoint=tmp_path / 'epoch_3.pth',
        results=tmp_path / 'results.json',
        dataset='LSP Extended 8001-9000',
        training_data='LSP Extended 1-7500',
        training='seed 3',
        license='academic use only',
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

    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()  # as any PyTorch loads, without an allow-list
    try:
        saved = torch.load(path, weights_only=True)
    finally:
        torch.serialization.add_safe_globals(allowed)
    # no optimizer, no path of this computer
    assert set(saved) == {'state_dict', 'meta'}
    assert saved['meta'] == {'config': f'{FOLDER}/{SLIM.name}', 'license': what.license}
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
    *_, row, _, item, _ = metafile.with_suffix('.md').read_text().splitlines()
    assert row == f'| [`cpm_slim_3s`]({SLIM.name}) | 128x128 | 0.55 M | 46.33 | 42.0 |'
    assert item.startswith('- `cpm_slim_3s`, trained on ')
    for fact in (': seed 3. Tested on ', 'License: academic use only.', f'File: `{path.name}`, '):
        assert fact in item, fact


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
    files = [*zoo.iterdir(), metafile, metafile.with_suffix('.md')]
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(ValueError, match="has a 'cpm_slim_3s'"):
        publish(what, zoo, metafile=metafile)
    again = Publication(**{**what.__dict__, 'name': 'again'})
    with pytest.raises(ValueError, match=r'\.pth exists; take it away first'):
        publish(again, zoo, metafile=tmp_path / 'another.yml')
    assert not (tmp_path / 'another.yml').exists()
    with pytest.raises(ValueError, match=rf"m\.yml has a '{SLIM.stem}'"):
        publish(what, tmp_path / 'other', metafile=metafile)
    assert {path: path.read_bytes() for path in files} == before
    assert sorted(zoo.iterdir()) == sorted(files[:2])
    assert not (tmp_path / 'other').exists()


def test_what_cannot_be_written_to_the_end_is_taken_back(training, tmp_path, monkeypatch):
    what, _ = training
    zoo, metafile = tmp_path / 'zoo', tmp_path / 'm.yml'
    publish(what, zoo, metafile=metafile)
    files = [*zoo.iterdir(), metafile, metafile.with_suffix('.md')]
    before = {path: path.read_bytes() for path in files}
    own = tmp_path / 'own.py'
    own.write_text(f'_base_ = {str(SLIM)!r}\n')

    def full(path, text):
        if path.name == 'index.json':  # the last
            raise OSError(28, 'No space left on device', str(path))
        write_text(path, text)

    monkeypatch.setattr('cpm_plugin.apps.publish.write_text', full)
    with pytest.raises(ValueError, match=r'nothing is published.*No space left'):
        publish(
            Publication(**{**what.__dict__, 'name': 'own', 'config': own}), zoo, metafile=metafile
        )
    assert {path: path.read_bytes() for path in files} == before
    assert sorted(zoo.iterdir()) == sorted(files[:2])


def test_a_zoo_that_is_a_file(training, tmp_path):
    what, _ = training
    (tmp_path / 'zoo').write_text('x')
    with pytest.raises(ValueError, match='nothing is published, for a file cannot be written'):
        publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert not (tmp_path / 'm.yml').exists()


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        (float('nan'), 'has values that are not finite.*train it again'),
        (1e6, 'is not finite as float16.*--float32 is needed'),
    ],
)
def test_weights_that_are_not_finite_leave_nothing(training, tmp_path, value, message):
    what, _ = training
    checkpoint = torch.load(what.checkpoint, weights_only=True)
    key = next(key for key, weight in checkpoint['state_dict'].items() if weight.ndim == 4)
    checkpoint['state_dict'][key].view(-1)[0] = value
    torch.save(checkpoint, what.checkpoint)
    with pytest.raises(ValueError, match=f'{key} {message}'):
        publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert not (tmp_path / 'zoo').exists() and not (tmp_path / 'm.yml').exists()


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
    assert not (tmp_path / 'zoo').exists()


def test_weights_that_are_another_function_by_name_leave_nothing(training, tmp_path):
    what, _ = training
    path = tmp_path / 'padded.py'
    path.write_text(f'_base_ = {str(SLIM)!r}\nmodel = dict(backbone=dict(pool_padding=1))\n')
    what = Publication(**{**what.__dict__, 'config': path})
    with pytest.raises(ValueError, match=r"create_model\('cpm_slim_3s'\) gives other maps"):
        publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert not (tmp_path / 'zoo').exists() and not (tmp_path / 'm.yml').exists()


@pytest.mark.parametrize('changed', ['beliefs', 'fields'])
def test_the_maps_of_several_people_are_compared_by_every_stage(changed, tmp_path):
    """The config's model has other weights in the last stage alone, of belief maps or of fields."""
    torch.manual_seed(0)
    network = create_model('paf_movenet_3s').eval()
    torch.save(network.state_dict(), tmp_path / 'weights.pth')
    model = SimpleNamespace(backbone=network.trunks, head=lambda feats: network.stages(*feats))
    _agree('paf_movenet_3s', tmp_path / 'weights.pth', model, (64, 64))
    last = getattr(network.stages, changed)[-1]
    with torch.no_grad():
        list(last.parameters())[-1].add_(1)
    with pytest.raises(ValueError, match='gives other maps'):
        _agree('paf_movenet_3s', tmp_path / 'weights.pth', model, (64, 64))


def test_a_config_of_ones_own_goes_into_the_zoo(training, tmp_path, monkeypatch):
    what, _ = training
    path = tmp_path / 'configs' / 'own.py'
    path.parent.mkdir()
    # MMPose's init_model leaves init_cfg out; a training needs it
    path.write_text(
        f'_base_ = {str(SLIM)!r}\n'
        "model = dict(backbone=dict(pool_padding=1, init_cfg=dict(type='Kaiming', layer='Conv2d')))"
    )
    monkeypatch.chdir(path.parent)
    what = Publication(**{**what.__dict__, 'config': Path('own.py'), 'name': 'own'})
    weights = publish(what, tmp_path / 'zoo')
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ['cpm_configs.md', 'cpm_configs.yml', 'own.py']
    again = Publication(**{**what.__dict__, 'name': 'again'})
    with pytest.raises(ValueError, match=r'own\.py exists: it is of another model'):
        publish(again, tmp_path / 'zoo', metafile=tmp_path / 'm.yml', half=False)
    path.unlink()
    found = pose2d('own', tmp_path / 'zoo')
    assert found == dict(pose2d=str(tmp_path / 'zoo' / 'own.py'), pose2d_weights=str(weights))
    backbone = Config.fromfile(found['pose2d']).model.backbone
    assert (backbone.pool_padding, backbone.init_cfg.type) == (1, 'Kaiming')
    for written in (tmp_path / 'zoo' / 'index.json', path.parent / 'cpm_configs.yml'):
        assert str(tmp_path) not in written.read_text()


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('m.yml', 'Models: []', 'it has no list of Collections'),
        ('m.yml', 'Collections: []\nModels: []', 'has no collection'),
        ('m.yml', '{', 'is not YAML'),
        ('m.yml', 'Collections: [Name: x]\nModels: [Name: y]', "KeyError.'Results'"),
        ('m.md', TABLE_END, 'one is missing'),
        ('model-index.yml', 'Import:', 'is no model index'),
    ],
)
def test_files_that_cannot_be_added_to_leave_nothing(training, tmp_path, name, text, message):
    what, _ = training
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert (tmp_path / name).read_text() == text
    assert not (tmp_path / 'zoo').exists()


def test_a_metafile_is_entered_in_the_model_index(training, tmp_path):
    what, _ = training
    index = tmp_path / 'model-index.yml'
    index.write_text('Models: [Name: x]\nImport: [b.yml]')
    publish(what, tmp_path / 'zoo', metafile=tmp_path / 'a' / 'c.yml')
    found = yaml.safe_load(index.read_text())
    assert found == {'Models': [{'Name': 'x'}], 'Import': ['a/c.yml', 'b.yml']}


def test_a_table_of_models_with_other_metrics(training, tmp_path):
    what, _ = training
    first = publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    path = tmp_path / 'own.py'
    path.write_text(f'_base_ = {str(SLIM)!r}\n')
    (tmp_path / 'ap.json').write_text('{"coco/AP": 0.62739}')
    what = Publication(
        **{
            **what.__dict__,
            'config': path,
            'name': 'own',
            'results': tmp_path / 'ap.json',
            'training': 'seed 3 | two\nlines',
        }
    )
    second = publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert first != second
    *_, head, _, one, two, _, _, item, end = (tmp_path / 'm.md').read_text().splitlines()
    assert end == TABLE_END
    assert head == '| Name | Input | Parameters | PCK@0.2 | ankle | AP |'
    assert '| 46.33 | 42.0 |  |' in one and '|  |  | 0.6274 |' in two
    assert ': seed 3 | two lines. Tested on ' in item


def test_two_at_once_are_both_in_the_index(training, tmp_path):
    what, _ = training
    (tmp_path / 'other.py').write_text(f"_base_ = '{SLIM}'\n")
    other = replace(what, name='other', config=tmp_path / 'other.py')

    def one(publication):
        return publish(publication, tmp_path / 'zoo', metafile=tmp_path / f'{publication.name}.yml')

    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(one, (what, other)))
    assert {entry.file for entry in read_index(tmp_path / 'zoo').values()} == {
        path.name for path in paths
    }
    assert set(read_index(tmp_path / 'zoo')) == {'cpm_slim_3s', 'other'}


def test_a_publication_that_was_killed_does_not_block_the_next(training, tmp_path, monkeypatch):
    what, _ = training
    zoo, metafile = tmp_path / 'zoo', tmp_path / 'm.yml'

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, 'write_text', die)  # after the weights, before the index
        publish(what, zoo, metafile=metafile)
    (left,) = zoo.glob('*.pth')
    assert not (zoo / 'index.json').exists()
    assert publish(what, zoo, metafile=metafile) == left
    assert read_index(zoo)['cpm_slim_3s'].file == left.name


def test_a_file_system_without_hard_links(training, tmp_path, monkeypatch):
    what, _ = training

    def refuse(*_):
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'link', refuse)
    path = publish(what, tmp_path / 'zoo', metafile=tmp_path / 'm.yml')
    assert file_sha256(path) == read_index(tmp_path / 'zoo')['cpm_slim_3s'].sha256
