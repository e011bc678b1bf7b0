"""Where deliveries are handed in: the real receiver, which is killed now and then, or its store alone, which costs no process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Self

import requests
from pydantic import SecretStr

from hr_centra_pipeline.inbox.inbox_store import VERIFIED, Inbox, Received
from hr_centra_pipeline.inbox.signatures import HappyReturnsVerifier, Signature
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock

_ADDRESS = "/happy-returns/main"


@dataclass
class StoreGate:
    """Verifies and keeps, in this process."""

    address: str
    secret: str
    clock: SandboxClock
    kills: int = 0

    def post(self, body: bytes, signature: str | None) -> str | None:
        """The id under which it is kept; ``None``: it did not verify."""
        headers = {"x-hr-signature": signature} if signature else {}
        verdict = HappyReturnsVerifier([SecretStr(self.secret)], Signature()).verdict(headers, body)
        received = Received("happy_returns", "main", self.clock.now(), headers, body, verdict)
        inbox = Inbox.open(self.address)
        try:
            if verdict == VERIFIED:
                return inbox.keep([received])[0]
            inbox.keep_apart([received])
            return None
        finally:
            inbox.close()

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class ServedInbox:
    """``hr-centra inbox serve`` in a process of its own, on a free loopback port."""

    environment: Mapping[str, str]
    process: subprocess.Popen[str] | None = None
    url: str = ""

    def start(self) -> Self:
        """Start it, and wait until it listens.

        Raises:
            AssertionError: it ended instead.
        """
        command = [sys.executable, "-m", "hr_centra_pipeline.cli.main", "inbox", "serve", "--port", "0", "--quiet"]
        with (Path(self.environment["HR_CENTRA_HOME"]) / "inbox.log").open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                env={**self.environment, "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line.startswith("Inbox: "), f"the inbox did not start: {line}"
        self.url = line.split()[1]
        return self

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None

    def stop(self) -> None:
        """As systemd ends it."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            finally:
                self.kill()


@dataclass
class ServedGate:
    """The receiver over HTTP. A vendor that gets no answer sends again; ``kills``: how often there was none on purpose."""

    inbox: ServedInbox
    random: Random
    kill_share: float = 0.01
    kills: int = 0
    refused: int = 0
    _session: requests.Session = field(default_factory=requests.Session)

    def post(self, body: bytes, signature: str | None) -> str | None:
        """The id under which it is kept; ``None``: it did not verify."""
        headers = {"Content-Type": "application/json"} | ({"X-Hr-Signature": signature} if signature else {})
        if self.inbox.process is None:
            self.inbox.start()
        if self.random.random() < self.kill_share and (kept := self._die_of(body, headers)):
            return kept
        answer = self._session.post(self.inbox.url + _ADDRESS, data=body, headers=headers, timeout=60)
        if answer.status_code == requests.codes.ok:
            return answer.text.strip()
        assert answer.status_code == requests.codes.unauthorized, f"{answer.status_code}: {answer.text}"
        self.refused += 1
        return None

    def _die_of(self, body: bytes, headers: Mapping[str, str]) -> str | None:
        """Killed while a delivery is under way, or right after its answer, and started again. Answers the id that was answered."""
        kept = None
        with suppress(requests.RequestException):
            seconds = self.random.choice((0.002, 0.01, 5.0))
            answer = self._session.post(self.inbox.url + _ADDRESS, data=body, headers=dict(headers), timeout=seconds)
            if answer.status_code == requests.codes.ok:
                kept = answer.text.strip()
        self.inbox.kill()
        self.kills += 1
        self._session.close()
        self._session = requests.Session()
        self.inbox.start()
        return kept

    def close(self) -> None:
        """End the receiver."""
        self._session.close()
        self.inbox.stop()
