"""Fixtures of all tests. Without MMPose those that need it are not collected."""

import importlib.util
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

REPO = Path(__file__).resolve().parents[1]

if importlib.util.find_spec('mmpose'):
    from mmengine.registry import init_default_scope

    import cpm_plugin.mmpose  # noqa: F401  (stock modules can be imported after this only)
else:
    init_default_scope = None
    collect_ignore_glob = ['mmpose/test_*.py', 'apps/test_*.py']


@pytest.fixture(autouse=True)
def scope_and_seed():
    if init_default_scope is not None:
        init_default_scope('mmpose')  # as a config with default_scope does
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (MMPose's transforms use the global generator)


@pytest.fixture(scope='session')
def repo():
    return REPO


@pytest.fixture(scope='session')
def shared_data():
    """The folder of the project's data, which is not in the repository."""
    folder = REPO.parent / 'shared' / 'data'
    if not folder.is_dir():
        pytest.skip(f'the data of the project ({folder}) is not here')
    return folder


@pytest.fixture
def serve(tmp_path):
    """A folder ``www`` and the address at which this computer serves it."""
    folder = tmp_path / 'www'
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f'http://127.0.0.1:{server.server_port}'
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
