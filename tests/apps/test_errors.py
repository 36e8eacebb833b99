"""Errors of libraries in one line."""

import cv2
import pytest

from cpm_plugin.apps.errors import FAILURES, one_line


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('a.jpg:\n  broken'), 'a.jpg: broken'),
        (FileNotFoundError(2, 'No such file', 'a.jpg'), 'a.jpg: No such file'),
        (OSError(28, 'No space left on device'), 'No space left on device'),
        (KeyError('model'), 'KeyError: model'),
        (RuntimeError('out of\nmemory'), 'RuntimeError: out of memory'),
        (MemoryError(), 'MemoryError'),
        (ValueError(), 'ValueError'),
        (cv2.error('(-215) empty'), 'cv2.error: (-215) empty'),
    ],
)
def test_line(error, line):
    assert one_line(error) == line


@pytest.mark.parametrize('kind', [OSError, ValueError, RuntimeError, MemoryError, cv2.error])
def test_what_can_happen_in_the_midst_of_the_work_is_caught_and_mistakes_of_ours_are_not(kind):
    assert issubclass(kind, FAILURES)
    assert not issubclass(TypeError, FAILURES) and not issubclass(AttributeError, FAILURES)
