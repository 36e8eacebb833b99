"""The devices that an error offers are those of this computer."""

import pytest
import torch

from cpm_plugin.apps.devices import check_device


def test_a_device_that_works_is_given_back():
    assert check_device('cpu') == 'cpu'


def test_gpus_that_are_here_are_offered(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(ValueError, match=r'^--device cuda:99: .*: cpu, cuda:0, cuda:1$'):
        check_device('cuda:99')
    with pytest.raises(ValueError, match=r'tpu: .*\(there is no such kind of device\); give one'):
        check_device('tpu')
