"""Sessions and attempts to log in, kept in memory: a restart of the site ends every session."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import sha256

_MOST_SESSIONS = 5_000
_MOST_COUNTED = 20_000
Clock = Callable[[], float]


@dataclass
class Session:
    """One browser that is logged in. ``proof``: the hash of the password it was opened with; a new one ends it."""

    user: str
    proof: str
    began: float
    seen: float


class Sessions:
    """Sessions by a random id that only the browser has; here it is kept as a hash."""

    def __init__(self, *, idle_hours: float, absolute_hours: float, clock: Clock = time.monotonic) -> None:
        self._idle, self._absolute, self._clock = idle_hours * 3600, absolute_hours * 3600, clock
        self._kept: dict[str, Session] = {}
        self._lock = threading.Lock()

    def open(self, user: str, proof: str = "") -> str:
        """A new id, whatever id the browser came with."""
        given, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            if len(self._kept) >= _MOST_SESSIONS:
                self._kept = {name: one for name, one in self._kept.items() if not self._is_over(one, now)}
            while len(self._kept) >= _MOST_SESSIONS:
                del self._kept[min(self._kept, key=lambda name: self._kept[name].seen)]
            self._kept[_hashed(given)] = Session(user, proof, now, now)
        return given

    def find(self, given: str) -> Session | None:
        """The session of an id that has not expired; using it keeps it from becoming idle."""
        name, now = _hashed(given), self._clock()
        with self._lock:
            found = self._kept.get(name)
            if found is None:
                return None
            if self._is_over(found, now):
                del self._kept[name]
                return None
            found.seen = now
            return found

    def end(self, given: str) -> None:
        """Log out."""
        with self._lock:
            self._kept.pop(_hashed(given), None)

    def _is_over(self, one: Session, now: float) -> bool:
        return now - one.seen > self._idle or now - one.began > self._absolute


class Attempts:
    """Failed attempts of the last ``seconds`` by user, address and so on; beyond ``most`` nothing is tried any more."""

    def __init__(self, most: int, *, seconds: float = 900, clock: Clock = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._failed: dict[Hashable, deque[float]] = {}
        self._lock = threading.Lock()

    def wait_seconds(self, key: Hashable) -> int:
        """How long until the next attempt is let through; 0: now."""
        with self._lock:
            failed = self._recent(key)
            return 0 if len(failed) < self._most else max(1, int(failed[0] + self._seconds - self._clock()) + 1)

    def failed(self, key: Hashable) -> None:
        """Count one."""
        with self._lock:
            if len(self._failed) >= _MOST_COUNTED:
                for one in list(self._failed):
                    self._recent(one)
            while len(self._failed) >= _MOST_COUNTED:  # the oldest key: dicts keep their order
                del self._failed[next(iter(self._failed))]
            self._failed.setdefault(key, deque(maxlen=self._most)).append(self._clock())

    def forget(self, key: Hashable) -> None:
        """The right password clears what was counted."""
        with self._lock:
            self._failed.pop(key, None)

    def _recent(self, key: Hashable) -> deque[float]:
        failed = self._failed.get(key)
        if failed is None:
            return deque()
        since = self._clock() - self._seconds
        while failed and failed[0] <= since:
            failed.popleft()
        if not failed:
            del self._failed[key]
        return failed


class FormKey:
    """Signs forms: a form is good for the session that it was shown in, and for no other."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def token(self, session: str, user: str) -> str:
        """What a form of this session carries."""
        return hmac.new(self._key, f"{session}\0{user}".encode(), sha256).hexdigest()

    def fits(self, token: str, session: str, user: str) -> bool:
        """Whether a form came from this session, compared in constant time."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token(session, user).encode())


def _hashed(given: str) -> str:
    return sha256(given.encode("utf-8", "replace")).hexdigest()
