"""Trained weights by name: found, verified, downloaded, refused."""

import json
import re

import pytest
import torch
from cpm_testing.extras import REASON, timm

import cpm_plugin
from cpm_plugin.core.models import PartMaps
from cpm_plugin.core.weights.checkpoints import write_checkpoint
from cpm_plugin.core.weights.zoo import PACKAGED, file_sha256, read_index, weights_file

NAME = 'cpm_slim_3s'


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A zoo with weights of one model, and a cache of PyTorch Hub's for this test alone."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    folder = tmp_path / 'zoo'
    torch.manual_seed(1)
    state = cpm_plugin.create_model(NAME).state_dict()
    write_checkpoint(folder / 'slim.pth', state, {})
    write_index(folder)
    return folder


def write_index(folder, **changes):
    path = folder / 'slim.pth'
    entry = dict(file='slim.pth', config='c.py', license='academic', url=None)
    if path.exists():
        entry['sha256'] = file_sha256(path)
    (folder / 'index.json').write_text(json.dumps({NAME: {**entry, **changes}}))


def test_the_sum_of_a_known_file(tmp_path):
    (tmp_path / 'abc').write_bytes(b'abc')
    assert file_sha256(tmp_path / 'abc') == (
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'  # FIPS 180-2, B.1
    )


def test_a_model_by_name_has_the_weights_of_the_file(zoo):
    model = cpm_plugin.create_model(NAME, pretrained=zoo)
    saved = torch.load(zoo / 'slim.pth', weights_only=True)['state_dict']
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())
    assert cpm_plugin.list_models(pretrained=zoo) == [NAME]
    assert cpm_plugin.list_models(pretrained=str(zoo)) == [NAME]
    assert cpm_plugin.list_models(pretrained=None) == cpm_plugin.list_models()


def test_weights_of_no_named_network_are_told_from_an_unknown_name(zoo):
    entries = json.loads((zoo / 'index.json').read_text())
    (zoo / 'index.json').write_text(json.dumps({'mine': entries[NAME]}))
    with pytest.raises(ValueError, match=r"'mine' has weights in this zoo, but .*pose2d.*cpm_6s"):
        cpm_plugin.create_model('mine', pretrained=zoo)
    with pytest.raises(ValueError, match="no model 'other'; there are"):
        cpm_plugin.create_model('other', pretrained=zoo)
    with pytest.raises(ValueError, match="no model 'mine'; there are"):
        cpm_plugin.create_model('mine')


def test_a_changed_file_is_refused_and_kept(zoo):
    (zoo / 'slim.pth').write_bytes(b'other')
    with pytest.raises(ValueError, match=r'slim\.pth is not the file that was published.*restore'):
        weights_file(NAME, zoo)
    assert (zoo / 'slim.pth').read_bytes() == b'other'  # it is the user's


def test_a_download_is_verified_and_cached(zoo, tmp_path, serve):
    source = serve[0] / 'elsewhere.pth'
    (zoo / 'slim.pth').rename(source)
    write_index(zoo, sha256=file_sha256(source), url=f'{serve[1]}/elsewhere.pth')
    first = weights_file(NAME, zoo)
    assert first == tmp_path / 'hub' / 'checkpoints' / 'slim.pth'
    assert first.read_bytes() == source.read_bytes()
    source.unlink()
    assert weights_file(NAME, zoo) == first  # not downloaded again
    first.write_bytes(b'broken')
    with pytest.raises(ValueError, match='remove it, and it is downloaded again'):
        weights_file(NAME, zoo)


def test_a_download_with_another_sum_leaves_nothing(zoo, tmp_path, serve):
    (zoo / 'slim.pth').rename(serve[0] / 'elsewhere.pth')
    write_index(zoo, sha256='0' * 64, url=f'{serve[1]}/elsewhere.pth')
    with pytest.raises(ValueError, match=r'could not be had: http:.*sha256 is.*Nothing was kept'):
        weights_file(NAME, zoo)
    assert list((tmp_path / 'hub' / 'checkpoints').iterdir()) == []


def test_a_cache_that_cannot_be_made_is_told(zoo, tmp_path, serve):
    (zoo / 'slim.pth').rename(serve[0] / 'gone.pth')
    write_index(zoo, sha256='0' * 64, url=f'{serve[1]}/gone.pth')
    (tmp_path / 'hub').write_text('a file in its place')
    with pytest.raises(ValueError, match='could not be had'):
        weights_file(NAME, zoo)


def test_what_cannot_be_had_says_why(zoo, tmp_path, serve):
    with pytest.raises(
        ValueError, match=r"no trained weights of 'cpm_6s' in .*; there are: cpm_sl"
    ):
        cpm_plugin.create_model('cpm_6s', pretrained=zoo)
    (zoo / 'slim.pth').rename(tmp_path / 'gone.pth')
    with pytest.raises(ValueError, match='the index has no URL'):
        weights_file(NAME, zoo)
    write_index(zoo, sha256='0' * 64, url=f'{serve[1]}/nothing')
    with pytest.raises(ValueError, match=r'could not be had: .*404'):
        weights_file(NAME, zoo)
    with pytest.raises(ValueError, match=re.escape(f'{tmp_path / "empty" / "index.json"} cannot')):
        cpm_plugin.list_models(pretrained=tmp_path / 'empty')
    (zoo / 'index.json').write_text('[1]')
    with pytest.raises(ValueError, match='is no index of weights'):
        read_index(zoo)
    for changes, message in (
        (dict(sha256=''), "sha256 '' must be 64 hexadecimal digits"),
        (dict(file='../slim.pth'), 'must be a name without a folder'),
        (dict(file='..'), 'must be a name without a folder'),
        (dict(file='a' * 201), 'must be a name without a folder'),
        (dict(file=1), 'must be text'),
        (dict(config='../x.py'), 'must be a path inside the zoo'),
        (dict(config='/etc/x.py'), 'must be a path inside the zoo'),
        (dict(config=''), 'must be a path inside the zoo'),
        (dict(url='file:///etc/passwd'), 'must begin with http'),
        (dict(url=''), 'must begin with http'),
        (dict(url=0), 'must be text'),
        (dict(url=[]), 'must be text'),
        (dict(url='ftp://127.0.0.1/x'), 'must begin with http'),
        (dict(sha='0' * 64), 'unexpected keyword'),
    ):
        write_index(zoo, **{'sha256': '0' * 64, **changes})
        with pytest.raises(ValueError, match=f'is no index of weights: .*{message}'):
            read_index(zoo)
    (zoo / 'index.json').write_text('[' * 100_000)  # deeper than Python's stack
    with pytest.raises(ValueError, match='is no index of weights'):
        read_index(zoo)
    with pytest.raises(ValueError, match='give one of them'):
        cpm_plugin.create_model(NAME, pretrained=True, checkpoint='x.pth')
    with pytest.raises(ValueError, match='does not fit the model'):
        write_index(zoo, sha256=file_sha256(tmp_path / 'gone.pth'))
        (tmp_path / 'gone.pth').rename(zoo / 'slim.pth')
        cpm_plugin.create_model(NAME, pretrained=zoo, channels=48)


@pytest.mark.parametrize('name', cpm_plugin.list_models(pretrained=True))
def test_the_packages_weights(name):
    if 'lite0' in name and timm is None:
        pytest.skip(REASON)
    entry = read_index()[name]
    assert 'academic' in entry.license
    assert (PACKAGED / entry.file).stat().st_size < (
        {'movenet': 25e6, 'lightning': 4e6}.get(name.split('_')[1], 10e6)
    )
    assert f'-{entry.sha256[:8]}_' in entry.file
    model = cpm_plugin.create_model(name, pretrained=True).eval()
    fresh = cpm_plugin.create_model(name).eval()
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 64) - 0.5
        trained, untrained = (m(image)[-1] for m in (model, fresh))
        if isinstance(trained, PartMaps):
            trained, untrained = trained.beliefs, untrained.beliefs
    # belief 0 everywhere but at the joints; the background channel 1
    assert float(trained[:, -1].mean()) > 0.5 > float(untrained.abs().max())


def test_there_are_packaged_weights():
    assert cpm_plugin.list_models(pretrained=True) == [
        'cpm_lightning_3s',
        'cpm_lite0_3s',
        'cpm_movenet_3s',
        'cpm_movenet_coco_3s',
        'cpm_slim_3s',
        'paf_movenet_3s',
    ]
    files = {path.name for path in PACKAGED.glob('*.pth')}
    assert files == {entry.file for entry in read_index().values()}
