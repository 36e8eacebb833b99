"""Errors of libraries in words for users."""

from __future__ import annotations

import cv2

# What a broken image, a disk or a memory that is full, or a GPU can raise in the midst of the work.
# Errors of a user's making that are known beforehand are ValueErrors with a remedy.
FAILURES = (MemoryError, OSError, RuntimeError, ValueError, cv2.error)


def one_line(error: BaseException) -> str:
    """Describe an error in one line.

    Args:
        error: Any error.

    Returns:
        Of a ValueError its message, of an OSError the file and the reason, of others the type and
            the message.
    """
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    told = error.args[0] if isinstance(error, KeyError) and error.args else error
    text = ' '.join(str(told).split())
    if isinstance(error, ValueError) and text:
        return text
    kind = type(error)
    name = kind.__name__ if kind.__module__ == 'builtins' else f'{kind.__module__}.{kind.__name__}'
    return f'{name}: {text}' if text else name
