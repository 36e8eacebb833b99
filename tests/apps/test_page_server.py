"""Addresses of the page: taken, refused by name, told to the user."""

import socket

import pytest

from cpm_plugin.apps import page_server
from cpm_plugin.apps.page_server import address_of, listen


def test_without_a_port_the_first_free_one_is_taken(monkeypatch):
    with socket.create_server(('127.0.0.1', 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(page_server, 'FIRST_PORT', taken)
        with listen('127.0.0.1') as found:
            port = found.getsockname()[1]
            assert taken < port < taken + 100
            assert address_of(found) == f'http://127.0.0.1:{port}'
            with socket.create_connection(('127.0.0.1', port), timeout=5):
                pass  # it listens
        monkeypatch.setattr(page_server, '_TRIES', 1)
        with pytest.raises(ValueError, match=f'the ports {taken} to {taken} are in use'):
            listen('127.0.0.1')


def test_a_port_in_use_is_refused_by_name():
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f'^--port {port} is in use; give another, or none'):
            listen('127.0.0.1', port)


@pytest.mark.parametrize(
    ('host', 'message'),
    [
        ('192.0.2.1', '--host 192.0.2.1 is not this computer; give 127.0.0.1'),  # RFC 5737
        ('no such name', '--host no such name: no such computer'),
    ],
)
def test_a_wrong_host_is_refused_by_name(host, message):
    with pytest.raises(ValueError, match=message):
        listen(host, 8123)


@pytest.mark.parametrize(
    ('name', 'address'),
    [
        (('127.0.0.1', 80), 'http://127.0.0.1:80'),
        (('0.0.0.0', 7861), 'http://127.0.0.1:7861'),
        (('::', 7861, 0, 0), 'http://[::1]:7861'),
        (('10.0.0.7', 99), 'http://10.0.0.7:99'),
    ],
)
def test_the_address_is_one_to_open(name, address):
    class Listening:
        def getsockname(self):
            return name

    assert address_of(Listening()) == address
