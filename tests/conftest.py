"""Fixtures of all tests. Without MMPose those that need it are not collected."""

import contextlib
import gc
import importlib.util
import io
import itertools
import os
import runpy
import subprocess
import sys
import traceback
import warnings
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch

REPO = Path(__file__).resolve().parents[1]

# Without an origin it is tests/mmpose, which pytest's pythonpath makes a package of namespaces.
if (stock := importlib.util.find_spec('mmpose')) and stock.origin:
    import mmengine.config.config
    import mmengine.config.utils
    from mmengine.registry import init_default_scope

    import cpm_plugin.mmpose  # noqa: F401  (stock modules can be imported after this only)

    # For each base of a config MMEngine reads all of MMPose's metafiles, which takes 0.3 s.
    mmengine.config.utils.load = cache(mmengine.config.utils.load)
    # Each run logs its config as YAPF formats it, which takes up to a second; the text is the same
    # Python without. Programs in processes of their own still do.
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)
else:
    init_default_scope = None
    collect_ignore_glob = [
        'mmpose/test_*.py', 'apps/test_*.py', 'test_configs*.py', 'test_docstrings.py',
        'test_safe_configs.py', 'tools/dev/test_compare_caffe.py', 'tools/test_check_dataset.py',
        'tools/test_convert_mmpose_cpm.py',
        'tools/test_errors.py',
    ]  # fmt: skip


def pytest_collection_finish():
    """MMEngine collects garbage for each dataset, among all that PyTorch and MMPose imported."""
    gc.collect()
    gc.freeze()


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


@cache
def load_tool(name):
    """The module of ``tools/NAME``, by which its workers find it, too."""
    spec = importlib.util.spec_from_file_location(
        f'tools_{name.removesuffix(".py").replace("/", "_")}', REPO / 'tools' / name
    )
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='session', name='load_tool')
def load_tool_fixture():
    return load_tool


EXPERIMENTS = itertools.count()
STOCK_SCRIPTS = ('train.py', 'test.py')


def forget_visualizers():
    """MMEngine keeps one of each name, with the folder of the run that made it."""
    from mmengine.visualization import Visualizer

    kinds = [Visualizer]
    while kinds:
        kind = kinds.pop()
        kind._instance_dict.clear()
        kinds += kind.__subclasses__()


def run_tool(name, *arguments):
    """``python tools/NAME ARGUMENTS`` without a process of its own: no import of MMPose each time.

    Exit code, output and errors are those of the program, the traceback of an error that it does
    not catch among them. Runs of MMPose's train and test scripts get experiments of their own:
    MMEngine would give two of a name the same log.
    """
    path, words = str(REPO / 'tools' / name), [str(argument) for argument in arguments]
    if name in STOCK_SCRIPTS and words != ['--help']:
        if '--cfg-options' not in words:
            words.append('--cfg-options')
        words.append(f'experiment_name=run_{next(EXPERIMENTS)}')
        forget_visualizers()
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.enter_context(mock.patch.object(sys, 'argv', [path, *words]))
        stack.enter_context(mock.patch.dict(os.environ))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore')
        try:
            if name in STOCK_SCRIPTS:
                runpy.run_path(path, run_name='__main__')
            else:
                code = load_tool(name).main(words)
        except SystemExit as stopped:
            code = stopped.code
        except Exception:
            traceback.print_exc()
            code = 1
    if isinstance(code, str):
        err.write(f'{code}\n')
        code = 1
    return SimpleNamespace(returncode=code or 0, stdout=out.getvalue(), stderr=err.getvalue())


@pytest.fixture(scope='session', name='run_tool')
def run_tool_fixture():
    return run_tool


@pytest.fixture(scope='session')
def start_tool():
    """The same in a process of its own, as a user starts it: once a program is enough."""

    def start(name, *arguments, **options):
        return subprocess.run(
            [sys.executable, '-W', 'ignore', str(REPO / 'tools' / name), *map(str, arguments)],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(REPO), *sys.path])},
            capture_output=True,
            text=True,
            **options,
        )

    return start


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
