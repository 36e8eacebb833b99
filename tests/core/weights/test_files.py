"""A lock keeps processes apart, and does not outlive them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from cpm_plugin.core.weights import files
from cpm_plugin.core.weights.files import locked, place_new

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
    part, target = tmp_path / 'part', tmp_path / 'target'
    part.write_bytes(b'new')
    place_new(part, target)
    assert target.read_bytes() == b'new'
    (tmp_path / 'second').write_bytes(b'other')
    with pytest.raises(FileExistsError):
        place_new(tmp_path / 'second', target)
    assert target.read_bytes() == b'new'
