"""The leaky bucket of Happy Returns' partner API: one for everything that this home sends, whichever process sends it.

A file of the home holds the instant (Unix seconds of the real clock) from which on the next request may leave. Anyone who wants to
send one takes that instant and moves it on, behind a lock of the kernel, and waits for it without holding anything.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Clock = Callable[[], float]
Sleep = Callable[[float], None]

FILE = "partner_api.bucket"  # in the home
_LONGEST_WAIT = 900.0  # seconds: what is later than this was written by a clock that has been set since
_LONGEST_TEXT = 40  # bytes


class LeakyBucket:
    """``requests_per_second``: what flows out of it. Several of them on one file keep that rate together."""

    def __init__(
        self, path: Path, requests_per_second: float, *, clock: Clock = time.time, sleep: Sleep = time.sleep
    ) -> None:
        self._path, self._clock, self._sleep = path, clock, sleep
        self.interval = 1 / requests_per_second

    def take(self, most: float = math.inf) -> float | None:
        """Return when a request may leave, which it has to do at once. Answers the seconds that it waited; ``None``, at once: it
        would have been more than ``most``, and nothing may leave.
        """
        with self._instant() as (read, write):
            now = self._clock()
            free_at = read()
            at = now if free_at > now + _LONGEST_WAIT else max(now, free_at)
            if at - now > most:
                return None
            write(at + self.interval)
        wait = at - now
        if wait > 0:
            self._sleep(wait)
        return wait

    def hold(self, seconds: float) -> None:
        """Nothing leaves for so long, in no process: the other side has said that its bucket is full."""
        with self._instant() as (read, write):
            until = self._clock() + min(seconds, _LONGEST_WAIT)
            if until > read():
                write(until)

    def slow_down(self, requests_per_second: float) -> None:
        """The other side says that its bucket leaks more slowly than we thought; it never makes us faster."""
        self.interval = max(self.interval, 1 / requests_per_second)

    @contextmanager
    def _instant(self) -> Iterator[tuple[Callable[[], float], Callable[[float], None]]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

        def read() -> float:
            try:
                instant = float(os.pread(descriptor, _LONGEST_TEXT, 0).decode("ascii"))
            except ValueError:  # empty, or not ours
                return 0.0
            return instant if math.isfinite(instant) else 0.0

        def write(instant: float) -> None:
            text = f"{instant:.6f}".encode()
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield read, write
        finally:
            os.close(descriptor)
