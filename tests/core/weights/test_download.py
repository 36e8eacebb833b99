"""Downloads: whole or not there, and never without an end."""

import hashlib
import socket

import pytest

from cpm_plugin.core.weights import download as module
from cpm_plugin.core.weights.download import download


def test_a_file_comes_whole_and_verified(serve, tmp_path):
    folder, url = serve
    content = bytes(range(256)) * 5000  # more than a block
    (folder / 'a.pth').write_bytes(content)
    target = tmp_path / 'new' / 'a.pth'
    download(f'{url}/a.pth', target, sha256=hashlib.sha256(content).hexdigest())
    assert target.read_bytes() == content
    with pytest.raises(ValueError, match=r'its sha256 is [0-9a-f]{8}\.\.\., not 00000000'):
        download(f'{url}/a.pth', target, sha256='0' * 64)
    assert target.read_bytes() == content  # what was there stays
    assert [path.name for path in target.parent.iterdir()] == ['a.pth']


def answer_once(content):
    """A server on this computer that sends some bytes to one visitor; its address."""
    import threading

    server = socket.create_server(('127.0.0.1', 0))

    def serve_one():
        visitor, _ = server.accept()
        visitor.recv(4096)
        visitor.sendall(content)
        if content:
            visitor.close()
        else:
            kept.append(visitor)

    kept = [server]
    threading.Thread(target=serve_one, daemon=True).start()
    return f'http://127.0.0.1:{server.getsockname()[1]}/a.pth', kept


def test_a_download_that_is_cut_off_leaves_nothing(tmp_path):
    url, _ = answer_once(b'HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nonly this')
    with pytest.raises(ValueError, match=r'could not be downloaded: 9 of 1,000 bytes|Incomplete'):
        download(url, tmp_path / 'a.pth')
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'TIMEOUT', 0.3)
    url, _ = answer_once(b'')
    with pytest.raises(ValueError, match=r'could not be downloaded: .*timed out'):
        download(url, tmp_path / 'a.pth')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('url', ['file:///etc/hostname', 'ftp://127.0.0.1/a', 'a.pth'])
def test_other_ways_than_http_are_refused(url, tmp_path):
    with pytest.raises(ValueError, match='weights come by http or https'):
        download(url, tmp_path / 'a.pth')
