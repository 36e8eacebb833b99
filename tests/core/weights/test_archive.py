"""Broken and hostile files of weights are refused before they are read."""

import zipfile

import pytest
import torch

from cpm_plugin.core.weights.archive import describe_unusable, load_file, verify_archive


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': {'w': torch.arange(1000.0)}}, path)
    return path


def test_a_whole_file_is_read(saved):
    assert torch.equal(load_file(saved)['state_dict']['w'], torch.arange(1000.0))


def test_every_flipped_bit_of_the_values_is_found(saved):
    content = saved.read_bytes()
    start = content.index(torch.arange(1000.0).numpy().tobytes())
    for place in range(start, start + 4000, 397):
        broken = bytearray(content)
        broken[place] ^= 1
        saved.write_bytes(broken)
        with pytest.raises(ValueError, match='has another checksum'):
            load_file(saved)


def test_what_is_cut_off_is_refused(saved):
    content = saved.read_bytes()
    for length in (2, 50, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        with pytest.raises(ValueError, match='cut off or broken'):
            load_file(saved)


def test_a_compressed_record_is_refused_unread(tmp_path):
    """A bomb: small on the disk, 300 MB in memory."""
    path = tmp_path / 'bomb.pth'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data/0', bytes(300_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=r'data/0 is compressed, .* bytes to 300,000,000'):
        load_file(path)


def test_files_of_before_pytorch_1_6_are_read(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save({'w': torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    verify_archive(path)
    assert torch.equal(load_file(path)['w'], torch.ones(3))


@pytest.mark.parametrize('zipped', [True, False])
def test_a_tensor_beyond_the_end_of_its_storage_is_refused(tmp_path, zipped):
    """PyTorch would let the storage grow, and give whatever was in that memory."""
    path = tmp_path / 'beyond.pth'
    torch.save({'w': torch.ones(77)}, path, _use_new_zipfile_serialization=zipped)
    claimed = (b'K\x00KM\x85', b'K\x00KN\x85')  # offset 0, shape (77,) and (78,)
    if zipped:
        with zipfile.ZipFile(path) as archive:
            records = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, 'w') as archive:
            for name, record in records.items():
                archive.writestr(name, record.replace(*claimed))
    else:
        assert path.read_bytes().count(claimed[0]) == 1
        path.write_bytes(path.read_bytes().replace(*claimed))
    with pytest.raises(RuntimeError, match='not resizable'):
        load_file(path)


def test_an_old_file_that_claims_more_values_than_it_has_bytes_is_refused(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save({'w': torch.ones(77)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    storage = content.index(b'KM')  # 77 values
    path.write_bytes(content[:storage] + b'J\xff\xff\xff\x7f' + content[storage + 2 :])
    with pytest.raises(ValueError, match=r'claims 2,147,483,647 values in [\d,]+ bytes'):
        load_file(path)
    path.write_bytes(content[: content.index(b'storage') + 3])
    with pytest.raises(ValueError, match='cut off or broken'):
        load_file(path)


def test_what_is_loaded_can_be_changed_and_saved_again(saved):
    state = load_file(saved)['state_dict']
    state['w'][0] = 5
    state['w'] += 1
    torch.save(state, saved)
    assert load_file(saved)['w'][:3].tolist() == [6, 2, 3]


@pytest.mark.parametrize(
    ('value', 'problem'),
    [
        (torch.tensor([1.0, float('nan')]), 'b has values that are not finite'),
        (torch.tensor([float('-inf')]).half(), 'b has values that are not finite'),
        (torch.eye(3).to_sparse(), 'b is sparse'),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), 'b is quantized'),
        (torch.empty(2, device='meta'), 'b is without data'),
        (torch.ones(1).expand(3), 'b has the same values several times'),
        (torch.tensor([3]), ''),
        (torch.ones(4)[1:3], ''),
        (torch.tensor(-1.5).bfloat16(), ''),
    ],
)
def test_tensors_that_are_no_weights_are_named(value, problem):
    found = describe_unusable({'a': torch.ones(1), 'b': value})
    assert found.startswith(problem) and bool(found) == bool(problem)
