"""The receiver: ``POST /happy-returns/{shop}``, ``POST /centra/{shop}``, ``GET /health``. A plain ASGI application.

A delivery is answered 2xx only once its raw body is on disk; it is not parsed before. One that does not verify is kept apart and
answered 401. What cannot be kept now is answered 503, so that the vendor sends it again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.inbox.group_commit import GroupCommit
from hr_centra_pipeline.inbox.inbox_store import VERIFIED, VERIFIED_OLD, Inbox, Received, StoreFailed, Waiting
from hr_centra_pipeline.inbox.signatures import Verifier

_log = logging.getLogger(__name__)

PATHS: Mapping[str, str] = {"happy-returns": "happy_returns", "centra": "centra"}
"""Vendors by the first part of their address."""

UNKNOWN = "unknown"
"""In counts, the vendor of a connection that was refused before it said whom it is of."""

_KEPT_HEADERS = frozenset({"content-type", "content-encoding", "content-length", "user-agent", "date"})
_SECRET_HEADER = re.compile(r"auth|cookie|key|token|secret|session|passw")
_MOST_HEADER_BYTES = 8 << 10  # of the headers that are kept
# A store that hangs; one that fails says so sooner. What it keeps after all is kept, and sent again.
_ANSWER_SECONDS = 15.0
_STOP_SECONDS = 20.0  # for what is queued to be written
_HEALTH_SECONDS = 1.0  # how old a health report may be
_EXAMINED_SECONDS = 5.0
_RETRY_SECONDS = 5
_LOG_EVERY_SECONDS = 10.0

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


@dataclass(frozen=True)
class Bounds:
    """What the receiver accepts. A delivery beyond one of them is refused unread, by name, and counted."""

    body_bytes: int = 4 << 20
    body_seconds: float = 10.0
    head_bytes: int = 32 << 10
    head_seconds: float = 10.0
    connections: int = 1_000
    requests: int = 512  # at once
    held_bytes: int = 64 << 20  # of all bodies that are being read or written
    per_second: float = 2_000  # deliveries of a vendor that verify
    unverified_per_second: float = 20  # of a vendor; what is beyond is answered 401 and counted, but not kept
    queued: int = 4_000


@dataclass(frozen=True)
class Answer:
    """``bound``: the name of the bound that refused the request."""

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    bound: str | None = None
    is_last: bool = False  # the connection is closed: the rest of the body is not read


_TOO_BUSY = ((b"retry-after", str(_RETRY_SECONDS).encode()),)


TOO_MANY_CONNECTIONS = Answer(503, "Too many connections at once.", _TOO_BUSY, "connections", is_last=True)
HEAD_TOO_SLOW = Answer(408, "The headers took too long.", (), "head_seconds", is_last=True)


def head_too_large(bounds: Bounds) -> Answer:
    """The answer to too many bytes of headers, whether they come in one packet or in many."""
    return Answer(431, f"At most {bounds.head_bytes:,} bytes of headers.", (), "head_bytes", is_last=True)


class _Refused(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer


class _Rate:
    """A bucket that fills at so many a second, and holds one second's."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._room = max(per_second, 1.0)
        self._at = time.monotonic()

    def takes_one(self) -> bool:
        now = time.monotonic()
        self._room = min(max(self._per_second, 1.0), self._room + (now - self._at) * self._per_second)
        self._at = now
        if self._room < 1:
            return False
        self._room -= 1
        return True


class Receiver:
    """The application. ``verifiers``: of the vendors whose secret is set; the others are refused."""

    def __init__(
        self,
        inbox: Inbox,
        verifiers: Mapping[str, Verifier],
        *,
        shops: Sequence[str] = ("main",),
        bounds: Bounds | None = None,
    ) -> None:
        self._inbox = inbox
        self._verifiers = dict(verifiers)
        self._shops = frozenset(shops)
        self._bounds = bounds or Bounds()
        self._commits = GroupCommit(inbox, most_queued=self._bounds.queued)
        self._rates = {vendor: _Rate(self._bounds.per_second) for vendor in PATHS.values()}
        self._unverified_rates = {vendor: _Rate(self._bounds.unverified_per_second) for vendor in PATHS.values()}
        self._requests = 0
        self._held = 0
        self._health: tuple[float, bool, dict[str, Any]] | None = None
        self._health_lock = asyncio.Lock()
        self._logged_at: dict[str, float] = {}

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """One request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            return
        path, method = str(scope["path"]), str(scope["method"])
        if path == "/health":
            answer = await self._health_answer(method)
        else:
            answer = await self._delivery_answer(path, method, scope, receive)
        await _respond(send, answer, has_body=method != "HEAD")

    def count_refused(self, path: str, bound: str) -> None:
        """Count what was refused before it was a request. ``path``: as far as it has come; whose it is may not be known."""
        self._commits.refused(PATHS.get(path.lstrip("/").partition("/")[0], UNKNOWN), bound)

    async def _live(self, receive: _Receive, send: _Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._commits.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self._commits.stop, _STOP_SECONDS)
                await send({"type": "lifespan.shutdown.complete"})
                return

    # ---------------------------------------------------------------- deliveries

    async def _delivery_answer(self, path: str, method: str, scope: _Message, receive: _Receive) -> Answer:
        _, _, rest = path.partition("/")
        first, _, shop = rest.partition("/")
        vendor = PATHS.get(first)
        if vendor is None or shop not in self._shops:
            self._log_seldom("unknown address", "A request for an address that is not a vendor's was answered 404.")
            return Answer(404, "There is nothing here.", is_last=True)
        if method != "POST":
            return Answer(405, "Deliveries are POSTed.", ((b"allow", b"POST"),), is_last=True)
        began = time.monotonic()
        self._requests += 1
        try:
            answer = await self._received(vendor, shop, scope, receive)
        except _Refused as refused:
            answer = refused.answer
        finally:
            self._requests -= 1
        if answer.bound:
            self._commits.refused(vendor, answer.bound)
        _log.info(
            "%s/%s %d %s %.0f ms", vendor, shop, answer.status, answer.bound or answer.text, (time.monotonic() - began) * 1_000
        )  # fmt: skip
        return answer

    async def _received(self, vendor: str, shop: str, scope: _Message, receive: _Receive) -> Answer:
        """Raises:
        _Refused: it is not kept.
        """
        verifier = self._verifiers.get(vendor)
        if verifier is None:
            self._log_seldom(vendor, f"A delivery of {vendor} was refused: no secret is set to verify it with.")
            raise _Refused(Answer(503, "No secret is set here.", _TOO_BUSY, "no_secret", is_last=True))
        if self._requests > self._bounds.requests:
            raise _Refused(Answer(503, "Too many requests at once.", _TOO_BUSY, "requests", is_last=True))
        head = _head(scope["headers"], self._bounds)
        body = await self._read(head, receive)
        return await self._kept(vendor, shop, verifier, head, body)

    async def _read(self, head: Mapping[str, str], receive: _Receive) -> bytes:
        """The raw body, of any content.

        Raises:
            _Refused: it is too large, takes too long, or ends early.
        """
        if _length(head) > self._bounds.body_bytes:
            raise _Refused(self._too_large())
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._bounds.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":  # nobody is there to read the answer
                        raise _Refused(Answer(400, "Cut off.", (), "cut_off", is_last=True))
                    part = message.get("body", b"")
                    size += len(part)
                    self._held += len(part)
                    if size > self._bounds.body_bytes:
                        raise _Refused(self._too_large())
                    if self._held > self._bounds.held_bytes:
                        raise _Refused(Answer(503, "Too much at once.", _TOO_BUSY, "held_bytes", is_last=True))
                    parts.append(part)
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise _Refused(Answer(408, "The body took too long.", (), "body_seconds", is_last=True)) from None
        finally:
            self._held -= size

    def _too_large(self) -> Answer:
        return Answer(413, f"At most {self._bounds.body_bytes:,} bytes.", (), "body_bytes", is_last=True)

    async def _kept(self, vendor: str, shop: str, verifier: Verifier, head: Mapping[str, str], body: bytes) -> Answer:
        """Raises:
        _Refused: it is not kept.
        """
        at = clock.now()
        verdict = verifier.verdict(head, body, at=at)
        is_verified = verdict in (VERIFIED, VERIFIED_OLD)
        if not is_verified:
            self._log_seldom(f"{vendor} {verdict}", f"A delivery of {vendor}/{shop} did not verify: {verdict}.")
            if not self._unverified_rates[vendor].takes_one():
                raise _Refused(Answer(401, verdict, (), "unverified_per_second"))
        elif not self._rates[vendor].takes_one():
            raise _Refused(Answer(503, "Too many deliveries a second.", _TOO_BUSY, "per_second"))
        received = Received(vendor, shop, at, _kept_headers(head, verifier.header), body, verdict)
        queued = self._commits.put(received, is_verified=is_verified)
        if queued is None:
            raise _Refused(Answer(503, "Too many deliveries wait to be kept.", _TOO_BUSY, "queued"))
        self._held += len(body)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                delivery_id = await queued
        except TimeoutError:
            delivery_id = None
        finally:
            self._held -= len(body)
        if delivery_id is None:
            raise _Refused(Answer(503, "It cannot be kept now.", _TOO_BUSY, "store"))
        return Answer(200, delivery_id) if is_verified else Answer(401, verdict)

    def _log_seldom(self, topic: str, text: str) -> None:
        """What anybody outside can cause without end is logged now and then."""
        now = time.monotonic()
        if now - self._logged_at.get(topic, float("-inf")) >= _LOG_EVERY_SECONDS:
            self._logged_at[topic] = now
            _log.warning("%s", text)

    # ---------------------------------------------------------------- health

    async def _health_answer(self, method: str) -> Answer:
        if method not in ("GET", "HEAD"):
            return Answer(405, "GET it.", ((b"allow", b"GET, HEAD"),), is_last=True)
        async with self._health_lock:
            if self._health is None or time.monotonic() - self._health[0] > _HEALTH_SECONDS:
                is_well, report = await self._examined()
                self._health = (time.monotonic(), is_well, report)
        _, is_well, report = self._health
        kind = ((b"content-type", b"application/json"),)
        return Answer(200 if is_well else 503, json.dumps(report), kind)

    async def _examined(self) -> tuple[bool, dict[str, Any]]:
        is_written = time.monotonic() - self._commits.written_at < _HEALTH_SECONDS
        if not is_written:
            asked = self._commits.probe()
            if asked is not None:
                try:
                    async with asyncio.timeout(_EXAMINED_SECONDS):
                        is_written = await asked is not None
                except TimeoutError:
                    is_written = False
        try:
            async with asyncio.timeout(_EXAMINED_SECONDS):
                waiting, last = await asyncio.to_thread(lambda: (self._inbox.waiting(), self._inbox.last_received_at()))
        except (StoreFailed, TimeoutError):
            waiting, last, is_written = Waiting(0), None, False
        return is_written, {
            "store": "writable" if is_written else "not writable",
            "vendors": sorted(self._verifiers),
            "waiting": waiting.count,
            "oldest_waiting_at": waiting.oldest_at and waiting.oldest_at.isoformat(),
            "last_received_at": last and last.isoformat(),
            "queued": self._commits.queued,
        }


async def _respond(send: _Send, answer: Answer, *, has_body: bool) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
    await send({"type": "http.response.body", "body": _body(answer) if has_body else b""})


def written(answer: Answer) -> bytes:
    """An answer as it is on the wire, to a request that was never complete."""
    status = HTTPStatus(answer.status)
    head = b"".join(b"%s: %s\r\n" % header for header in _headers(answer))
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + head + b"\r\n" + _body(answer)


def _body(answer: Answer) -> bytes:
    return answer.text.encode() + b"\n"


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    is_typed = any(name == b"content-type" for name, _ in answer.headers)
    return [
        (b"content-length", str(len(_body(answer))).encode()),
        *([] if is_typed else [(b"content-type", b"text/plain; charset=utf-8")]),
        *answer.headers,
        *([(b"connection", b"close")] if answer.is_last else []),
    ]


def _head(headers: Iterable[tuple[bytes, bytes]], bounds: Bounds) -> dict[str, str]:
    """Headers by lower-case name; those that come several times are joined.

    Raises:
        _Refused: they are too large.
    """
    found: dict[str, str] = {}
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        text = value.decode("latin-1")
        key = name.decode("latin-1").lower()
        found[key] = f"{found[key]},{text}" if key in found else text
    if size > bounds.head_bytes:
        raise _Refused(head_too_large(bounds))
    return found


def _kept_headers(head: Mapping[str, str], signature_header: str) -> dict[str, str]:
    """What says how to read a body and who signed it; nothing that lets anybody in."""
    kept: dict[str, str] = {}
    room = _MOST_HEADER_BYTES
    for name, value in head.items():
        is_own = name == signature_header.lower()
        if not is_own and (_SECRET_HEADER.search(name) or not (name in _KEPT_HEADERS or name.startswith("x-"))):
            continue
        room -= len(name) + len(value)
        if room < 0 and not is_own:
            continue
        kept[name] = value[:_MOST_HEADER_BYTES]
    return kept


def _length(head: Mapping[str, str]) -> int:
    text = head.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
