"""Checkpoints: equal ones, hostile ones, and a disk that is full."""

import builtins

import torch


def assert_same(found, expected):
    """Two state dicts have the same names and the same values, to the bit."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


class OpensAFile:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return builtins.open, (self.path, 'w')


def fill_disk(monkeypatch):
    """From now on ``torch.save`` writes a part of the file and fails."""

    def save(_, file):
        file.write(b'half')
        raise OSError('no space left on device')

    monkeypatch.setattr(torch, 'save', save)
