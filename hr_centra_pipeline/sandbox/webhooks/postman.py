"""The thread that sends what is due on the shop's clock, in order, over HTTP."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Mapping
from typing import Protocol

import requests

from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.webhooks.outbox import Delivery, Mishaps, Outbox

_LOOKS_EVERY_SECONDS = 0.1


class Sender(Protocol):
    """A vendor that pushes: its outbox, its habits, and the headers that it signs with."""

    @property
    def outbox(self) -> Outbox:
        """Where its deliveries wait."""
        ...

    def mishaps(self) -> Mishaps:
        """What goes wrong on its way, and how often it tries again."""
        ...

    def headers(self, delivery: Delivery) -> Mapping[str, str]:
        """Content type and signature."""
        ...

    def gather(self) -> None:
        """Make deliveries of what has happened, where that is not done already."""
        ...


class Postman:
    """Sends for several vendors. It does nothing, and costs nothing, until it is started."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._now = clock.now
        self._senders: dict[str, Sender] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, name: str, sender: Sender) -> None:
        """Send for a vendor from now on."""
        with self._lock:
            self._senders[name] = sender
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="postman", daemon=True)
                self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Look at once: the clock has moved, or something has happened."""
        self._wake.set()

    def close(self) -> None:
        """Stop; what was not sent waits."""
        self._ends.set()
        self.wake()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def drain(self, seconds: float) -> dict[str, int]:
        """Wait until everything that is due is sent, at most so long; answers what is still due by vendor."""
        until = time.monotonic() + seconds
        while True:
            self.wake()
            left = self.due()
            if not any(left.values()) or time.monotonic() > until:
                return left
            time.sleep(0.01)

    def due(self) -> dict[str, int]:
        """How many deliveries are due by vendor."""
        now, left = self._now(), {}
        for name, sender in dict(self._senders).items():
            sender.gather()
            left[name] = sender.outbox.due(now)
        return left

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._ends.is_set():
                self._wake.clear()
                for sender in dict(self._senders).values():
                    # A file that is locked for too long: what was not noted is sent again.
                    with contextlib.suppress(sqlite3.OperationalError):
                        self._send_due(sender, session)
                self._wake.wait(_LOOKS_EVERY_SECONDS)

    def _send_due(self, sender: Sender, session: requests.Session) -> None:
        sender.gather()
        while not self._ends.is_set():
            one = sender.outbox.next_due(self._now())
            if one is None:
                return
            mishaps = sender.mishaps()
            status, problem = None, ""
            try:
                with self._clock.held():
                    status = self._post(one, sender, session, mishaps)
            except requests.RequestException as error:
                problem = type(error).__name__
            sender.outbox.answered(one, status, problem, self._now(), mishaps)

    def _post(self, one: Delivery, sender: Sender, session: requests.Session, mishaps: Mishaps) -> int:
        with session.post(
            one.url, data=one.body, headers=dict(sender.headers(one)), timeout=mishaps.timeout_seconds,
            allow_redirects=False,
        ) as answer:  # fmt: skip
            return answer.status_code
