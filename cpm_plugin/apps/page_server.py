"""The address of the page of ``cpm app``, and its server."""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import Any

FIRST_PORT = 7860  # Gradio's
_TRIES = 100  # ports that are tried where none is given


def listen(host: str, port: int | None = None) -> socket.socket:
    """Take an address on this computer.

    Args:
        host: Name or number of the computer, such as ``127.0.0.1``.
        port: The port; None: the first free one from 7860.

    Returns:
        The socket, which listens.

    Raises:
        ValueError: If the port is taken or may not be had, or the host is not this computer. The
            message names it.
    """
    ports = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + _TRIES)
    for number in ports:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            return socket.create_server(address, family=family)
        except socket.gaierror as error:
            raise ValueError(f'--host {host}: no such computer; give 127.0.0.1') from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ValueError(
                    f'--host {host} is not this computer; give 127.0.0.1, or 0.0.0.0 for the whole '
                    'network'
                ) from error
            if error.errno != errno.EADDRINUSE:
                raise ValueError(f'--port {number}: {os.strerror(error.errno or 0)}') from error
    if port is not None:
        raise ValueError(f'--port {port} is in use; give another, or none for the next free one')
    raise ValueError(
        f'the ports {FIRST_PORT} to {FIRST_PORT + _TRIES - 1} are in use; give another as --port'
    )


def address_of(listening: socket.socket) -> str:
    """Return the address to open in a browser.

    Args:
        listening: Socket of ``listen``.

    Returns:
        Such as ``http://127.0.0.1:7860``. Of all addresses of the computer it is the local one.
    """
    host, port = listening.getsockname()[:2]
    host = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host)
    return f'http://[{host}]:{port}' if ':' in host else f'http://{host}:{port}'


def serve(app: Any, listening: socket.socket) -> None:
    """Serve a page until Ctrl-C.

    Args:
        app: The ASGI application.
        listening: Socket of ``listen``, which is closed in the end.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: Any = None) -> None:
            # Browsers keep connections open. That these are broken off is no error.
            logging.getLogger('uvicorn.error').setLevel(logging.CRITICAL)
            await super().shutdown(sockets)

    config = uvicorn.Config(app, log_level='warning', timeout_graceful_shutdown=1)
    try:
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
