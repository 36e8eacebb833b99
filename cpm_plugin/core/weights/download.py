"""Downloads that end: over HTTP(S) only, with a timeout, the file whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from .files import whole_file

# Seconds without an answer or a byte.
TIMEOUT = 30.0
_BLOCK = 1 << 20


def download(url: str, target: Path, *, sha256: str | None = None) -> None:
    """Download a file.

    Args:
        url: ``http://...`` or ``https://...``.
        target: Where to; its folder is made. A file that is there is replaced.
        sha256: What the file must have, in hexadecimal digits; None: not verified.

    Raises:
        ValueError: Naming the URL, for another scheme, a server that does not answer in
            ``TIMEOUT`` seconds, a download that is cut off, or another checksum. Nothing is
            left then.
    """
    scheme = urlparse(url).scheme
    if scheme not in ('http', 'https'):
        raise ValueError(f'{url}: weights come by http or https, not by {scheme or "no scheme"!r}')
    found = hashlib.sha256()
    size = 0
    try:
        with whole_file(target) as part:
            with urlopen(Request(url), timeout=TIMEOUT) as answer, open(part, 'wb') as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    found.update(block)
                    size += len(block)
                length = answer.headers.get('Content-Length')
            if length is not None and size != int(length):
                raise ValueError(f'{size:,} of {int(length):,} bytes came')
            if sha256 is not None and found.hexdigest() != sha256:
                raise ValueError(f'its sha256 is {found.hexdigest()[:8]}..., not {sha256[:8]}...')
    except (OSError, ValueError) as error:
        raise ValueError(f'{url} could not be downloaded: {error}') from error
