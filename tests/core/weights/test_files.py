"""A lock keeps processes apart, and does not outlive them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from cpm_plugin.core.weights import files
from cpm_plugin.core.weights.files import locked, whole_file

HOLDER = """
import sys, time
from pathlib import Path
from cpm_plugin.core.weights.files import locked
with locked(Path(sys.argv[1])):
    print('held', flush=True)
    time.sleep(60)
"""


def test_another_process_waits_until_the_first_has_ended(repo, tmp_path, monkeypatch):
    holder = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(repo)},
    )
    assert holder.stdout.readline() == 'held\n'
    monkeypatch.setattr(files, 'PATIENCE', 0.2)
    with pytest.raises(ValueError, match='is being changed by another process'), locked(tmp_path):
        raise AssertionError('both inside')
    with locked(tmp_path / 'other'):  # another folder is free
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    begin = time.monotonic()
    with locked(tmp_path):
        assert time.monotonic() - begin < 0.2


@pytest.mark.parametrize('links', [True, False])
def test_a_new_file_never_replaces_one(links, tmp_path, monkeypatch):
    if not links:

        def refuse(*_):
            raise PermissionError(1, 'Operation not permitted')

        monkeypatch.setattr(os, 'link', refuse)
    target = tmp_path / 'new' / 'target'
    with whole_file(target, new=True) as part:
        part.write_bytes(b'new')
        assert not target.exists()
    assert target.read_bytes() == b'new'
    with pytest.raises(FileExistsError), whole_file(target, new=True) as part:
        part.write_bytes(b'other')
    assert target.read_bytes() == b'new'
    assert list(target.parent.iterdir()) == [target]


def test_an_error_while_a_file_is_written_leaves_the_old_one_alone(tmp_path):
    target = tmp_path / 'a'
    target.write_bytes(b'old')
    with pytest.raises(KeyError), whole_file(target) as part:
        part.write_bytes(b'half')
        raise KeyError
    assert target.read_bytes() == b'old' and list(tmp_path.iterdir()) == [target]
