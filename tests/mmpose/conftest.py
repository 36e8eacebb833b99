"""Fixtures of the MMPose tests; without MMPose none of them is collected."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

if importlib.util.find_spec('mmpose'):
    import cpm_plugin.mmpose  # noqa: F401  (stock modules can be imported after this only)
else:
    collect_ignore_glob = ['test_*.py']

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def scope_and_seed():
    from mmengine.registry import init_default_scope

    init_default_scope('mmpose')  # as a config with default_scope does
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (MMPose's transforms use the global generator)


@pytest.fixture
def repo():
    return REPO


@pytest.fixture
def shared_data():
    folder = REPO.parent / 'shared' / 'data'
    if not folder.is_dir():
        pytest.skip(f'the data of the project ({folder}) is not here')
    return folder
