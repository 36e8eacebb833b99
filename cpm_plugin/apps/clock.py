"""Limit of the time of a run of which nobody knows how long its parts take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds that a row takes at most, before one of its kind has been measured: a guess.
_FIRST_GUESS = {False: 5.0, True: 40.0}


class Clock:
    """Limit of the time of a run.

    Args:
        limit: Seconds in all.
        now: Function that returns the seconds since some time.
    """

    def __init__(self, limit: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._end = now() + limit
        self._longest = dict(_FIRST_GUESS)

    def has_time(self, compiled: bool) -> bool:
        """Tell whether the longest row of a kind so far would still end within the limit.

        Args:
            compiled: Kind of the row: compiled or not.

        Returns:
            Whether it would.
        """
        return self._now() + self._longest[compiled] <= self._end

    @contextmanager
    def row(self, compiled: bool) -> Iterator[None]:
        """Remember how long a row of a kind takes, with all that it needs.

        Args:
            compiled: Kind of the row.
        """
        begin = self._now()
        try:
            yield
        finally:
            self._longest[compiled] = max(self._longest[compiled], self._now() - begin)
