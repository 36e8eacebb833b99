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


@pytest.mark.parametrize(
    ('value', 'problem'),
    [
        (torch.tensor([1.0, float('nan')]), 'b has values that are not finite'),
        (torch.tensor([float('-inf')]).half(), 'b has values that are not finite'),
        (torch.eye(3).to_sparse(), 'b is sparse'),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), 'b is quantized'),
        (torch.empty(2, device='meta'), 'b is without data'),
        (torch.tensor([3]), ''),
        (torch.tensor(-1.5).bfloat16(), ''),
    ],
)
def test_tensors_that_are_no_weights_are_named(value, problem):
    found = describe_unusable({'a': torch.ones(1), 'b': value})
    assert found.startswith(problem) and bool(found) == bool(problem)
