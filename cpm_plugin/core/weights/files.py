"""Files written whole or not at all, and a lock for what several processes change."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Seconds that a process waits for another one that holds a lock.
PATIENCE = 60.0

_LOGGER = logging.getLogger(__name__)


@contextmanager
def whole_file(path: Path, *, new: bool = False) -> Iterator[Path]:
    """Yield the path of a file to write, which becomes ``path`` when the block is left.

    What is on the disk under ``path`` is the old content or the new, even after a power cut. If the
    block raises an error, the file is removed, and ``path`` is as it was before.

    Args:
        path: File to write; its folder is made if there is none.
        new: Never replace a file.

    Yields:
        Path of a file beside ``path``, ``.NAME.PROCESS.part``. The block makes it, and closes it.

    Raises:
        FileExistsError: If there is a file under ``path``, with ``new``.
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        yield part
        with open(part, 'rb') as file:
            os.fsync(file.fileno())
        if new:
            _place_new(part, path)
        else:
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    with suppress(OSError):  # the new name, too, where the file system can
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file, all of it or nothing; see ``whole_file``.

    Args:
        path: File to write; its folder is made if there is none.
        content: Bytes of the file.

    Raises:
        OSError: If it cannot be written. The old content is there then.
    """
    try:
        with whole_file(Path(path)) as part, open(part, 'wb') as file:
            file.write(content)
    except OSError as error:
        raise OSError(
            error.errno, f'{error.strerror}; what was there before is untouched', str(path)
        ) from error


def _place_new(part: Path, target: Path) -> None:
    """Give a file its name; raise FileExistsError if that is taken."""
    try:
        os.link(part, target)  # unlike a rename, it does not replace a file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with open(target, 'xb'):
            pass  # the name is taken, now the file can be replaced
        try:
            os.replace(part, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes on this computer out, until the block is left or the process ends.

    Args:
        path: What is locked, such as a folder. It need not exist.

    Raises:
        ValueError: If another process has held the lock for ``PATIENCE`` seconds.
    """
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    name = Path(tempfile.gettempdir()) / f'cpm_plugin-{os.getuid()}-{key}.lock'
    end = time.monotonic() + PATIENCE
    told = False
    with open(name, 'a') as file:  # nothing in it is needed, so nothing is cut off
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    _LOGGER.warning('waiting for another process that changes %s', path)
                    told = True
                if time.monotonic() > end:
                    raise ValueError(
                        f'{path} is being changed by another process for {PATIENCE:g} s; wait for '
                        f'it, or end it (it holds {name})'
                    ) from None
                time.sleep(0.05)
        yield  # the kernel releases the lock when the file is closed, also after a kill
