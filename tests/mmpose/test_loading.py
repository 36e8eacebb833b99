"""No scheme of MMEngine's runs what is in a checkpoint."""

import io
import pickle
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from cpm_plugin.core.weights import read_checkpoint, weights_file
from cpm_plugin.mmpose import loading


class Runs:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), 'w'))


@pytest.fixture
def web(serve, tmp_path, monkeypatch):
    """A folder of hostile and harmless checkpoints, served; and a cache for this test."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    folder, url = serve
    marker = tmp_path / 'was run'
    state = {'w': torch.arange(3.0)}
    torch.save({'state_dict': state, 'meta': Runs(marker)}, folder / 'hostile.pth')
    history = {'message_hub': {'log_scalars': {'loss': HistoryBuffer([1.0], [1])}}}
    torch.save({'state_dict': state, **history}, folder / 'run.pth')
    return SimpleNamespace(folder=folder, url=url, marker=marker)


def names(web, monkeypatch, file):
    """The same file by every scheme that MMEngine knows."""
    address = f'{web.url}/{file}'
    for function in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(mmengine_checkpoint, function, lambda: {'x': address, 'y': 'here.pth'})
    monkeypatch.setattr(mmengine_checkpoint, '_get_mmengine_home', lambda: str(web.folder))
    monkeypatch.setattr(loading, 'weights_file', lambda name: web.folder / file)
    (web.folder / 'here.pth').write_bytes((web.folder / file).read_bytes())
    backend = SimpleNamespace(get=lambda name: (web.folder / file).read_bytes())
    monkeypatch.setattr(mmengine_checkpoint, 'get_file_backend', lambda *_, **__: backend)
    return [
        str(web.folder / file), address, 'modelzoo://x', 'torchvision://x', 'openmmlab://x',
        'open-mmlab://y', 'mmcls://x', 's3://x', 'petrel://x', 'cluster:s3://x',
        'cpm_plugin://x',
    ]  # fmt: skip


def test_what_is_hostile_is_refused_by_every_scheme(web, monkeypatch):
    for name in names(web, monkeypatch, 'hostile.pth'):
        with pytest.raises((ValueError, pickle.UnpicklingError)):
            CheckpointLoader.load_checkpoint(name, map_location='cpu')
        assert not web.marker.exists(), name
    # and that the file is hostile
    torch.load(web.folder / 'hostile.pth', weights_only=False)
    assert web.marker.exists()


def test_what_is_harmless_is_loaded_by_every_scheme(web, monkeypatch):
    for name in names(web, monkeypatch, 'run.pth'):
        loaded = CheckpointLoader.load_checkpoint(name, map_location='cpu')
        if not name.startswith('mmcls'):  # which keeps backbone.* alone
            assert torch.equal(loaded['state_dict']['w'], torch.arange(3.0)), name


def test_every_scheme_of_mmengine_was_tried(web, monkeypatch):
    tried = names(web, monkeypatch, 'run.pth')
    schemes = [one for one in CheckpointLoader._schemes if one not in ('', 'pavi://')]
    found = {CheckpointLoader._get_checkpoint_loader(name) for name in tried}
    assert found == {CheckpointLoader._schemes[one] for one in (*schemes, '')}


def test_pavi_uses_the_same_load():
    """Its package is not public; its loader calls ``torch.load`` of its module."""
    import inspect

    source = inspect.getsource(mmengine_checkpoint.load_from_pavi)
    assert 'torch.load(' in source or '_safe_torch_load(' in source  # the latter is OneDL's
    buffer = io.BytesIO()
    torch.save(Runs('never'), buffer)
    buffer.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        mmengine_checkpoint.torch.load(buffer, weights_only=False)
    assert mmengine_checkpoint.torch.nn is torch.nn


def test_onedls_loader_takes_nothing_from_the_allow_list(web, monkeypatch):
    def theirs(file, map_location=None, weights_only=None):  # as in onedl-mmengine 0.10.12
        with torch.serialization.safe_globals([HistoryBuffer]):
            return torch.load(file, map_location=map_location, weights_only=True)

    monkeypatch.setattr(mmengine_checkpoint, '_safe_torch_load', theirs, raising=False)
    loading.install()
    for _ in range(2):
        run = mmengine_checkpoint._safe_torch_load(web.folder / 'run.pth', map_location='cpu')
        assert torch.equal(run['state_dict']['w'], torch.arange(3.0))
        assert HistoryBuffer in torch.serialization.get_safe_globals()
    with pytest.raises(pickle.UnpicklingError):
        mmengine_checkpoint._safe_torch_load(web.folder / 'hostile.pth', weights_only=False)
    assert not web.marker.exists()


def test_a_download_is_kept_and_a_broken_one_named(web, tmp_path):
    address = f'{web.url}/run.pth'
    loading.load_url(address, map_location='cpu')
    cached = tmp_path / 'hub' / 'checkpoints' / 'run.pth'
    assert cached.is_file()
    content = bytearray(cached.read_bytes())
    content[content.index(torch.arange(3.0).numpy().tobytes())] ^= 1
    cached.write_bytes(content)
    with pytest.raises(ValueError, match=r'run\.pth, kept at .*run\.pth, cannot be read'):
        loading.load_url(address)


def test_a_file_that_is_missing_keeps_mmengines_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='can not be found'):
        loading.load_from_local(str(tmp_path / 'no.pth'), 'cpu')


def test_trained_weights_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CheckpointLoader.load_checkpoint('cpm_plugin://cpm_slim_3s', map_location='cpu')
    expected, _ = read_checkpoint(weights_file('cpm_slim_3s'))
    assert found['state_dict'].keys() == expected.keys()
    assert all(torch.equal(found['state_dict'][key], expected[key]) for key in expected)
    with pytest.raises(
        ValueError, match=r"no trained weights of 'x'.*cpm_lite0_3s, cpm_movenet_3s"
    ):
        CheckpointLoader.load_checkpoint('cpm_plugin://x')
