"""One thread writes to the store: whatever has arrived meanwhile is one transaction, and its senders are answered after it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hr_centra_pipeline.inbox.inbox_store import Inbox, Received, StoreFailed

_log = logging.getLogger(__name__)

_MOST_IN_GROUP = 500
_MOST_BYTES_IN_GROUP = 8 << 20
_COUNTS_EVERY_SECONDS = 5.0
_WARN_EVERY_SECONDS = 10.0

Answer = asyncio.Future[str | None]
"""The id that a delivery is kept by; ``None``: it is not kept. Of one that is kept apart, an empty text."""


@dataclass(frozen=True)
class _Job:
    """``received`` of ``None``: only whether the store can be written is asked."""

    received: Received | None
    is_verified: bool
    answer: Answer


class GroupCommit:
    """A bounded queue before the store. ``put`` and ``probe`` are called by the event loop's thread only."""

    def __init__(self, inbox: Inbox, *, most_queued: int) -> None:
        self._inbox = inbox
        self._most_queued = most_queued
        self._jobs: deque[_Job] = deque()
        self._refused: dict[tuple[str, str], int] = {}
        self._wake = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._write, name="inbox writer", daemon=True)
        self._warned_at = float("-inf")
        self.written_at = float("-inf")
        """When a transaction was committed last, by the monotonic clock."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Write what is queued, then end. What is not written after so many seconds gets no answer."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        self._thread.join(seconds)

    @property
    def queued(self) -> int:
        """How many wait to be written."""
        return len(self._jobs)

    def put(self, received: Received, *, is_verified: bool) -> Answer | None:
        """Queue a delivery; ``None``: the queue is full, or we are stopping."""
        return self._put(received, is_verified)

    def probe(self) -> Answer | None:
        """Ask whether the store can be written, now: the answer is a text if so."""
        return self._put(None, False)

    def refused(self, vendor: str, bound: str) -> None:
        """Count a delivery that was refused unread."""
        with self._wake:
            self._refused[vendor, bound] = self._refused.get((vendor, bound), 0) + 1

    def _put(self, received: Received | None, is_verified: bool) -> Answer | None:
        with self._wake:
            if self._is_stopping or len(self._jobs) >= self._most_queued:
                return None
            answer: Answer = asyncio.get_running_loop().create_future()
            self._jobs.append(_Job(received, is_verified, answer))
            self._wake.notify()
        return answer

    # ---------------------------------------------------------------- the writing thread

    def _write(self) -> None:
        while True:
            with self._wake:
                if not self._jobs and not self._is_stopping:
                    self._wake.wait(_COUNTS_EVERY_SECONDS)
                group = self._next_group()
                refused, self._refused = self._refused, {}
                is_last = self._is_stopping and not self._jobs
            if group or refused:
                self._commit(group, refused)
            if is_last:
                return

    def _next_group(self) -> list[_Job]:
        group: list[_Job] = []
        room = _MOST_BYTES_IN_GROUP
        while self._jobs and len(group) < _MOST_IN_GROUP and room > 0:
            job = self._jobs.popleft()
            group.append(job)
            room -= len(job.received.body) if job.received else 0
        return group

    def _commit(self, group: Sequence[_Job], refused: dict[tuple[str, str], int]) -> None:
        verified = [job.received for job in group if job.received and job.is_verified]
        unverified = [job.received for job in group if job.received and not job.is_verified]
        try:
            ids = self._inbox.keep_all(verified, unverified, refused)
            if not (verified or unverified or refused):
                self._inbox.probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the receiver goes on: the senders get a 503
            self._failed(error, len(verified) + len(unverified))
            with self._wake:
                for key, number in refused.items():
                    self._refused[key] = self._refused.get(key, 0) + number
            self._answer([(job.answer, None) for job in group])
            return
        self.written_at = time.monotonic()
        each = iter(ids)
        self._answer([(job.answer, next(each) if job.received and job.is_verified else "") for job in group])

    def _failed(self, error: Exception, number: int) -> None:
        now = time.monotonic()
        if now - self._warned_at < _WARN_EVERY_SECONDS:
            return
        self._warned_at = now
        if isinstance(error, StoreFailed):
            _log.error("%s %d deliveries were answered 503.", error, number)
        else:
            _log.exception("The inbox cannot be written; %d deliveries were answered 503.", number)

    def _answer(self, answers: Sequence[tuple[Answer, str | None]]) -> None:
        def give() -> None:
            for answer, delivery_id in answers:
                if not answer.done():  # its sender has gone
                    answer.set_result(delivery_id)

        if answers:
            try:
                answers[0][0].get_loop().call_soon_threadsafe(give)
            except RuntimeError:  # the loop has ended: nobody is there to be answered
                _log.warning("%d deliveries were kept after their senders had gone.", len(answers))
