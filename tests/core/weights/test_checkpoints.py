"""Weights from files: all or nothing, and errors that name the file and the key."""

import collections
import re

import numpy as np
import pytest
import torch
from cpm_testing.checkpoints import OpensAFile, fill_disk
from torch import nn

from cpm_plugin.core import build_network, load_checkpoint
from cpm_plugin.core.weights.checkpoints import (
    describe_mismatch,
    from_mmpose,
    read_checkpoint,
    to_mmpose,
    write_checkpoint,
)

FIRST = 'trunks.stage1_trunk.conv1.conv.weight'


def network(seed, **options):
    torch.manual_seed(seed)
    narrow = {
        'num_keypoints': 2,
        'num_stages': 2,
        'channels': 4,
        'reduced_channels': 2,
        'first_stage_channels': 4,
        'trunk_kernel_size': 3,
        'refine_kernel_size': 3,
        'norm_layer': nn.BatchNorm2d,
    }
    model = build_network(**{**narrow, **options}).eval()
    for name, value in model.state_dict().items():  # nothing is left at its default
        if name.endswith(('bias', 'running_mean', 'running_var')):
            value.uniform_(0.5, 2)
    return model


def as_mmpose(state):
    """Names in a checkpoint of an MMPose TopdownPoseEstimator, with what else it may hold."""
    names = {'trunks.': 'backbone.trunks.', 'stages.': 'head.stages.'}
    renamed = {names[key[:7]] + key[7:]: value for key, value in state.items()}
    return {
        **renamed,
        'data_preprocessor.mean': torch.zeros(3),
        'head.loss_module.x': torch.ones(1),
    }


FORMS = {
    'bare': lambda state: state,
    'plain_dict': dict,
    'state_dict': lambda state: {'state_dict': state},
    'with_meta': lambda state: {
        'meta': {'epoch': 3, 'dataset': 'lsp', 'joints': ['neck']},
        'state_dict': state,
    },
    'mmpose': lambda state: {'meta': {}, 'state_dict': as_mmpose(state)},
    'bare_mmpose': as_mmpose,
    'ordered': lambda state: collections.OrderedDict(state),
}


@pytest.mark.parametrize('form', FORMS.values(), ids=FORMS)
@torch.no_grad()
def test_round_trip(form, tmp_path):
    saved, model = network(0), network(1)
    image = torch.rand(1, 3, 32, 32)
    assert not torch.equal(model(image)[-1], saved(image)[-1])
    torch.save(form(saved.state_dict()), tmp_path / 'weights.pth')
    load_checkpoint(model, tmp_path / 'weights.pth')
    for stage in range(2):
        assert torch.equal(model(image)[stage], saved(image)[stage])
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved.state_dict()[name]), name


def test_path_may_be_a_string_and_the_old_file_format(tmp_path):
    saved, model = network(0), network(1)
    path = str(tmp_path / 'weights.pth')
    torch.save(saved.state_dict(), path, _use_new_zipfile_serialization=False)
    load_checkpoint(model, path)
    assert torch.equal(model.state_dict()[FIRST], saved.state_dict()[FIRST])


class LargeBytes:
    def __reduce__(self):
        return bytes, (9,)


def test_an_empty_array_is_read_and_no_other_bytes_are_made(tmp_path):
    """Keypoints without a skeleton have no colors of links: MMPose keeps an empty array."""
    torch.save({'state_dict': {}, 'meta': {'a': np.zeros((0, 3), np.uint8)}}, tmp_path / 'a.pth')
    _, meta = read_checkpoint(tmp_path / 'a.pth')
    assert meta['a'].shape == (0, 3)
    torch.save({'state_dict': {}, 'meta': {'a': LargeBytes()}}, tmp_path / 'b.pth')
    with pytest.raises(ValueError, match=r'b\.pth cannot be read'):
        read_checkpoint(tmp_path / 'b.pth')


def test_from_mmpose_renames_our_halves_and_drops_the_rest():
    state = {'backbone.trunks.a': 1, 'head.stages.b': 2, 'head.loss': 3, 'backbone.layer1.c': 4}
    assert from_mmpose(state) == {'trunks.a': 1, 'stages.b': 2}


def test_mismatch_lists_three_keys_of_each_kind():
    expected = {key: torch.zeros(2, 3) for key in 'abcdef'}
    given = {'a': torch.zeros(2, 3), 'b': torch.zeros(3, 2), 'x': torch.zeros(1)}
    assert describe_mismatch(expected, given) == (
        'missing: c, d, e and 1 more; of another shape: b (3, 2) (the model has (2, 3)); '
        'left over: x'
    )
    assert describe_mismatch(expected, expected) == ''


def without(key):
    def change(state):
        del state[key]

    return change


def with_extra(state):
    state['stages.later.1.beliefs.weight'] = torch.zeros(1)


def with_another_shape(state):
    state['stages.first.beliefs.weight'] = torch.zeros(5, 4, 1, 1)


CHANGES = {
    'missing': (without(FIRST), r'missing: trunks\.stage1_trunk\.conv1\.conv\.weight'),
    'left_over': (with_extra, r'left over: stages\.later\.1\.beliefs\.weight'),
    'another_shape': (
        with_another_shape,
        r'another shape: stages\.first\.beliefs\.weight \(5, 4, 1, 1\).*\(3, 4, 1, 1\)',
    ),
}


@pytest.mark.parametrize('form', ['bare', 'with_meta', 'mmpose'])
@pytest.mark.parametrize('change, message', CHANGES.values(), ids=CHANGES)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(change, message, form, tmp_path):
    state = network(0).state_dict()
    change(state)
    torch.save(FORMS[form](state), tmp_path / 'bad.pth')
    refused(tmp_path / 'bad.pth', message)


def refused(path, message='checkpoint'):
    """Loading raises a ValueError with the file's name and leaves the model alone."""
    model = network(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message) as error:
        load_checkpoint(model, path)
    assert re.match(f'checkpoint {re.escape(str(path))}\\b', str(error.value))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_missing_file(tmp_path):
    refused(tmp_path / 'no.pth', 'no such file')
    refused(tmp_path, 'is a folder')


FOREIGN = {
    'empty': b'',
    'text': b'hello\n',
    'longer_text': b'These are not the weights you are looking for.\n',
    'html': b'<!DOCTYPE html><title>404</title>',
    'json': b'{"a": 1}',
    'git_lfs_pointer': b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
    'markdown': b'# Convolutional Pose Machines\n\nPyTorch\n',  # torch takes # for an opcode
    'caffemodel': b'\xa2\x06\x15\x0a\x05conv1\x3a\x0c\x3a\x03\x0a\x01\x01',
    'image': b'\x89PNG\r\n\x1a\n',
    'noise': b'j\xfd\xe9',
}


@pytest.mark.parametrize('content', FOREIGN.values(), ids=FOREIGN)
def test_file_that_is_no_checkpoint(content, tmp_path):
    (tmp_path / 'weights.pth').write_bytes(content)
    refused(tmp_path / 'weights.pth', r'is no PyTorch checkpoint; .*tools/convert_caffe\.py')


@pytest.mark.parametrize('content', [b'PK\x03\x04', b'\x80\x02'], ids=['zip', 'pickle'])
def test_file_that_only_begins_as_a_checkpoint(content, tmp_path):
    (tmp_path / 'weights.pth').write_bytes(content)
    refused(tmp_path / 'weights.pth', 'cannot be read')


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize('part', [0.02, 0.2, 0.4, 0.6, 0.8, 0.98])
def test_truncated_file(part, new_format, tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save(network(0).state_dict(), path, _use_new_zipfile_serialization=new_format)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refused(path, 'cannot be read')


OBJECTS = {
    'tensor': torch.zeros(3),
    'list': [torch.zeros(3)],
    'number': {'state_dict': 5},
    'none': {'state_dict': None},
    'tensor_inside': {'state_dict': torch.zeros(2)},
    'numbered': {1: torch.zeros(1)},
    'numbers_as_weights': dict.fromkeys(network(0).state_dict(), 3),
    'empty': {},
}


@pytest.mark.parametrize('content', OBJECTS.values(), ids=OBJECTS)
def test_file_without_a_state_dict(content, tmp_path):
    torch.save(content, tmp_path / 'weights.pth')
    refused(tmp_path / 'weights.pth')


@pytest.mark.parametrize('new_format', [True, False])
def test_pickled_code_is_not_run(new_format, tmp_path):
    marker = tmp_path / 'was_run'
    content = {'state_dict': network(0).state_dict(), 'meta': OpensAFile(str(marker))}
    path = tmp_path / 'weights.pth'
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    refused(path, r'cannot be read safely.*publish_model\.py')
    assert not marker.exists()
    torch.load(path, weights_only=False)['meta'].close()
    assert marker.exists()  # it would have been run


def test_names_of_mmpose_and_back():
    state = {'trunks.a.weight': torch.ones(1), 'stages.later.0.trunks.b': torch.zeros(2)}
    named = to_mmpose(state)
    assert list(named) == ['backbone.trunks.a.weight', 'head.stages.later.0.trunks.b']
    assert from_mmpose(named) == state


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    state, path = {'stages.a': torch.arange(3.0)}, tmp_path / 'new' / 'a.pth'
    write_checkpoint(path, state, dict(model='cpm_6s'))
    read, meta = read_checkpoint(path)
    assert meta == dict(model='cpm_6s') and torch.equal(read['stages.a'], state['stages.a'])
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r'a\.pth exists; give the name of a new file'):
        write_checkpoint(path, {}, {})

    fill_disk(monkeypatch)
    with pytest.raises(OSError, match='no space left'):
        write_checkpoint(tmp_path / 'new' / 'b.pth', state, {})
    assert [file.name for file in path.parent.iterdir()] == ['a.pth']
    assert path.read_bytes() == before


@pytest.mark.parametrize('name', ['b.pth', 'new/b.pth'])
def test_a_file_in_the_place_of_the_folder_is_named(name, tmp_path):
    path = tmp_path / 'file'
    path.write_text('mine')
    with pytest.raises(ValueError, match=r'b\.pth cannot be written: .* is no folder') as error:
        write_checkpoint(path / name, {}, {})
    assert str(path / name) in str(error.value)
    assert path.read_text() == 'mine' and list(tmp_path.iterdir()) == [path]


def test_bare_state_dict_has_no_meta(tmp_path):
    torch.save({'a': torch.zeros(1)}, tmp_path / 'bare.pth')
    assert read_checkpoint(tmp_path / 'bare.pth') == ({'a': torch.zeros(1)}, {})
