"""The partner API's rate limit: a leaky bucket by the real clock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class LeakyBucket:
    """Each request fills it by one, and it leaks at a constant rate. ``speed``: how much faster than real time."""

    def __init__(self, speed: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._clock = clock
        self._level = 0.0
        self._at = clock()
        self._lock = threading.Lock()

    def take(self, requests_a_second: float, size: float) -> float:
        """Take a request in, or answer the real seconds after which there is room for it."""
        with self._lock:
            now = self._clock()
            self._level = max(0.0, self._level - (now - self._at) * self._speed * requests_a_second)
            self._at = now
            beyond = self._level + 1 - size
            if beyond > 1e-9:
                return self._rounded(beyond / requests_a_second / self._speed)
            self._level += 1
            return 0.0

    def _rounded(self, seconds: float) -> float:
        """Up to a whole second; where time is faster, to a millisecond."""
        return math.ceil(seconds * 1000) / 1000 if self._speed > 1 else float(math.ceil(seconds))
