"""``tools/app.py``: its address, what it refuses, and Ctrl-C."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest


def test_without_gradio_it_says_how_to_install_it(run_tool, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name == 'gradio' else find(name)
    )
    done = run_tool('app.py')
    assert done.returncode == 2 and done.stdout == ''
    assert 'there is no gradio, which draws the page: pip install gradio; in a clone' in done.stderr
    assert "pip install -e '.[app]'" in done.stderr


@pytest.fixture
def with_gradio(monkeypatch):
    """As if it were there: what is wrong is told before it is imported."""
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: True)


def test_a_port_in_use_is_refused(run_tool, with_gradio):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        done = run_tool('app.py', '--port', port)
    assert done.returncode == 2
    assert f'app.py: error: --port {port} is in use; give another, or none' in done.stderr


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--port', '70000'], '--port 70000: must be from 1 to 65535'),
        (['--port', 'x'], "invalid int value: 'x'"),
        (['--model', 'cpm_6s'], "no trained weights of 'cpm_6s'; there are: cpm_lightning_3s"),
        (['--host', '192.0.2.1'], '--host 192.0.2.1 is not this computer'),
    ],
)
def test_a_wrong_argument_is_named(arguments, message, run_tool, with_gradio):
    done = run_tool('app.py', *arguments)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.slow
def test_it_prints_its_address_and_ctrl_c_ends_it_without_a_trace(repo, tmp_path):
    pytest.importorskip('gradio', reason='needs the extra [app]')
    environment = {
        **os.environ,
        'PYTHONPATH': os.pathsep.join([str(repo), *sys.path]),
        'TMPDIR': str(tmp_path),
    }
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', str(repo / 'tools' / 'app.py'), '--model', 'cpm_slim_3s'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout.readline() == 'starting ...\n'
        line = process.stdout.readline()
        address = re.fullmatch(r'(http://127\.0\.0\.1:\d+)    \(Ctrl-C ends it\)\n', line)
        assert address, line + process.stderr.read()
        page = urllib.request.urlopen(address[1], timeout=60).read().decode()
        assert '<title>' in page or 'gradio' in page
        assert [path.name[:8] for path in tmp_path.iterdir() if path.is_dir()] == ['cpm-app-']
        # browsers keep such a connection open
        with urllib.request.urlopen(f'{address[1]}/gradio_api/heartbeat/a', timeout=60):
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (0, '', '')
    assert list(tmp_path.iterdir()) == []
